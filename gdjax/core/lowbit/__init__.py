"""Arrays in few bits: codebooks, quantized arrays, rounding."""

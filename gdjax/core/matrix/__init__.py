"""Rules for one matrix, carried over trees of arrays; roots and polar factors."""

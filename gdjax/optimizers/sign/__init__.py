"""Sign descent: steps along the sign of the gradient or of its momentum."""

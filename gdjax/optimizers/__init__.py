"""One family a file: `scale_by_x`, the rule, and `x`, the optimizer on top of it."""

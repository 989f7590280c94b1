"""Optimizers, one family in a file: `scale_by_x`, the rule, and `x`, the complete optimizer."""

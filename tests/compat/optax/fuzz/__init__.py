"""Differential fuzz of `gdjax.compat.optax` against optax: every factory, random arguments."""

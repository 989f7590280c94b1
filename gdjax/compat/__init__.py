"""Compatibility with other libraries: the names and conventions of `optax` and `torch`."""

"""The namespace `optax.losses`."""

from gdjax.compat.optax.names import NAMES, namespace

__all__ = NAMES["losses"]

__getattr__, __dir__ = namespace("losses", ("gdjax.losses",))

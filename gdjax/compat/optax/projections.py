"""The namespace `optax.projections`."""

from gdjax.compat.optax.names import NAMES, namespace

__all__ = NAMES["projections"]

__getattr__, __dir__ = namespace("projections", ("gdjax.projections",))

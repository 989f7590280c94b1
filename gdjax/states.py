"""Classes of optimizer states, for type annotations."""

from gdjax.core.data import exports
from gdjax.core.rule import errors

__getattr__, __dir__, __all__ = exports.lazy(__name__, lambda name: errors.nearest(name, __all__))

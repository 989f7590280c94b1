"""Gradient transformations for JAX: optimizers as data, right numbers, named state.

Names are loaded lazily; type checkers read them in `__init__.pyi`.
"""

from gdjax.core.data import exports

__version__ = "0.2.0"


def _hint(name: str) -> str:
    from gdjax.core.data.renamed import ABROAD, NAMES
    from gdjax.core.rule import errors

    if name in exports.homes("gdjax.states"):
        return f"Classes of states are in gdjax.states: write gdjax.states.{name}."
    if name in ABROAD:
        return f"Here it is {ABROAD[name]}."
    return f"It is now {NAMES[name]}." if name in NAMES else errors.nearest(name, __all__)


__getattr__, __dir__, __all__ = exports.lazy(__name__, _hint, ["__version__"])

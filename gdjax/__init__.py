"""Gradient transformations for JAX: optimizers that are data, right numbers, state with names."""

from typing import TYPE_CHECKING

from gdjax import _exports
from gdjax import losses as losses
from gdjax import params as params
from gdjax import projections as projections
from gdjax import sharding as sharding
from gdjax import state as state
from gdjax import states as states
from gdjax._exports import *

__version__ = "0.1.0"

# The roof is loaded when it is looked at, not with the library.
_ROOF = ("compat", "contract", "lab", "plots")

__all__ = [
    "compat",
    "contract",
    "lab",
    "losses",
    "params",
    "plots",
    "projections",
    "sharding",
    "state",
    "states",
]
__all__ += _exports.__all__

if TYPE_CHECKING:
    from gdjax import compat as compat
    from gdjax import contract as contract
    from gdjax import lab as lab
    from gdjax import plots as plots
else:  # type checkers would take every name for one that is there

    def __getattr__(name: str):
        """Loads the roof, and says where a name is that is not here."""
        if name in _ROOF:
            import importlib

            return importlib.import_module(f"gdjax.{name}")
        from gdjax.core.data.renamed import NAMES
        from gdjax.core.rule import errors

        hint = f"It is now {NAMES[name]}." if name in NAMES else errors.nearest(name, __all__)
        if name in states.__all__:
            hint = f"Classes of states are in gdjax.states: write gdjax.states.{name}."
        message = f"module 'gdjax' has no attribute {name!r}."
        raise AttributeError(f"{message} {hint}".rstrip())

    def __dir__() -> list[str]:
        """The public names, without the folders that their files lie in."""
        return [*__all__, "__version__"]

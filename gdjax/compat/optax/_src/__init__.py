"""The private modules of optax that clients import: `from optax._src import base`.

Each has the names of gdjax's `compat.optax`, and else those of the module in the installed optax.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from gdjax.compat import optax
from gdjax.compat.optax.installed import from_optax

MODULES = "alias base combine linear_algebra numerics transform utils wrappers".split()


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(optax, name):
            return getattr(optax, name)
        return getattr(getattr(from_optax("_src"), self.__name__.split(".")[-1]), name)


for _name in MODULES:  # under whatever name this package was imported: gdjax's, or optax's own
    _made = _Module(f"{__name__}.{_name}", f"As `optax._src.{_name}`.")
    sys.modules[_made.__name__] = globals()[_name] = _made

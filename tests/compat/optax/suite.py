"""optax's own tests, run where they lie, with gdjax.compat.optax in the place of optax.

    python -m pytest -p tests.compat.optax.suite --pyargs optax --import-mode=importlib --noconftest

Without `-p` the same command runs them with optax itself, which is what counts are compared with.
Private modules have our names, and else optax's.
"""

import importlib
import importlib.machinery
import pkgutil
import sys
import types

import optax

import gdjax.compat.optax as ours
from gdjax.compat.optax import installed

TESTS = ("_test", "test_utils")


def _everything(package):
    """The modules of a package by name, all of them loaded, without its tests."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith(TESTS):
            importlib.import_module(found.name)
    return {n: m for n, m in sys.modules.items() if f"{n}.".startswith(f"{package.__name__}.")}


class Module(types.ModuleType):
    """A module of optax, with what stands for it in ours."""

    def __init__(self, name, theirs):
        super().__init__(name)
        self.__path__, self.__spec__ = getattr(theirs, "__path__", []), theirs.__spec__
        public = [part for part in name.split(".")[1:] if not part.startswith("_")]
        space = OURS.get(".".join([ours.__name__, *public]), ours)
        self._sources = [space, theirs] if public else [ours, theirs]

    def __getattr__(self, name):
        for source in self._sources:
            if hasattr(source, name):
                return getattr(source, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


installed.from_optax("nnls")  # from now on it is known what is optax itself
OURS = _everything(ours)
for _name, _theirs in _everything(optax).items():
    sys.modules[_name] = _ours = Module(_name, _theirs)
    # `from optax.losses import _classification` looks for it beside our `losses`
    sys.modules.setdefault(_name.replace("optax", ours.__name__, 1), _ours)
    parent, _, last = _name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, _ours)

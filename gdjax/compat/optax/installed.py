"""Functions of the installed optax that are no part of optimizers."""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

__all__ = ["ELSEWHERE", "from_optax"]

# Nothing of these is gdjax's to make better.
ELSEWHERE = """
    assignment matrix_inverse_pth_root microbatch microbatching multi_normal nnls perturbations
    power_iteration second_order
""".split()


def from_optax(name: str) -> Any:
    """A function or module of the installed optax.

    Raises:
        AttributeError: optax is not installed.
    """
    try:
        return getattr(_optax(), name)
    except ImportError:
        must = f"optax.{name} comes from the package optax"
        raise AttributeError(f"{must}, which is not installed: pip install optax.") from None


@functools.cache
def _optax() -> Any:
    """The package optax, even if gdjax.compat.optax replaces it in `sys.modules`."""
    replaced = {n: m for n, m in sys.modules.items() if n.split(".")[0] == "optax"}
    if getattr(replaced.get("optax"), "__name__", "optax") == "optax":
        return importlib.import_module("optax")
    for name in replaced:
        del sys.modules[name]
    try:
        return importlib.import_module("optax")
    finally:
        for name in [n for n in sys.modules if n.split(".")[0] == "optax"]:
            del sys.modules[name]
        sys.modules.update(replaced)

"""Calls outside of `jit`: compiled once for each structure of their arguments.

Python numbers of a transformation are compiled in, its arrays are arguments.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

__all__ = ["can_compile", "compiled"]


@functools.partial(jax.jit, static_argnums=(0, 1))
def compiled(
    which: str, static: Any, arrays: tuple, updates: Any, state: Any, params: Any, extra: Any
):
    """Calls `update` or `step` (`which`) of a transformation taken apart; see `_split` in base."""
    treedef, numbers = static
    rest = iter(arrays)
    tx = treedef.unflatten([next(rest) if x is None else x for x in numbers])
    return tx._machine.run(which, updates, state, params, extra)


def can_compile(tx: Any, arguments: Any) -> bool:
    """Tells whether all arguments are concrete arrays or numbers, so that `jit` can take them."""
    kinds = set(map(type, jax.tree.leaves((arguments, tx._split[1]))))
    return all(map(_is_concrete, kinds))


@functools.cache
def _is_concrete(kind: type) -> bool:
    numbers = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)
    return issubclass(kind, numbers) and not issubclass(kind, jax.core.Tracer)

"""Calls outside of `jit`: compiled once for each structure of their arguments.

Python numbers of a transformation are compiled in, its arrays are arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

__all__ = ["can_compile", "compiled", "join", "split"]


_HOLE = object()


def split(value: Any, is_argument: Callable[[Any], bool]) -> tuple[Any, tuple]:
    """Takes a tree apart: what is compiled in, which is hashable, and the leaves that are not."""
    leaves, treedef = jax.tree.flatten(value)
    static = tuple(_HOLE if is_argument(x) else x for x in leaves)
    return (treedef, static), tuple(x for x in leaves if is_argument(x))


def join(static: Any, arguments: tuple) -> Any:
    """Puts together what `split` has taken apart."""
    treedef, leaves = static
    rest = iter(arguments)
    return treedef.unflatten([next(rest) if x is _HOLE else x for x in leaves])


@functools.partial(jax.jit, static_argnums=(0, 1))
def compiled(
    which: str, static: Any, arrays: tuple, updates: Any, state: Any, params: Any, extra: Any
):
    """Calls `update` or `step` (`which`) of a transformation taken apart by `split`."""
    tx = join(static, arrays)
    return tx._machine.run(which, updates, state, params, extra)


def can_compile(tx: Any, arguments: Any) -> bool:
    """Tells whether all arguments are concrete arrays or numbers, so that `jit` can take them."""
    kinds = set(map(type, jax.tree.leaves((arguments, tx._split[1]))))
    return all(map(_is_concrete, kinds))


@functools.cache
def _is_concrete(kind: type) -> bool:
    numbers = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)
    return issubclass(kind, numbers) and not issubclass(kind, jax.core.Tracer)

"""Calls outside of `jit`: compiled once for each structure of their arguments.

Python numbers of a transformation are compiled in, its arrays are arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gdjax.core.data.hyperparams import is_number

_HOLE = object()


def is_data(leaf: Any) -> bool:
    """Tells whether a leaf is a number, an array or an abstract value of one, not a function."""
    return is_number(leaf) or hasattr(leaf, "dtype")


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
def compiled(call: Callable[..., Any], static: Any, arrays: tuple, *arguments: Any) -> Any:
    """Calls `call(value, *arguments)` with a value that `split` has taken apart."""
    return call(join(static, arrays), *arguments)


@functools.cache
def is_concrete(kind: type) -> bool:
    """Tells whether values of a type are numbers or arrays that `jit` can take as arguments."""
    numbers = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)
    return issubclass(kind, numbers) and not issubclass(kind, jax.core.Tracer)

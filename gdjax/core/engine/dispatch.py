"""Calls outside `jit`, compiled once for each structure of their arguments.

Python numbers of a transformation are compiled in; its arrays are arguments.
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
    """Whether a leaf is a number, an array or an abstract array; not a function."""
    return is_number(leaf) or hasattr(leaf, "dtype")


def split(value: Any, is_argument: Callable[[Any], bool]) -> tuple[Any, tuple]:
    """Splits a tree into a hashable part, which is compiled in, and leaves that are arguments."""
    leaves, treedef = jax.tree.flatten(value)
    static = tuple(_HOLE if is_argument(x) else x for x in leaves)
    return (treedef, static), tuple(x for x in leaves if is_argument(x))


def join(static: Any, arguments: tuple) -> Any:
    """The inverse of `split`."""
    treedef, leaves = static
    rest = iter(arguments)
    return treedef.unflatten([next(rest) if x is _HOLE else x for x in leaves])


@functools.partial(jax.jit, static_argnums=(0, 1))
def compiled(call: Callable[..., Any], static: Any, arrays: tuple, *arguments: Any) -> Any:
    """Calls `call(value, *arguments)` for a value that was split by `split`."""
    return call(join(static, arrays), *arguments)


@functools.cache
def is_concrete(kind: type) -> bool:
    """Whether values of a type are numbers or arrays, valid arguments of `jit`."""
    numbers = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)
    return issubclass(kind, numbers) and not issubclass(kind, jax.core.Tracer)

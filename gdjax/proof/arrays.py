"""Primitives that compare, sort, move or solve arrays of exact numbers."""

from __future__ import annotations

__all__ = ["MOVES", "SEVERAL", "moved", "order"]

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gdjax.proof.entrywise import compare
from gdjax.proof.number import Unsupported

# Primitives whose results are entries of their arguments, at places that integers determine.
MOVES = frozenset("gather scatter dynamic_slice dynamic_update_slice pad rev".split())


def moved(equation: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """The result of one of `MOVES`: JAX moves the numbers of the entries, not the entries.

    Raises:
        Unsupported: A place of the result is none of the entries.
    """
    whole = [not np.issubdtype(var.aval.dtype, np.inexact) for var in equation.invars]
    if all(whole):  # integers, moved by integers
        whole = [position > 0 for position in range(len(values))]
    pool, arguments = [], []
    for x, is_index in zip(values, whole):
        if is_index:
            arguments.append(x.astype(np.int32))
        else:
            arguments.append(np.arange(x.size, dtype=np.int32).reshape(x.shape) + len(pool))
            pool += list(x.ravel())
    params = dict(equation.params)
    if "fill_value" in params:
        params["fill_value"] = -1  # where an index is outside
    places = np.asarray(equation.primitive.bind(*map(jax.numpy.asarray, arguments), **params))
    if places.size and not 0 <= places.min() <= places.max() < len(pool):
        raise Unsupported(f"{equation.primitive.name} beyond the ends of an array")
    out = np.empty(len(pool), object)
    out[:] = pool
    return [out[places]]


def order(field: Any, *keys: np.ndarray) -> list[int]:
    """The places of numbers in increasing order; equal ones stay in theirs."""

    def sense(i: int, j: int) -> int:
        for key in keys:
            if compare(field, operator.ne, key[i], key[j]):
                return -1 if compare(field, operator.lt, key[i], key[j]) else 1
        return 0

    return sorted(range(len(keys[0])), key=functools.cmp_to_key(sense))


def sort(field: Any, params: Any, *values: np.ndarray) -> list[np.ndarray]:
    """The primitive `sort`: all arrays in the order of the first ones, along an axis."""
    axis = params["dimension"]
    ahead = [np.moveaxis(x, axis, -1) for x in values]
    out = [np.empty(x.shape, object) for x in ahead]
    for index in np.ndindex(ahead[0].shape[:-1]):
        places = order(field, *(x[index] for x in ahead[: params["num_keys"]]))
        for x, y in zip(ahead, out):
            y[index] = x[index][places]
    return [np.moveaxis(y, -1, axis) for y in out]


def top_k(field: Any, params: Any, x: np.ndarray) -> list[np.ndarray]:
    """The primitive `top_k`: the largest numbers along the last axis, and their places."""
    shape = (*x.shape[:-1], params["k"])
    largest, where = np.empty(shape, object), np.empty(shape, object)
    for index in np.ndindex(x.shape[:-1]):
        places = order(field, -x[index])[: params["k"]]
        largest[index], where[index] = x[index][places], places
    return [largest, where]


def argmax(field: Any, params: Any, x: np.ndarray) -> list[np.ndarray]:
    """The primitive `argmax`: the place of the first of the largest numbers along an axis."""
    (axis,) = params["axes"]
    ahead = np.moveaxis(x, axis, -1)
    out = np.empty(ahead.shape[:-1], object)
    for index in np.ndindex(out.shape):
        out[index] = order(field, -ahead[index])[0]
    return [out]


def triangular_solve(field: Any, params: Any, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """The primitive `triangular_solve`, for one matrix: X with A·X = B or X·A = B."""
    if params["unit_diagonal"]:
        raise Unsupported("triangular_solve with a unit diagonal")
    lower = params["lower"] != bool(params["transpose_a"])
    a = a.T if params["transpose_a"] else a
    if params["left_side"]:
        return [_solved(a, b, lower)]
    return [_solved(a.T, b.T, not lower).T]


def _solved(a: np.ndarray, b: np.ndarray, lower: bool) -> np.ndarray:
    """X with A·X = B, row by row; A has no 0 on its diagonal."""
    x = np.empty(b.shape, object)
    for i in range(len(a)) if lower else reversed(range(len(a))):
        known = range(i) if lower else range(i + 1, len(a))
        x[i] = (b[i] - sum((x[j] * a[i, j] for j in known), b[i] * 0)) / a[i, i]
    return x


SEVERAL: dict[str, Callable[..., list[np.ndarray]]] = {
    "sort": sort,
    "top_k": top_k,
    "argmax": argmax,
    "triangular_solve": triangular_solve,
}

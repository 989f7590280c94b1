"""Norms inside a program: run as √Σx², once a proof has shown that this is what they compute.

The norm of arrays is computed from three sums of scaled squares, of which one is in range. So each
norm has two cases, with coefficients of hundreds of digits. The proof goes through them once for
each shape, and not in every place where a rule has a norm.
"""

from __future__ import annotations

__all__ = ["NORMS", "axes_of", "length"]

import functools
import itertools
import operator
from typing import Any

import numpy as np

from gdjax.proof import program
from gdjax.proof.number import cases
from gdjax.proof.symbols import Symbols

_MOST_ENTRIES = 16
_PROVEN: dict[str, tuple[int, ...] | None] = {}  # the axes of a norm, by the text of its program


def length(field: Any, params: Any, *values: Any) -> list[Any] | None:
    """The result of a call of a function `norm`, None where the call is no proven norm."""
    inner = params["jaxpr"]
    axes = None if params["name"] != "norm" or inner.consts else _axes(inner)
    if axes is None:
        return None
    return [_root_of_squares(values[0], axes, field).reshape(inner.out_avals[0].shape)]


NORMS = {"jit": length, "pjit": length}


@functools.lru_cache(maxsize=1000)
def _axes(closed: Any) -> tuple[int, ...] | None:
    if (text := str(closed)) not in _PROVEN:
        _PROVEN[text] = axes_of(closed)
    return _PROVEN[text]


def axes_of(closed: Any) -> tuple[int, ...] | None:
    """The axes over which a program is √Σx² for all x; None if it is no such norm."""
    if len(closed.in_avals) != 1 or len(closed.out_avals) != 1:
        return None
    shape, out = closed.in_avals[0].shape, closed.out_avals[0].shape
    if not 0 < np.prod(shape, dtype=int) <= _MOST_ENTRIES:
        return None
    candidates = [
        axes
        for n in range(len(shape) + 1)
        for axes in itertools.combinations(range(len(shape)), n)
        if out in _reduced_shapes(shape, axes)
    ]
    return next((axes for axes in candidates if _proven(closed, shape, axes)), None)


def _reduced_shapes(shape: tuple[int, ...], axes: tuple[int, ...]) -> set[tuple[int, ...]]:
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return {kept, tuple(n for i, n in enumerate(shape) if i not in axes)}


def _proven(closed: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Whether a program is √Σx² of symbols, for all signs that are asked for, and of zeros."""
    names = ["_".join(["x", *map(str, index)]) for index in np.ndindex(*shape)]
    factors: dict[str, Any] = {}

    def same(signs: dict[str, int], zero: bool) -> bool:
        field = Symbols([], [], names, signs, factors)
        x = np.empty(len(names), object)
        x[:] = [field.number(0) if zero else field.symbol[name] for name in names]
        x = x.reshape(shape)
        (got,) = program.run(closed, [x], field)
        want = _root_of_squares(x, axes, field)
        return all(field.is_zero(a - b) for a, b in zip(got.ravel(), want.ravel()))

    of_all = (functools.partial(same, zero=zero) for zero in (False, True))
    return all(equal for judge in of_all for _, equal in cases(judge))


def _root_of_squares(x: np.ndarray, axes: tuple[int, ...], field: Any) -> np.ndarray:
    moved = np.moveaxis(x, axes, range(len(axes)))
    rows = list(program.array(moved * moved).reshape(-1, *moved.shape[len(axes) :]))
    root = np.frompyfunc(field.root, 1, 1)
    return program.array(root(functools.reduce(operator.add, rows)))

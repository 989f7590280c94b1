"""Compares the outcomes of one call: errors, structures, numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

__all__ = ["Found", "compare", "form"]

# Both libraries compute in float64, in another order: 20 steps of some ten roundings each are below
# 1e-12. What a call makes of an error of the last bits of its inputs is added where the two differ.
RELATIVE = 1e-12
MANY = 30  # times the spread of four samples
ORDER = ("updates", "parameters", "value", "derivative", "evaluated", "state")
BY_STEPS = ("updates", "parameters")


class Found(NamedTuple):
    """What was found: "same", "both refuse", "optax refuses", or a disagreement, and where."""

    kind: str
    what: str = ""

    @property
    def disagrees(self) -> bool:
        """Whether the libraries do, in the form of the result, its numbers, or an error of ours."""
        return self.kind in ("refused", "form", "numbers")


def form(tree: Any) -> Any:
    """Classes, fields, shapes and dtypes."""
    if hasattr(tree, "_fields"):
        return type(tree).__name__, {k: form(getattr(tree, k)) for k in tree._fields}
    if isinstance(tree, (tuple, list)):
        return type(tree).__name__, [form(x) for x in tree]
    if isinstance(tree, dict):
        return {k: form(v) for k, v in tree.items()}
    if not hasattr(tree, "dtype"):
        return tree
    whole = (
        tree.dtype.kind in "iub"
    )  # optax counts in int64 where that is enabled, and resets bools
    return ("integer" if whole else str(tree.dtype)), tree.shape


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays by path; of dicts in the order of their keys, whatever class they have."""
    if hasattr(tree, "_fields"):
        for k in tree._fields:
            yield from leaves(getattr(tree, k), f"{path}.{k}")
    elif isinstance(tree, dict):
        for k in sorted(tree, key=str):
            yield from leaves(tree[k], f"{path}[{k!r}]")
    elif isinstance(tree, (tuple, list)):
        for i, part in enumerate(tree):
            yield from leaves(part, f"{path}[{i}]")
    elif hasattr(tree, "dtype"):
        yield path, tree


def compare(
    ours: Any,
    theirs: Any,
    again: Callable[[int], Any],
    epsilon: float = 0.0,
    of_params: bool = False,
) -> Found:
    """Compares two outcomes.

    Args:
        ours: Trees of NumPy arrays by what they are, or an error.
        theirs: The same of optax.
        again: Gives theirs for inputs with an error in the last bits, of a seed.
        epsilon: The precision of what is computed in less than float64 on the way.
        of_params: Whether updates are differences of parameters.
    """
    if isinstance(theirs, Exception):
        kind = "both refuse" if isinstance(ours, Exception) else "optax refuses"
        return Found(kind, _line(theirs))
    if isinstance(ours, Exception):
        return Found("refused", _line(ours))
    epsilon = max([epsilon, *(_epsilon(x) for _, x in leaves([ours, theirs]))])
    last, size = _last_finite(ours, theirs), _size(theirs.get("parameters", ()))
    shaken: list[Any] = []
    for part in sorted(ours, key=ORDER.index):
        if form(ours[part]) != form(theirs[part]):
            return Found("form", f"{part}{_apart(form(ours[part]), form(theirs[part]))}")
        if last is not None and part not in BY_STEPS:
            continue  # of steps that are not compared
        for (path, a), (_, b) in zip(leaves(ours[part]), leaves(theirs[part])):
            cut = slice(last) if part in BY_STEPS else Ellipsis
            allowed = _allowed(b[cut], epsilon, part)
            if part == "updates" and (of_params or epsilon > 1e-15):
                allowed = allowed + 8 * max(epsilon, 2.3e-16) * size
            elif part == "parameters":  # what is left of one and its update
                moved = dict(leaves(theirs["updates"]))[path][cut]
                allowed = allowed + _allowed(moved, epsilon, part)
            if not _apart_at(a[cut], b[cut], allowed).any():
                continue
            if not shaken:
                shaken += [x for x in map(again, range(4)) if not isinstance(x, Exception)]
            near = [dict(leaves(x[part]))[path][cut] for x in shaken]
            apart = _apart_at(a[cut], b[cut], allowed + _spread(near, b[cut], part))
            if apart.any():
                return Found("numbers", f"{part}{path}{_first(a[cut], b[cut], apart)}")
    return Found("same", "" if last is None else f"until optax is not finite at step {last}")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or ' ').splitlines()[0][:200]}"


def _apart(a: Any, b: Any) -> str:
    """The innermost place where two forms differ."""
    path = ""
    while True:
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) == 2 and a[0] == b[0]:
            a, b = a[1], b[1]
        elif isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            key = next(k for k in a if a[k] != b[k])
            a, b, path = a[key], b[key], f"{path}.{key}"
        elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            i = next(i for i in range(len(a)) if a[i] != b[i])
            a, b, path = a[i], b[i], f"{path}[{i}]"
        else:
            return f"{path}: {str(a)[:150]}, not {str(b)[:150]}"


def _last_finite(ours: Any, theirs: Any) -> int | None:
    """The first step at which optax is not finite and ours is another; None if there is none."""
    steps = []
    for part in (part for part in BY_STEPS if part in theirs):
        for (_, a), (_, b) in zip(leaves(ours[part]), leaves(theirs[part])):
            if a.shape == b.shape:
                apart = ~np.isfinite(b) & ~((a == b) | (np.isnan(a) & np.isnan(b)))
                steps += np.flatnonzero(apart.reshape(len(b), -1).any(1))[:1].tolist()
    return min(steps, default=None)


def _is_float(x: Any) -> bool:
    return x.dtype.kind in "fc" or x.dtype == ml_dtypes.bfloat16


def _epsilon(x: Any) -> float:
    if x.dtype == ml_dtypes.bfloat16:
        return 2.0**-8
    return float(np.finfo(x.dtype).eps) if x.dtype.kind in "fc" else 0.0


def _wide(x: Any) -> Any:
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def _size(tree: Any) -> float:
    """The largest finite entry of a tree."""
    return max([0.0, *(float(np.max(_so_far(x, False))) for _, x in leaves(tree))])


def _so_far(x: Any, by_steps: bool) -> Any:
    """The largest absolute value of a leaf, of each step and those before it."""
    finite = np.abs(np.where(np.isfinite(_wide(x)), _wide(x), 0.0))
    if not by_steps or not x.ndim:
        return np.max(finite, initial=0.0)
    top = finite.max(tuple(range(1, x.ndim)), keepdims=True, initial=0.0)
    return np.maximum.accumulate(top) if len(x) else top


def _allowed(b: Any, epsilon: float, part: str) -> Any:
    """The error that another order of operations makes.

    Relative to the largest entry of the leaf at each step, and to a hundredth of the largest so
    far; where a part is computed in less than float64, to the largest so far.
    """
    if not _is_float(b):
        return 0.0
    top = _so_far(b, part in BY_STEPS)
    if part == "value" and b.ndim:  # entries are results of their own
        top = np.max(top) if epsilon > 1e-15 else 1e-2 * top + np.abs(np.nan_to_num(_wide(b)))
    if epsilon > 1e-15:
        return 8 * epsilon * top
    if part not in BY_STEPS or not b.ndim:
        return RELATIVE * top
    now = np.abs(np.nan_to_num(_wide(b), posinf=0.0, neginf=0.0))
    now = now.max(tuple(range(1, b.ndim)), keepdims=True, initial=0.0)
    return RELATIVE * (now + 1e-2 * top)


def _spread(near: list[Any], b: Any, part: str) -> Any:
    """Many times what errors in the last bits of the inputs make, where that is finite."""
    off = [_so_far(_wide(x) - _wide(b), part in BY_STEPS) for x in near if _is_float(x)]
    return MANY * np.max(off, axis=0) if off else 0.0


def _apart_at(a: Any, b: Any, allowed: Any) -> Any:
    """Where two arrays differ by more than is allowed."""
    same = (a == b) | ((a != a) & (b != b))
    if not _is_float(b):
        return ~same
    with np.errstate(invalid="ignore"):
        return ~(same | (np.abs(_wide(a) - _wide(b)) <= allowed))


def _first(a: Any, b: Any, apart: Any) -> str:
    """The largest difference of the first step that has one."""
    if not _is_float(b) or not b.ndim:
        return f": {a}, not {b}"
    a, b = _wide(a), _wide(b)
    step = np.flatnonzero(apart.reshape(len(b), -1).any(1))[0]
    off = np.where(apart[step], np.nan_to_num(np.abs(a[step] - b[step]), nan=np.inf), -1.0)
    at = (step, *np.unravel_index(np.argmax(off), off.shape))
    return f"{[int(k) for k in at]}: {a[at]!s}, not {b[at]!s}"

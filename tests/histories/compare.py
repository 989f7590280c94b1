"""Comparisons of trees: bit for bit, as abstract values, and to rounding."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.lowbit.quantized import is_quantized
from gdjax.core.lowbit.rounding import is_narrow
from gdjax.core.rule import tree
from gdjax.core.rule.boxes import unboxed
from gdjax.state.names import named_leaves


def data(x: Any) -> np.ndarray:
    """An array as NumPy has it; of a random key its data."""
    is_key = hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x)


def same(a: Any, b: Any, what: str) -> None:
    """Two trees are the same, bit for bit, or both NaN."""
    paths, others = (jax.tree_util.tree_flatten_with_path(x) for x in (a, b))
    assert paths[1] == others[1], f"{what}: {paths[1]} is not {others[1]}"
    for (path, x), (_, y) in zip(paths[0], others[0], strict=True):
        x, y = data(x), data(y)
        alike = (x.dtype, x.shape) == (y.dtype, y.shape)
        if not (alike and x.tobytes() == y.tobytes()) and not (alike and _nans(x, y)):
            raise AssertionError(f"{what}{jax.tree_util.keystr(path)}: {x} is not {y}")


def _nans(x: np.ndarray, y: np.ndarray) -> bool:
    """The same but for the bits of a NaN, which no arithmetic promises."""
    if x.dtype.kind not in "fcV" or x.dtype == jax.dtypes.float0:
        return False
    gone = np.isnan(x)
    return bool((gone == np.isnan(y)).all() and x[~gone].tobytes() == y[~gone].tobytes())


def near(a: Any, b: Any, what: str, scale: float = 1.0) -> None:
    """The same structure, and numbers to the rounding of their dtypes; others the same."""
    assert jax.tree.structure(a) == jax.tree.structure(b), f"{what}: the structures differ"
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b)):
        near_array(x, y, f"{what}{jax.tree_util.keystr(path)}", scale)


def near_array(x: Any, y: Any, what: str, scale: float = 1.0) -> None:
    if is_quantized(x) and is_quantized(y):
        return near_array(x.value(), y.value(), what, 1000.0)
    narrow = is_narrow(x) or is_narrow(y)
    x, y = data(x), data(y)
    assert x.shape == y.shape, f"{what}: {x.shape} is not {y.shape}"
    if not tree.differentiable(x):
        assert np.array_equal(x, y), f"{what}: {x} is not {y}"
        return
    wide = np.complex128 if np.iscomplexobj(x) else np.float64
    rtol, atol = (0.02, 0.01) if narrow else (1e-3, 5e-5)
    alike = np.isclose(x.astype(wide), y.astype(wide), rtol * scale, atol * scale, equal_nan=True)
    assert alike.all(), f"{what}: {x} is not {y}"


def avals(value: Any) -> Any:
    """Structure, shapes, dtypes and weak types."""
    kinds = [(np.shape(x), str(jax.typeof(x).dtype), _weak(x)) for x in jax.tree.leaves(value)]
    return jax.tree.structure(value), kinds


def _weak(x: Any) -> bool:
    return bool(getattr(x, "weak_type", False))


@functools.lru_cache(maxsize=1000)
def _names(tx: Any, treedef: Any) -> list[tuple[Any, ...]]:
    state = treedef.unflatten([jnp.zeros([])] * treedef.num_leaves)
    return [(*n.prefix, n.owner, n.number, *n.path) for n, _ in named_leaves(tx, state)]


def names(tx: Any, state: Any) -> dict[tuple[Any, ...], Any]:
    """The arrays of a state by the parts of their names."""
    leaves = jax.tree.leaves(unboxed(state), is_leaf=is_quantized)
    return dict(zip(_names(tx, jax.tree.structure(state)), leaves, strict=True))


def finite(value: Any) -> bool:
    """Whether all numbers of a tree are finite; of quantized arrays their values."""
    leaves = jax.tree.leaves(value, is_leaf=is_quantized)
    leaves = [x.value() if is_quantized(x) else x for x in leaves]
    leaves = [data(x) for x in leaves if tree.differentiable(x)]
    return all(np.isfinite(x.astype(np.complex128)).all() for x in leaves)

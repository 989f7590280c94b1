"""Trees as one vector, leaf by leaf or concatenated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.rule import errors, numerics, tree

__all__ = ["as_vector", "direction", "leaf_by_leaf", "not_negative"]


def as_vector(function: Callable[[jax.Array], jax.Array], x: Any) -> Any:
    """Applies a function of a vector [n] to the concatenated leaves of a tree."""
    leaves, treedef = jax.tree.flatten(x)
    moving = [jnp.asarray(leaf) for leaf in leaves if tree.differentiable(leaf)]
    if not moving:
        return x
    dtype = np.result_type(*(numerics.wide(x).dtype for x in moving))
    flat = function(jnp.concatenate([x.astype(dtype).ravel() for x in moving]))
    ends = np.cumsum([x.size for x in moving])[:-1]
    parts = (p.reshape(x.shape).astype(x.dtype) for p, x in zip(jnp.split(flat, ends), moving))
    return treedef.unflatten(
        [next(parts) if tree.differentiable(leaf) else leaf for leaf in leaves]
    )


def leaf_by_leaf(function: Callable[..., jax.Array], x: Any, *others: Any) -> Any:
    """Applies a function to leaves widened to float32 or wider; results have the leaves' dtypes."""

    def leaf(x, *others):
        if not tree.differentiable(x):
            return x
        x = jnp.asarray(x)
        wide = numerics.wide(x)
        return function(wide, *(numerics.like(y, wide) for y in others)).astype(x.dtype)

    return jax.tree.map(leaf, x, *others)


def direction(x: Any) -> tuple[Any, jax.Array, jax.Array]:
    """The tree x / ‖x‖, float32 or wider, 0 if x is 0; and two numbers whose product is ‖x‖.

    Leaves are divided by the largest entry first, so that no square in the derivative underflows.
    """
    wide = jax.tree.map(lambda a: numerics.wide(a) if tree.differentiable(a) else a, x)
    leaves = [a for a in jax.tree.leaves(wide) if tree.differentiable(a) and a.size]
    dtype = np.result_type(np.float32, *(a.real.dtype for a in leaves))
    tops = [jnp.max(jnp.abs(a)).astype(dtype) for a in leaves]
    top = jax.lax.stop_gradient(jnp.max(jnp.stack(tops))) if tops else jnp.zeros([], dtype)
    top = jnp.where((top > 0) & jnp.isfinite(top), top, 1)
    scaled = leaf_by_leaf(lambda a: a / top.astype(a.dtype), wide)
    length = tree.norm(scaled)
    unit = leaf_by_leaf(lambda a: numerics.safe_divide(a, length.astype(a.dtype)), scaled)
    return unit, top, length


def not_negative(where: str, scale: Any) -> Any:
    """A radius or sum, checked if it is a Python number."""
    if isinstance(scale, (int, float)) and scale < 0:
        errors.fail(where, "scale must be ≥ 0", scale)
    return numerics.weak(scale)

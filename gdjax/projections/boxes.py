"""Projections onto boxes: between bounds, hypercube, maximum-norm ball, non-negative orthant."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.rule import errors
from gdjax.core.rule.tree import difference
from gdjax.projections.vector import leaf_by_leaf, not_negative

__all__ = [
    "projection_box",
    "projection_hypercube",
    "projection_linf_ball",
    "projection_non_negative",
]


def projection_box(tree: Any, lower: Any, upper: Any) -> Any:
    """Projection onto a box: clips every entry to [lower, upper].

        y = min(max(x, lower), upper)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_box(jnp.array([3.0, -0.5, 1.0]), 0.0, jnp.array([1.0, 2.0, 3.0]))
    Array([1., 0., 1.], dtype=float32)

    Args:
        tree: x, arrays of any shapes.
        lower: A number, or a tree like `tree`.
        upper: A number, or a tree like `tree`; not below `lower`.

    Raises:
        ValueError: A bound is a tree of another structure.
    """
    bounds = [_like(tree, name, bound) for name, bound in (("lower", lower), ("upper", upper))]
    return leaf_by_leaf(lambda x, low, high: jnp.minimum(jnp.maximum(x, low), high), tree, *bounds)


def _like(tree: Any, name: str, bound: Any) -> Any:
    """A bound for each leaf, in its shape."""
    leaf = jax.tree.structure(0)
    if jax.tree.structure(bound) == leaf != jax.tree.structure(tree) and jnp.ndim(bound) == 0:
        bound = jax.tree.map(lambda _: bound, tree)
    if jax.tree.structure(bound) != jax.tree.structure(tree):
        must = f"{name} must be a number or a tree with the structure of the first argument"
        got = difference(tree, bound, ("first argument", f"{name} bound"))
        errors.fail("projection_box", must, got)

    def full(x, b):
        try:
            return jnp.broadcast_to(b, np.shape(x))
        except ValueError:
            must = f"{name} must have the shapes of the first argument, {np.shape(x)}"
            errors.fail("projection_box", must, str(np.shape(b)))

    return jax.tree.map(full, tree, bound)


def projection_hypercube(tree: Any, scale: Any = 1) -> Any:
    """Projection onto the hypercube: clips every entry to [0, scale].

        y = clip(x, 0, scale)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_hypercube(jnp.array([3.0, -0.5, 0.25]))
    Array([1.  , 0.  , 0.25], dtype=float32)

    Args:
        tree: x, arrays of any shapes.
        scale: A number, or a tree like `tree`; ≥ 0.
    """
    return projection_box(tree, 0, scale)


def projection_linf_ball(tree: Any, scale: Any = 1) -> Any:
    """Projection onto the ball of the maximum norm (l∞): clips every entry to [−scale, scale].

        y = clip(x, −scale, scale)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_linf_ball(jnp.array([3.0, -0.5]))
    Array([ 1. , -0.5], dtype=float32)

    Args:
        tree: x, arrays of any shapes.
        scale: The radius, ≥ 0.

    Raises:
        ValueError: `scale` is negative.
    """
    scale = not_negative("projection_linf_ball", scale)
    return projection_box(tree, -scale, scale)


def projection_non_negative(tree: Any) -> Any:
    """Projection onto the non-negative orthant: max(x, 0).

        y = max(x, 0)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_non_negative(jnp.array([3.0, -0.5]))
    Array([3., 0.], dtype=float32)

    Args:
        tree: x, arrays of any shapes.
    """
    return projection_box(tree, 0, jnp.inf)

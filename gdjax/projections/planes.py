"""Projections onto spheres and balls of the Euclidean norm, hyperplanes, halfspaces and lines."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import numerics
from gdjax.core.rule import tree as trees
from gdjax.projections.vector import direction, leaf_by_leaf, not_negative

__all__ = [
    "projection_halfspace",
    "projection_hyperplane",
    "projection_l2_ball",
    "projection_l2_sphere",
    "projection_vector",
]


def projection_l2_sphere(tree: Any, scale: Any = 1) -> Any:
    """Projection onto the Euclidean (l2) sphere of radius `scale`.

        y = scale·x / ‖x‖

    >>> import gdjax as gd, jax.numpy as jnp
    >>> result = gd.projections.projection_l2_sphere(jnp.array([3.0, 4.0]))
    >>> print(jnp.array_str(result, precision=6))
    [0.6 0.8]

    Args:
        tree: x, arrays of any shapes, taken as one vector. All points are equally near to x = 0;
            the one with equal entries is returned.
        scale: The radius, ≥ 0.

    Raises:
        ValueError: `scale` is negative.
    """
    scale = not_negative("projection_l2_sphere", scale)

    unit, _, length = direction(tree)
    size = max(
        sum(jnp.size(leaf) for leaf in jax.tree.leaves(tree) if trees.differentiable(leaf)), 1
    )

    def nearest(x, u):
        return scale * jnp.where(length > 0, u, size**-0.5)

    return leaf_by_leaf(nearest, tree, unit)


def projection_l2_ball(tree: Any, scale: Any = 1) -> Any:
    """Projection onto the Euclidean (l2) ball of radius `scale`.

        y = x·min(1, scale / ‖x‖)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_l2_ball(jnp.array([3.0, 4.0]), 10.0)
    Array([3., 4.], dtype=float32)

    Args:
        tree: x, arrays of any shapes, taken as one vector.
        scale: The radius, ≥ 0.

    Raises:
        ValueError: `scale` is negative.
    """
    scale = not_negative("projection_l2_ball", scale)

    unit, top, length = direction(tree)
    inside = top * length <= scale

    def nearest(x, u):
        return jnp.where(inside, x, scale * u)

    return leaf_by_leaf(nearest, tree, unit)


def _line(name: str, x: Any, a: Any) -> tuple[Any, jax.Array, jax.Array]:
    """The direction a / ‖a‖, 0 if a is 0; ⟨x, a / ‖a‖⟩; and ‖a‖."""
    trees.check_like(x, a, name, ("x", "a"))
    unit, top, length = direction(a)
    return unit, trees.vdot(unit, x), top * length


def _move(x: Any, unit: Any, distance: jax.Array) -> Any:
    return leaf_by_leaf(lambda x, u: x - numerics.like(distance, x) * u, x, unit)


def projection_hyperplane(x: Any, a: Any, b: Any) -> Any:
    """Projection onto the hyperplane ⟨a, y⟩ = b.

        argmin ‖y − x‖²,   ⟨a, y⟩ = b;   y = x − (⟨a, x⟩ − b)·a / ‖a‖²

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_hyperplane(jnp.array([3.0, 1.0]), jnp.array([2.0, 0.0]), 1.0)
    Array([0.5, 1. ], dtype=float32)

    Args:
        x: Arrays of any shapes, taken as one vector.
        a: A tree like `x`; if it is 0, x is returned.
        b: A number.

    Raises:
        ValueError: `x` and `a` differ in structure or shapes.
    """
    unit, along, length = _line("projection_hyperplane", x, a)
    return _move(x, unit, along - numerics.safe_divide(numerics.like(b, length), length))


def projection_halfspace(x: Any, a: Any, b: Any) -> Any:
    """Projection onto the halfspace ⟨a, y⟩ ≤ b.

        argmin ‖y − x‖²,   ⟨a, y⟩ ≤ b;   y = x − max(⟨a, x⟩ − b, 0)·a / ‖a‖²

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_halfspace(jnp.array([3.0, 1.0]), jnp.array([0.0, 1.0]), 2.0)
    Array([3., 1.], dtype=float32)

    Args:
        x: Arrays of any shapes, taken as one vector.
        a: A tree like `x`; if it is 0, x is returned.
        b: A number.

    Raises:
        ValueError: `x` and `a` differ in structure or shapes.
    """
    unit, along, length = _line("projection_halfspace", x, a)
    beyond = along - numerics.safe_divide(numerics.like(b, length), length)
    return _move(x, unit, jnp.maximum(beyond, 0))


def projection_vector(x: Any, a: Any) -> Any:
    """Projection onto the line through 0 and a vector.

        y = ⟨x, a⟩·a / ‖a‖²,   0 if a is 0

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_vector(jnp.array([3.0, 1.0]), jnp.array([0.0, 5.0]))
    Array([0., 1.], dtype=float32)

    Args:
        x: Arrays of any shapes, taken as one vector.
        a: A tree like `x`.

    Raises:
        ValueError: `x` and `a` differ in structure or shapes.
    """
    unit, along, _ = _line("projection_vector", x, a)
    return leaf_by_leaf(lambda x, u: numerics.like(along, x) * u, x, unit)

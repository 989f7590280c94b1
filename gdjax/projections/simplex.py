"""Projections onto the simplex, and onto the l1 sphere and ball."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.projections.vector import as_vector, not_negative

__all__ = [
    "projection_l1_ball",
    "projection_l1_sphere",
    "projection_simplex",
    "simplex_of",
]


def simplex_of(v: jax.Array, scale: Any) -> jax.Array:
    """Projection onto the simplex of sum `scale`, along the last axis of [..., n].

    The entries that stay positive are found by sorting; the threshold is then a plain mean over
    them, and derivatives are those of that mean.
    """
    v = v - jax.lax.stop_gradient(jnp.max(v, axis=-1, keepdims=True))  # the result does not change
    fixed, total = jax.lax.stop_gradient((v, jnp.asarray(scale, v.dtype)))
    u = -jnp.sort(-fixed, axis=-1)
    k = jnp.arange(1, v.shape[-1] + 1).astype(v.dtype)
    k = jnp.broadcast_to(k, v.shape)
    inside = k * u > jnp.cumsum(u, axis=-1) - total
    rho = jnp.maximum(jnp.sum(inside, axis=-1, keepdims=True), 1)
    support = ~(fixed < jnp.take_along_axis(u, rho - 1, axis=-1))  # NaN propagates
    count = jnp.sum(support, axis=-1, keepdims=True).astype(v.dtype)
    tau = (jnp.sum(v, axis=-1, keepdims=True, where=support) - scale) / count
    return jnp.maximum(jnp.where(support, v - tau, 0), 0)


def projection_simplex(tree: Any, scale: Any = 1) -> Any:
    """Projection onto the simplex: non-negative entries of sum `scale`.

        argmin ‖y − x‖²,   y ≥ 0, Σy = scale;   y = max(x − τ, 0)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_simplex(jnp.array([2.5, 3.0, 0.5]))
    Array([0.25, 0.75, 0.  ], dtype=float32)

    Args:
        tree: x, arrays of any shapes, taken as one vector.
        scale: The sum, ≥ 0.

    Raises:
        ValueError: `scale` is negative.

    Reference: Duchi et al., Efficient projections onto the l1-ball for learning in high
        dimensions, 2008, https://doi.org/10.1145/1390156.1390191
    """
    scale = not_negative("projection_simplex", scale)
    return as_vector(lambda x: simplex_of(x, scale), tree)


def _l1_sphere(x: jax.Array, scale: Any) -> jax.Array:
    return jnp.where(x < 0, -1, 1).astype(x.dtype) * simplex_of(jnp.abs(x), scale)


def projection_l1_sphere(tree: Any, scale: Any = 1) -> Any:
    """Projection onto the l1 sphere of radius `scale`.

        argmin ‖y − x‖²,   Σ|y| = scale

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_l1_sphere(jnp.array([0.25, -0.5]))
    Array([ 0.375, -0.625], dtype=float32)

    Args:
        tree: x, arrays of any shapes, taken as one vector. Where an entry is 0, the result is not
            negative.
        scale: The radius, ≥ 0.

    Raises:
        ValueError: `scale` is negative.

    Reference: Duchi et al., Efficient projections onto the l1-ball for learning in high
        dimensions, 2008, https://doi.org/10.1145/1390156.1390191
    """
    scale = not_negative("projection_l1_sphere", scale)
    return as_vector(lambda x: _l1_sphere(x, scale), tree)


def projection_l1_ball(tree: Any, scale: Any = 1) -> Any:
    """Projection onto the l1 ball of radius `scale`.

        argmin ‖y − x‖²,   Σ|y| ≤ scale

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.projections.projection_l1_ball({"w": jnp.array([2.5, -3.0]), "b": jnp.array(0.5)})
    {'b': Array(0., dtype=float32), 'w': Array([ 0.25, -0.75], dtype=float32)}

    Args:
        tree: x, arrays of any shapes, taken as one vector.
        scale: The radius, ≥ 0.

    Raises:
        ValueError: `scale` is negative.

    Reference: Duchi et al., Efficient projections onto the l1-ball for learning in high
        dimensions, 2008, https://doi.org/10.1145/1390156.1390191
    """
    scale = not_negative("projection_l1_ball", scale)

    def nearest(x):
        return jnp.where(jnp.sum(jnp.abs(x)) <= scale, x, _l1_sphere(x, scale))

    return as_vector(nearest, tree)

"""Step-size grafting: the direction of one transformation with the norm of another."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.matrix import matrices
from gdjax.core.rule import numerics, tree

__all__ = ["GraftState", "graft"]


class GraftState(NamedTuple):
    """State of `graft`."""

    direction: Any  # of the transformation that gives directions
    magnitude: Any  # of the one that gives lengths


@transformation(kind="wrapper")
def graft(direction: Any, magnitude: Any, *, matrix_axes: Any = None):
    """Step-size grafting: the direction of one transformation with the norm of another.

        d = direction(g)      m = magnitude(g)      u = d · ‖m‖ / ‖d‖

    Norms are of each array. So a learning rate tuned for `magnitude` also serves for `direction`.
    Where d is 0, u is 0.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.graft(gd.identity(), gd.scale_by_sign())  # ‖sign(g)‖ of two entries is √2
    >>> g = jnp.array([3.0, 4.0])
    >>> [round(float(u), 4) for u in tx.update(g, tx.init(g))[0]]
    [0.8485, 1.1314]

    Args:
        direction: The transformation that gives the direction.
        magnitude: The transformation that gives the norm.
        matrix_axes: The axes of matrices, for arrays that hold several: each matrix has a norm of
            its own; see `gdjax.matrix_axes`. None for one norm an array.

    Reference: Agarwal et al., Disentangling adaptive gradient methods from learning rates, 2020,
        https://arxiv.org/abs/2002.11803
    """

    def leaf(d: jax.Array, m: jax.Array) -> jax.Array:
        unit = numerics.safe_divide(d, numerics.norm(d).astype(d.dtype))
        return unit * numerics.norm(m).astype(d.dtype)

    def init(params):
        return GraftState(direction.init(params), magnitude.init(params))

    def update(updates, state, params=None, **extra):
        ds, first = call_update(direction, updates, state.direction, params, extra)
        ms, second = call_update(magnitude, updates, state.magnitude, params, extra)
        if matrix_axes is None:
            out = tree.map(leaf, ds, ms)
        else:
            out = matrices.map(leaf, ds, ms, axes=matrix_axes, where="graft")
        return out, GraftState(first, second)

    children = (
        Child("direction", direction, at="direction"),
        Child("magnitude", magnitude, at="magnitude"),
    )
    return Rule(init, update, children=children)

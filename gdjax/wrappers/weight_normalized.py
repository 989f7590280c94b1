"""Weight normalization inside the optimizer: steps of directions and of magnitudes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.engine.rule import Child, Rule, at_params
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.matrix import matrices
from gdjax.core.rule import errors, tree
from gdjax.core.rule.roles import PerMatrix
from gdjax.transforms.matrix_norms import in_place, length, unit

__all__ = ["WeightNormalizedState", "weight_normalized"]


class WeightNormalizedState(NamedTuple):
    """State of `weight_normalized`."""

    size: PerMatrix  # [out] for each matrix [in, out]: the norms of the columns of V
    direction_state: Any  # of the transformation of V, arrays like the parameters
    magnitude_state: Any  # of that of g, arrays [out]


@transformation(kind="wrapper")
def weight_normalized(direction: Any, magnitude: Any, *, matrix_axes: Any = None):
    """Weight normalization inside the optimizer: separate steps of directions and magnitudes.

        W = g·V/‖V‖                         for each output neuron, a column of [in, out]
        h = ⟨G, V⟩/‖V‖                      G, H and h: gradients of W, V and g
        H = g/‖V‖ · (G − h·V/‖V‖)
        V ← V + `direction`(H)              g ← g + `magnitude`(h)

    The two transformations update V and g as if they were the parameters of the model, which keeps
    its weights W. They contain their learning rates. At the start V is W. In a step g and U are
    taken from the weights, so that weight decay or rounding beside this wrapper counts. Neurons
    whose weights are zero stay zero.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.weight_normalized(gd.sgd(0.1), gd.sgd(0.0))
    >>> w = jnp.array([[3.0], [4.0]])
    >>> after, _ = tx.step(jnp.array([[1.0], [0.0]]), tx.init(w), w)
    >>> round(float(jnp.linalg.norm(after)), 5)
    5.0

    Args:
        direction: The transformation of V.
        magnitude: The transformation of g.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            matrices of one column.

    Raises:
        ValueError: `update` was called without params; an array of more than two axes without
            `matrix_axes`.

    Reference: Salimans and Kingma, Weight normalization: a simple reparameterization to accelerate
        training of deep neural networks, 2016, https://arxiv.org/abs/1602.07868
    """
    about = {"axes": matrix_axes, "where": "weight_normalized"}

    def magnitudes(params):
        norms = lambda w: jnp.squeeze(length(w, -2), -2)
        return matrices.per_matrix(norms, params, **about)

    def parts(w, size):
        g = length(w, -2)
        return unit(w, g) * _wide(size), jnp.squeeze(g, -2)

    def gradients(dw, size, w):
        g = length(w, -2)
        u = unit(w, g)
        dg = jnp.sum(jnp.real(jnp.conj(u) * dw), -2, keepdims=True)
        dv = unit(g, _wide(size)).astype(dw.dtype) * (dw - u * dg.astype(dw.dtype))
        return dv, jnp.squeeze(dg, -2)

    def weights(step, size, g, v, w):
        moved = v + step
        size = length(moved, -2)
        return _wide(g).astype(moved.dtype) * unit(moved, size) - w, jnp.squeeze(size, -2), g

    def init(params):
        sizes = magnitudes(params)
        return WeightNormalizedState(sizes, direction.init(params), magnitude.init(sizes))

    def update(updates, state, params=None, **extra):
        errors.need_params("weight_normalized", params)
        dv, dg = in_place(gradients, (updates, state.size), params, **about)
        v, g = in_place(parts, (params, state.size), **about)
        steps, first = call_update(direction, dv, state.direction_state, v, extra)
        growth, second = call_update(magnitude, dg, state.magnitude_state, g, extra)
        trees = steps, state.size, tree.add(g, growth)
        out, size, _ = in_place(weights, trees, v, params, **about)
        return out, WeightNormalizedState(size, first, second)

    children = (
        Child("direction", direction, at="direction_state"),
        Child("magnitude", magnitude, at="magnitude_state", share=magnitudes),
    )
    # Both transformations see parameters of their own: the model is evaluated at its weights.
    return Rule(init, update, evaluate=at_params, children=children, moves=lambda params: params)


def _wide(column: jax.Array) -> jax.Array:
    """One number for each neuron [..., out], for use with matrices [..., in, out]."""
    return column[..., None, :]

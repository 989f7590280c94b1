"""Dion2: Muon on a part of the rows of each matrix; AdamW for other parameters."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices, polar
from gdjax.core.matrix.polar_coefficients import polar_steps
from gdjax.core.rule import errors, tree
from gdjax.core.rule.roles import MatrixMean
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.optimizers.matrix.muon import scale_by_shape
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import with_rms

__all__ = ["ScaleByDion2State", "dion2", "scale_by_dion2"]


class ScaleByDion2State(NamedTuple):
    """State of `scale_by_dion2`."""

    mu: MatrixMean  # sum of the gradients; selected rows decay


def check_fraction(where: str, fraction: float) -> None:
    """Raises a ValueError if a fraction of rows is not in (0, 1]."""
    if not 0 < fraction <= 1:
        errors.fail(where, "fraction must lie in (0, 1]", fraction)


def largest_rows(m: jax.Array, fraction: float) -> jax.Array:
    """The indices of the ⌈α·r⌉ of r rows with the largest sums of absolute values, [⌈α·r⌉]."""
    count = math.ceil(fraction * m.shape[0])
    return jax.lax.top_k(jnp.sum(jnp.abs(m), 1), count)[1]


@transformation
def scale_by_dion2(
    fraction: float = 0.25,
    b1: Decay = 0.95,
    eps: NonNegative = 1e-8,
    *,
    backend: Any = "standard",
    steps: int = 5,
    dtype: Any = None,
    matrix_axes: Any = None,
):
    """Dion2 scaling: orthogonalizes the largest rows of the momentum, with error feedback.

        m ← m + g
        K = the ⌈α·r⌉ of r rows with the largest Σ|m|
        u_K = U·Vᵀ of m_K = U·S·Vᵀ,    u = 0 elsewhere
        m_K ← β·m_K

    Rows are those of the shorter side: columns where a matrix [in, out] is not wider than high.
    Rows that are not selected accumulate in m until they are. The cost is that of Muon for a
    matrix of α times the rows.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_dion2(0.5, backend="svd")
    >>> g = jnp.array([[0.0, 0.0, 5.0], [1.0, 0.0, 0.0]])
    >>> u, state = tx.update(g, tx.init(g))
    >>> u.round(4) + 0.0
    Array([[0., 0., 1.],
           [0., 0., 0.]], dtype=float32)
    >>> state.mu
    Array([[0.  , 0.  , 4.75],
           [1.  , 0.  , 0.  ]], dtype=float32)

    Args:
        fraction: α in (0, 1].
        b1: β in [0, 1), the decay of a row in a step in which it was selected.
        eps: In the units of the gradient.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            treated as matrices of one column.

    Raises:
        ValueError: `fraction` is not in (0, 1]; an array of more than two axes without
            `matrix_axes`.

    Reference: Ahn, Amsel and Langford, Dion2: a simple method to shrink matrix in Muon, 2025,
        https://arxiv.org/abs/2512.16928
    """
    where = "scale_by_dion2"
    check_fraction(where, fraction)
    how = polar_steps(where, "backend", backend, steps, dtype)

    def by_rows(m):
        chosen = largest_rows(m, fraction)
        part = m[chosen]
        u = polar.polar_factor(part, how, eps, dtype=dtype)
        u = jnp.zeros_like(m).at[chosen].set(u)
        return u, m.at[chosen].set(b1 * part)

    def leaf(g, m):
        m = m + g
        if g.shape[0] < g.shape[1]:
            return by_rows(m)
        u, m = by_rows(m.T)
        return u.T, m.T

    def init(params):
        zeros = lambda p: tree.filled_like(p, 0)
        return ScaleByDion2State(matrices.per_matrix(zeros, params, axes=matrix_axes, where=where))

    def update(updates, state, params=None, **extra):
        trees = (updates, state.mu)
        updates, mu = matrices.evolve(leaf, trees, axes=matrix_axes, where=where)
        return updates, ScaleByDion2State(mu)

    return init, update


@transformation(kind="optimizer")
def dion2(
    learning_rate: LearningRate,
    fraction: float = 0.25,
    b1: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    *,
    backend: Any = "standard",
    steps: int = 5,
    dtype: Any = None,
    consistent_rms: NonNegative | None = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """Dion2: Muon on the largest rows of the momentum of each matrix, AdamW for the rest.

        W ← W − η·(√(out/in)·u + λW),    u of `scale_by_dion2`

    Embeddings, the last layer and vectors are updated by AdamW, as in `muon`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 0.1]]), "b": jnp.ones(2)}
    >>> tx = gd.dion2(1.0, 0.5, backend="svd")
    >>> tx.update(params, tx.init(params), params)[0]["w"] + 0.0
    Array([[-1.,  0.],
           [ 0.,  0.]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        fraction: α in (0, 1], the fraction of rows updated in a step.
        b1: Decay of the selected rows, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps.
        weight_decay: λ ≥ 0, of the matrices.
        mask: Which parameters decay; see `add_decayed_weights`.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        consistent_rms: Root mean square of the updates of matrices, in place of √(out/in); see
            `scale_to_rms`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_dion2`.

    Reference: Ahn, Amsel and Langford, Dion2: a simple method to shrink matrix in Muon, 2025,
        https://arxiv.org/abs/2512.16928
    """
    how = {"backend": backend, "steps": steps, "dtype": dtype}
    hidden = chain(
        scale_by_dion2(fraction, b1, eps, **how, matrix_axes=matrix_axes),
        with_rms(scale_by_shape(matrix_axes, shape_factor="spectral"), consistent_rms, matrix_axes),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
    adam = (adam_b1, adam_b2, eps, 0.0, None, adam_weight_decay, mask)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, dion2=hidden)

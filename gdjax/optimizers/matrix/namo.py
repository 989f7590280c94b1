"""NAMO: Muon with a step size for each matrix by Adam's moments of norms; AdamW for the rest."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices, polar
from gdjax.core.matrix.polar_coefficients import polar_steps
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import debias, divide_by_root, ema, increment, zero_count
from gdjax.core.rule.roles import Count, Mean, Scalars
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import masked_params
from gdjax.transforms.matrix_norms import length

__all__ = ["ScaleByNamoState", "namo", "scale_by_namo"]


class ScaleByNamoState(NamedTuple):
    """State of `scale_by_namo`."""

    count: Count
    mu: Mean  # of the gradients
    nu: Scalars  # for each matrix the mean squared norm of its gradients


@transformation
def scale_by_namo(
    b1: Decay = 0.95,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    mu_dtype: Any = None,
    *,
    backend: Any = "standard",
    steps: int = 5,
    dtype: Any = None,
    consistent_rms: NonNegative | None = 0.2,
    matrix_axes: Any = None,
):
    """NAMO scaling: orthogonalized momentum times Adam's ratio of moments of the gradient's norm.

        M ← b1·M + (1 − b1)·G,        M̂ = M / (1 − b1ᵗ)
        v ← b2·v + (1 − b2)·‖G‖²      one number for each matrix
        α = √(1 − b2ᵗ) · ‖M̂‖ / (√v + eps)
        u = α·(r·√max(in, out)·U·Vᵀ + λ·W),    U·S·Vᵀ = M̂

    α is 1 in the first step and where gradients do not change, and less where they are mostly
    noise, whose mean is short. Weight decay is scaled by α too.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_namo(0.5, 0.5, backend="svd", consistent_rms=None)
    >>> params = jnp.zeros((2, 2))
    >>> state = tx.init(params)
    >>> for sign in (1.0, -1.0):
    ...     u, state = tx.update(sign * jnp.eye(2), state, params)
    >>> u.round(4) + 0.0
    Array([[-0.3333,  0.    ],
           [ 0.    , -0.3333]], dtype=float32)

    Args:
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared norm, in [0, 1).
        eps: In the units of the gradient.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        mu_dtype: Dtype in which M is kept; float32 or wider by default.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        consistent_rms: r ≥ 0, the root mean square of the entries of the orthogonal term, as in
            `scale_by_shape`; None for no such factor.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            treated as matrices of one column.

    Raises:
        ValueError: `update` was called without params; an array of more than two axes without
            `matrix_axes`.

    Reference: Zhang, Liu and Schaeffer, Adam improves Muon: adaptive moment estimation with
        orthogonalized momentum, 2026, https://arxiv.org/abs/2602.17080
    """
    where = "scale_by_namo"
    how = polar_steps(where, "backend", backend, steps, dtype)
    about = {"axes": matrix_axes, "where": where}

    def init(params):
        nothing = lambda p: jnp.zeros([], jnp.finfo(p.dtype).dtype)
        nu = matrices.per_matrix(nothing, params, **about)
        return ScaleByNamoState(zero_count(), tree.moment_like(params, mu_dtype), nu)

    def update(updates, state, params=None, **extra):
        errors.need_params(where, params)
        t = increment(state.count)
        c1, c2 = debias(b1, t), debias(b2, t)

        def average(g, m):
            m = ema(m, g, b1)
            return m / c1, m

        def leaf(m, v, g, p):
            v = ema(v, jnp.squeeze(length(g)) ** 2, b2)
            ratio = divide_by_root(jnp.sqrt(c2) * jnp.squeeze(length(m)), v, eps).astype(m.dtype)
            u = polar.polar_factor(m, how, eps, dtype=dtype)
            if consistent_rms is not None:
                u = u * (consistent_rms * max(m.shape) ** 0.5)
            return ratio * (u if p is None else u + weight_decay * p), v

        means, mu = tree.evolve(average, (updates, state.mu))
        decaying = masked_params(params, mask, where)
        updates, nu = matrices.evolve(leaf, (means, state.nu), updates, decaying, **about)
        return updates, ScaleByNamoState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def namo(
    learning_rate: LearningRate,
    b1: Decay = 0.95,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    mu_dtype: Any = None,
    *,
    backend: Any = "standard",
    steps: int = 5,
    dtype: Any = None,
    consistent_rms: NonNegative | None = 0.2,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """NAMO: Muon with step sizes by Adam's moments of gradient norms, AdamW for other parameters.

        W ← W − η·α·(r·√max(in, out)·U·Vᵀ + λW),    U·S·Vᵀ = M̂,    α = ‖M̂‖ / √v̂

    M̂ is the mean gradient of a matrix and v̂ the mean of its squared norm, as in `scale_by_namo`.
    Embeddings, the last layer and vectors are updated by AdamW, as in `muon`. The authors' code
    also has Nesterov momentum, and bounds η·α by 1.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 0.1]]), "b": jnp.ones(2)}
    >>> tx = gd.namo(1.0, backend="svd", consistent_rms=None)
    >>> tx.update(params, tx.init(params), params)[0]["w"].round(4) + 0.0
    Array([[-1.,  0.],
           [ 0., -1.]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared norm, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps.
        weight_decay: λ ≥ 0, of the matrices.
        mask: Which parameters decay; see `add_decayed_weights`.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        consistent_rms: r; None for no such factor. See `scale_by_namo`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_namo`.

    Reference: Zhang, Liu and Schaeffer, Adam improves Muon: adaptive moment estimation with
        orthogonalized momentum, 2026, https://arxiv.org/abs/2602.17080
    """
    how = {"backend": backend, "steps": steps, "dtype": dtype, "consistent_rms": consistent_rms}
    hidden = chain(
        scale_by_namo(b1, b2, eps, weight_decay, mask, mu_dtype, **how, matrix_axes=matrix_axes),
        scale_by_learning_rate(learning_rate),
    )
    adam = (adam_b1, adam_b2, eps, 0.0, mu_dtype, adam_weight_decay, mask)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, namo=hidden)

"""Aurora: Muon whose updates have rows of equal norm; AdamW for other parameters."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices, polar
from gdjax.core.matrix.polar_coefficients import polar_steps
from gdjax.core.rule import errors
from gdjax.core.rule.numerics import abs_sq, safe_divide
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.optimizers.matrix.muon import scale_by_shape
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.matrix_norms import length, unit
from gdjax.transforms.momentum import trace

__all__ = ["aurora", "orthogonalize_uniformly"]

SIMPLE_QUINTIC = (2.0, -1.5, 0.5)  # 1 stays 1; small singular values double


@transformation
def orthogonalize_uniformly(
    rounds: int = 2,
    power: NonNegative = 0.5,
    eps: NonNegative = 1e-8,
    *,
    backend: Any = SIMPLE_QUINTIC,
    steps: int = 12,
    dtype: Any = None,
    matrix_axes: Any = None,
):
    """Orthogonalizes each matrix to rows of about equal norm (Aurora's row-uniform polar factor).

        X = G / max(‖rows of G‖, eps)
        k times:  U = polar(X),    X ← X · ((n/m) / ‖rows of U‖²)^β
        u = U, the last one

    A matrix with orthonormal columns, m rows and n columns, has rows whose squared norms are n/m
    on average; the weights of the rows bring each of them there. Rows are those of the longer side:
    columns, the output neurons, where a matrix [in, out] is wider than high. A square matrix has
    only rows of norm 1, so u = polar(G).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([[3.0, 3.0], [0.1, -0.1], [1.0, 1.0], [2.0, -2.0]])
    >>> gd.orthogonalize_uniformly(backend="svd").update(g, gd.EmptyState())[0].round(4)
    Array([[ 0.5,  0.5],
           [ 0.5, -0.5],
           [ 0.5,  0.5],
           [ 0.5, -0.5]], dtype=float32)

    Args:
        rounds: k ≥ 1, the number of polar factors that are computed.
        power: β ≥ 0; 0.5 is a whole step of the fixed-point iteration, less damps it.
        eps: In the units of the gradient; shorter rows stay shorter.
        backend: How matrices are orthogonalized, see `orthogonalize`. The default is the polynomial
            2σ − 3/2·σ³ + 1/2·σ⁵, which converges to 1.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`; vectors are
            treated as matrices of one column.

    Raises:
        ValueError: `rounds` is less than 1; an array of more than two axes without `matrix_axes`.

    Reference: Dewulf, Pai, Yang, Zhang and Keigwin, Aurora: a leverage-aware spectral optimizer,
        2026, https://arxiv.org/abs/2606.27715
    """
    where = "orthogonalize_uniformly"
    errors.check_counts(where, rounds=rounds)
    how = polar_steps(where, "backend", backend, steps, dtype)

    def leaf(g):
        m, n = g.shape[-2:]
        if m < n:
            return leaf(g.mT).mT
        x = g if m == n else unit(g, jnp.maximum(length(g, -1), eps))
        u = polar.polar_factor(x, how, dtype=dtype)
        for _ in range(rounds - 1 if m > n else 0):
            squares = jnp.sum(abs_sq(u), -1, keepdims=True)
            weights = jnp.where(squares > 0, safe_divide(jnp.full_like(squares, n / m), squares), 1)
            x = x * (weights**power).astype(x.dtype)
            u = polar.polar_factor(x, how, dtype=dtype)
        return u

    def update(updates, state, params=None, **extra):
        return matrices.map(leaf, updates, axes=matrix_axes, where=where), state

    return lambda params: EmptyState(), update


@transformation(kind="optimizer")
def aurora(
    learning_rate: LearningRate,
    b1: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    rounds: int = 2,
    power: NonNegative = 0.5,
    backend: Any = SIMPLE_QUINTIC,
    steps: int = 12,
    dtype: Any = None,
    consistent_rms: NonNegative | None = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """Aurora: Muon whose updates have rows of equal norm, AdamW for other parameters.

        m ← β·m + g
        W ← W − η·(√max(1, out/in)·U + λW),    U of g + β·m by `orthogonalize_uniformly`

    Muon moves some neurons of a layer that is wider than its input far less than others, and these
    may die. Here all neurons move equally far, and the update stays orthogonal. Embeddings, the
    last layer and vectors are updated by AdamW, as in `muon`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.1, 1.0, 2.0], [3.0, -0.1, 1.0, -2.0]]), "b": jnp.ones(4)}
    >>> tx = gd.aurora(1.0, backend="svd")
    >>> tx.update(params, tx.init(params), params)[0]["w"].round(4)
    Array([[-0.7071, -0.7071, -0.7071, -0.7071],
           [-0.7071,  0.7071, -0.7071,  0.7071]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the sum of the gradients, in [0, 1).
        eps: In the units of the sum of the gradients; also AdamW's eps.
        weight_decay: λ ≥ 0, of the matrices.
        mask: Which parameters decay; see `add_decayed_weights`.
        mu_dtype: Dtype in which sums of gradients are kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum.
        rounds: Number of polar factors that are computed in a step, 1 or more.
        power: Power of the weights of rows, ≥ 0; see `orthogonalize_uniformly`.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        consistent_rms: Root mean square of the entries of U; see `scale_by_shape`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.

    Raises:
        ValueError: `update` was called without params; see also `orthogonalize_uniformly`.

    Reference: Dewulf, Pai, Yang, Zhang and Keigwin, Aurora: a leverage-aware spectral optimizer,
        2026, https://arxiv.org/abs/2606.27715
    """
    how = {"backend": backend, "steps": steps, "dtype": dtype, "matrix_axes": matrix_axes}
    hidden = chain(
        trace(b1, nesterov, mu_dtype),
        orthogonalize_uniformly(rounds, power, eps, **how),
        scale_by_shape(matrix_axes, consistent_rms),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
    adam = (adam_b1, adam_b2, eps, 0.0, mu_dtype, adam_weight_decay, mask)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, aurora=hidden)

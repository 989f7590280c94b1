"""Muown: Muon on weight-normalized matrices, whose magnitudes Adam updates; AdamW for the rest."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.optimizers.adam.adam import adamw
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.optimizers.matrix.muon import scale_by_muon, scale_by_shape
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.wrappers.weight_normalized import weight_normalized

__all__ = ["muown"]


@transformation(kind="optimizer")
def muown(
    learning_rate: LearningRate,
    b1: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mu_dtype: Any = None,
    *,
    magnitude_b1: Decay = 0.9,
    magnitude_b2: Decay = 0.95,
    magnitude_learning_rate: LearningRate | None = None,
    backend: Any = "standard",
    steps: int = 5,
    nesterov: bool = True,
    dtype: Any = None,
    consistent_rms: NonNegative | None = 0.2,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """Muown: Muon on the directions of neurons, Adam on their norms, AdamW for other parameters.

        W = g·V/‖V‖                         for each output neuron, a column of [in, out]
        h = ⟨G, V⟩/‖V‖                      G, H and h: gradients of W, V and g
        H = g/‖V‖ · (G − h·V/‖V‖)
        V ← V − η·r·√max(in, out)·A·Bᵀ,     A·S·Bᵀ = mean of H
        g ← g − η·(m̂ / (√v̂ + eps) + λ·g),   m̂ and v̂ of h by `scale_by_adam`

    The norms of neurons, whose growth makes the spectral norm of Muon's weights drift, have a step
    of their own. V is not stored, see `weight_normalized`. Matrices must not be zero at the start.
    Embeddings, the last layer and vectors are updated by AdamW, as in `muon`. The authors' code
    applies weight decay to the weights and not to g.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.ones(2)}
    >>> tx = gd.muown(0.1)
    >>> grads = {"w": jnp.array([[0.0, 1.0], [-1.0, 0.0]]), "b": jnp.ones(2)}
    >>> after, _ = tx.step(grads, tx.init(params), params)
    >>> jnp.linalg.norm(after["w"], axis=0).round()
    Array([3., 4.], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        b1: Decay of the mean gradient of V, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps, and that of Adam of the norms.
        weight_decay: λ ≥ 0, of the norms g.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        magnitude_b1: Decay of the mean gradient of g, in [0, 1).
        magnitude_b2: Decay of the mean squared gradient of g, in [0, 1).
        magnitude_learning_rate: The learning rate of g; None for `learning_rate`.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        nesterov: Uses Nesterov momentum.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        consistent_rms: r, as in `scale_by_shape`; None for Muon's factor √max(1, out/in).
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_muon`.

    Reference: Lion, Hübler, Li, Orvieto and He, Muown: row-norm control for Muon optimization,
        2026, https://arxiv.org/abs/2605.10797
    """
    how = {"nesterov": nesterov, "dtype": dtype, "matrix_axes": matrix_axes}
    direction = chain(
        scale_by_muon(backend, steps, b1, eps, mu_dtype, **how),
        scale_by_shape(matrix_axes, consistent_rms),
        scale_by_learning_rate(learning_rate),
    )
    rate = learning_rate if magnitude_learning_rate is None else magnitude_learning_rate
    magnitude = adamw(
        rate, magnitude_b1, magnitude_b2, eps, mu_dtype=mu_dtype, weight_decay=weight_decay
    )
    hidden = weight_normalized(direction, magnitude, matrix_axes=matrix_axes)
    adam = (adam_b1, adam_b2, eps, 0.0, mu_dtype, adam_weight_decay)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, muown=hidden)

"""Hyperball optimization: Adam and Muon with the norm of each weight matrix fixed."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.optimizers.matrix.matrix_optimizer import matrix_optimizer
from gdjax.optimizers.matrix.muon import scale_by_muon
from gdjax.transforms.weight_norm import hyperball

__all__ = ["adam_hyperball", "muon_hyperball"]


@transformation(kind="optimizer")
def adam_hyperball(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    mu_dtype: Any = None,
    *,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """Adam Hyperball: Adam with the Frobenius norm of each matrix fixed; AdamW for the rest.

        W ← R·N(W − η·R·N(m̂ / (√v̂ + eps))),    N(x) = x/‖x‖,    R = ‖W₀‖

    Matrices that start at zero stay zero. The rate is an angle, about ten times Adam's rate.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.ones(2)}
    >>> tx = gd.adam_hyperball(0.02, adam_learning_rate=1e-3)
    >>> after, _ = tx.step(params, tx.init(params), params)
    >>> round(float(jnp.linalg.norm(after["w"])), 5)
    5.0

    Args:
        learning_rate: η ≥ 0, of the length of the weights.
        b1: Decay of the mean gradient, in [0, 1); AdamW's too.
        b2: Decay of the mean squared gradient, in [0, 1); AdamW's too.
        eps: Added to the root, in the units of the gradient; AdamW's too.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.

    Raises:
        ValueError: `update` was called without params.

    Reference: Wen, Dang, Lyu, Ma and Liang, Fantastic pretraining optimizers and where to find
        them II: hyperball optimization, 2026, https://arxiv.org/abs/2606.16899
    """
    hidden = chain(
        scale_by_adam(b1, b2, eps, mu_dtype=mu_dtype),
        hyperball(learning_rate, matrix_axes=matrix_axes),
    )
    adam = (b1, b2, eps, 0.0, mu_dtype, adam_weight_decay)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, hyperball=hidden)


@transformation(kind="optimizer")
def muon_hyperball(
    learning_rate: LearningRate,
    backend: Any = "standard",
    steps: int = 5,
    b1: Decay = 0.95,
    eps: NonNegative = 1e-8,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    dtype: Any = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
):
    """Muon Hyperball: Muon with the Frobenius norm of each matrix fixed; AdamW for the rest.

        W ← R·N(W − η·R·N(U·Vᵀ)),    N(x) = x/‖x‖,    R = ‖W₀‖,    U·S·Vᵀ = mean gradient

    Matrices that start at zero stay zero. The rate is an angle.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.ones(2)}
    >>> tx = gd.muon_hyperball(0.02, adam_learning_rate=1e-3)
    >>> after, _ = tx.step(params, tx.init(params), params)
    >>> round(float(jnp.linalg.norm(after["w"])), 5)
    5.0

    Args:
        learning_rate: η ≥ 0, of the length of the weights.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        b1: Decay of the mean gradient, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.

    Raises:
        ValueError: `update` was called without params.

    Reference: Wen, Dang, Lyu, Ma and Liang, Fantastic pretraining optimizers and where to find
        them II: hyperball optimization, 2026, https://arxiv.org/abs/2606.16899
    """
    direction = scale_by_muon(
        backend,
        steps,
        b1,
        eps,
        mu_dtype,
        nesterov=nesterov,
        dtype=dtype,
        matrix_axes=matrix_axes,
    )
    hidden = chain(direction, hyperball(learning_rate, matrix_axes=matrix_axes))
    adam = (adam_b1, adam_b2, eps, 0.0, mu_dtype, adam_weight_decay)
    return matrix_optimizer(matrix_axes, learning_rate, adam_learning_rate, *adam, hyperball=hidden)

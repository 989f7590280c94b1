"""DP-SGD: stochastic gradient descent with differential privacy."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.optimizers.sgd.sgd import sgd
from gdjax.transforms.differential_privacy import differentially_private_aggregate

__all__ = ["dpsgd"]


@transformation(kind="optimizer")
def dpsgd(
    learning_rate: LearningRate,
    max_norm: NonNegative,
    noise_multiplier: NonNegative,
    key: Any,
    momentum: Decay | None = None,
    nesterov: bool = False,
):
    """DP-SGD: differentially private SGD, with per-example gradient clipping and noise.

        g ← (Σ_i g_i·min(1, C/‖g_i‖) + σC·N(0, 1)) / n,    then `sgd`

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> tx = gd.dpsgd(0.1, max_norm=1.0, noise_multiplier=0.0, key=0)
    >>> params = jnp.array([1.0])
    >>> tx.step(jnp.array([[5.0], [0.5]]), tx.init(params), params)[0]
    Array([0.925], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        max_norm: C ≥ 0, the norm to which the gradient of each example is clipped.
        noise_multiplier: σ ≥ 0, the standard deviation of the noise in units of C.
        key: A seed, or a key of `jax.random`.
        momentum: As in `sgd`.
        nesterov: As in `sgd`.

    Raises:
        ValueError: As `differentially_private_aggregate`.

    Reference: Abadi et al., Deep learning with differential privacy, 2016,
        https://arxiv.org/abs/1607.00133
    """
    return chain(
        differentially_private_aggregate(max_norm, noise_multiplier, key),
        sgd(learning_rate, momentum, nesterov),
    )

"""Noisy SGD: gradient descent with annealed Gaussian noise."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.noise import add_noise

__all__ = ["noisy_sgd"]


@transformation(kind="optimizer")
def noisy_sgd(
    learning_rate: LearningRate,
    eta: NonNegative = 0.01,
    gamma: NonNegative = 0.55,
    key: Any = 0,
):
    """Noisy SGD: gradient descent with Gaussian noise, annealed by the step.

        θ ← θ − α·(g + σ·N(0, 1)),    σ² = η / (1 + t)^γ

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.noisy_sgd(0.1, eta=0.0)
    >>> tx.update(jnp.array([1.0, -2.0]), tx.init(jnp.zeros(2)))[0]
    Array([-0.1,  0.2], dtype=float32)

    Args:
        learning_rate: α ≥ 0.
        eta: η ≥ 0, the variance in the first step.
        gamma: γ ≥ 0.
        key: A seed, or a key of `jax.random`.

    Raises:
        TypeError: `key` is neither.

    Reference: Neelakantan et al., Adding gradient noise improves learning for very deep networks,
        2015, https://arxiv.org/abs/1511.06807
    """
    return chain(add_noise(eta, gamma, key), scale_by_learning_rate(learning_rate))

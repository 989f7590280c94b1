"""Losses for binary classification."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import numerics
from gdjax.losses.arrays import paired, weigh

__all__ = [
    "hinge_loss",
    "perceptron_loss",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "sparsemax_loss",
]


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> jax.Array:
    """Binary cross-entropy from logits, elementwise.

        p = 1 / (1 + e⁻ˣ),   l = −y·log p − (1 − y)·log(1 − p)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> result = gd.sigmoid_binary_cross_entropy(jnp.array([0.0, 99.0]), jnp.array([1, 0]))
    >>> print(jnp.array_str(result, precision=4))
    [ 0.6931 99.    ]

    Args:
        logits: x, [...].
        labels: y in [0, 1], [...].

    Returns:
        [...], float32 or wider.

    Raises:
        ValueError: The shapes are not compatible.
    """
    x, y = paired("sigmoid_binary_cross_entropy", logits=logits, labels=labels)
    return _cross_entropy(x, y)


def _cross_entropy(x: jax.Array, y: jax.Array) -> jax.Array:
    # `softplus` has its derivatives at 0 too, which a formula with |x| has not.
    return weigh(y, jax.nn.softplus(-x)) + weigh(1 - y, jax.nn.softplus(x))


def sigmoid_focal_loss(
    logits: Any, labels: Any, *, alpha: Any = None, gamma: Any = 2.0
) -> jax.Array:
    """Focal loss: binary cross-entropy from logits, with less weight on easy examples.

        p = 1 / (1 + e⁻ˣ),   p′ = y·p + (1 − y)(1 − p),   α′ = y·α + (1 − y)(1 − α)
        l = −α′·(1 − p′)^γ·(y·log p + (1 − y)·log(1 − p))

    >>> import gdjax as gd, jax.numpy as jnp
    >>> result = gd.sigmoid_focal_loss(jnp.array([0.0, 2.0]), jnp.array([1, 1]))
    >>> print(jnp.array_str(result, precision=4))
    [0.1733 0.0018]

    Args:
        logits: x, [...].
        labels: y in [0, 1], [...].
        alpha: α in [0, 1], the weight of label 1; None for weight 1 of both.
        gamma: γ ≥ 0; 0 gives the cross entropy.

    Returns:
        [...], float32 or wider.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Lin et al., Focal loss for dense object detection, 2017,
        https://arxiv.org/abs/1708.02002
    """
    x, y = paired("sigmoid_focal_loss", logits=logits, labels=labels)
    wrong = y * jax.nn.sigmoid(-x) + (1 - y) * jax.nn.sigmoid(x)  # 1 − p′ without cancellation
    some = wrong > 0
    # Where 1 − p′ is 0 the cross entropy is 0 as well, whatever the power.
    power = jnp.where(some, jnp.where(some, wrong, 1) ** numerics.weak(gamma), 0)
    loss = weigh(power, _cross_entropy(x, y))
    if alpha is None:
        return loss
    alpha = numerics.weak(alpha)
    return (y * alpha + (1 - y) * (1 - alpha)) * loss


def hinge_loss(predictor_outputs: Any, targets: Any) -> jax.Array:
    """Hinge loss max(0, 1 − y·x), elementwise.

        l = max(0, 1 − y·x)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.hinge_loss(jnp.array([2.0, 0.5, -1.0]), jnp.array([1, 1, 1]))
    Array([0. , 0.5, 2. ], dtype=float32)

    Args:
        predictor_outputs: x, [...].
        targets: y, −1 or 1, [...].

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Cortes and Vapnik, Support-vector networks, 1995,
        https://doi.org/10.1007/BF00994018
    """
    x, y = paired("hinge_loss", predictor_outputs=predictor_outputs, targets=targets)
    return jnp.maximum(0, 1 - y * x)


def perceptron_loss(predictor_outputs: Any, targets: Any) -> jax.Array:
    """Perceptron loss max(0, −y·x), elementwise.

        l = max(0, −y·x)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.perceptron_loss(jnp.array([2.0, 0.5, -1.0]), jnp.array([1, 1, 1]))
    Array([0., 0., 1.], dtype=float32)

    Args:
        predictor_outputs: x, [...].
        targets: y, −1 or 1, [...].

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Rosenblatt, The perceptron: a probabilistic model for information storage and
        organization in the brain, 1958, https://doi.org/10.1037/h0042519
    """
    x, y = paired("perceptron_loss", predictor_outputs=predictor_outputs, targets=targets)
    return jnp.maximum(0, -y * x)


def sparsemax_loss(logits: Any, labels: Any) -> jax.Array:
    """Binary sparsemax loss: the Fenchel-Young loss of the sparse sigmoid, elementwise.

        z = (1 − 2y)·x,   l = 0 where z ≤ −1,   z where z ≥ 1,   ¼(z + 1)² between

    The sparse sigmoid is clip((x + 1) / 2, 0, 1).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.sparsemax_loss(jnp.array([2.0, 0.0, -3.0]), jnp.array([1, 1, 1]))
    Array([0.  , 0.25, 3.  ], dtype=float32)

    Args:
        logits: x, [...].
        labels: y, 0 or 1, [...].

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Blondel, Martins and Niculae, Learning with Fenchel-Young losses, 2020,
        https://arxiv.org/abs/1901.02324
    """
    x, y = paired("sparsemax_loss", logits=logits, labels=labels)
    z = (1 - 2 * y) * x
    inside = jnp.clip(z, -1, 1)
    return jnp.square(inside + 1) / 4 + jnp.maximum(z - 1, 0)

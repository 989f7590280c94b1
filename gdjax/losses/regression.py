"""Regression losses: squared, Huber, log-cosh, cosine."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import numerics
from gdjax.losses.arrays import axes_of, direction, mask_of, paired

__all__ = [
    "cosine_distance",
    "cosine_similarity",
    "huber_loss",
    "l2_loss",
    "log_cosh",
    "squared_error",
]


def _difference(where: str, predictions: Any, targets: Any) -> jax.Array:
    targets = 0.0 if targets is None else targets
    predictions, targets = paired(where, predictions=predictions, targets=targets)
    return predictions - targets


def squared_error(predictions: Any, targets: Any = None) -> jax.Array:
    """Squared error, elementwise; its mean is the mean squared error (MSE).

        l = (p − t)²

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.squared_error(jnp.array([1.0, 2.0]), jnp.array([1.0, 5.0]))
    Array([0., 9.], dtype=float32)

    Args:
        predictions: p, [...].
        targets: t, [...]; zeros if None.

    Returns:
        [...], float32 or wider.

    Raises:
        ValueError: The shapes are not compatible.
    """
    return jnp.square(_difference("squared_error", predictions, targets))


def l2_loss(predictions: Any, targets: Any = None) -> jax.Array:
    """L2 loss: half the squared error, elementwise; the gradient is the difference.

        l = ½(p − t)²

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.l2_loss(jnp.array([1.0, 2.0]), jnp.array([1.0, 5.0]))
    Array([0. , 4.5], dtype=float32)

    Args:
        predictions: p, [...].
        targets: t, [...]; zeros if None.

    Raises:
        ValueError: The shapes are not compatible.
    """
    return 0.5 * jnp.square(_difference("l2_loss", predictions, targets))


def huber_loss(predictions: Any, targets: Any = None, *, delta: Any = 1.0) -> jax.Array:
    """Huber loss: quadratic for small differences and linear for large ones, elementwise.

        d = p − t,   l = ½d² where |d| ≤ δ,   δ(|d| − ½δ) elsewhere

    Its gradient is the difference clipped to [−δ, δ].

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.huber_loss(jnp.array([0.5, -3.0]))
    Array([0.125, 2.5  ], dtype=float32)

    Args:
        predictions: p, [...].
        targets: t, [...]; zeros if None.
        delta: δ > 0, in the units of the predictions.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Huber, Robust estimation of a location parameter, 1964,
        https://doi.org/10.1214/aoms/1177703732
    """
    size = jnp.abs(_difference("huber_loss", predictions, targets))
    delta = numerics.weak(delta)
    inside = jnp.minimum(size, delta)
    return 0.5 * jnp.square(inside) + delta * (size - inside)


def log_cosh(predictions: Any, targets: Any = None) -> jax.Array:
    """Log-cosh loss: smooth, about ½d² for small differences and |d| for large ones.

        l = log cosh(p − t)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> print(jnp.array_str(gd.log_cosh(jnp.array([0.0, 100.0])), precision=4))
    [ 0.     99.3069]

    Args:
        predictions: p, [...].
        targets: t, [...]; zeros if None.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Chen et al., Log hyperbolic cosine loss improves variational auto-encoder, 2019,
        https://openreview.net/forum?id=rkglvsC9Ym
    """
    d = _difference("log_cosh", predictions, targets)
    small = jnp.abs(d) < 1
    # |d| − log 2 + log(1 + e^(−2|d|)) cancels near 0; cosh overflows for large d.
    near = 0.5 * jnp.log1p(jnp.square(jnp.sinh(jnp.where(small, d, 0))))
    size = jnp.abs(jnp.where(small, 1, d))
    far = size + (jnp.log1p(jnp.exp(-2 * size)) - jnp.log(2.0).astype(d.dtype))
    return jnp.where(small, near, far)


def cosine_similarity(
    predictions: Any,
    targets: Any,
    *,
    epsilon: Any = 0.0,
    axis: int | tuple[int, ...] | None = -1,
    where: Any = None,
) -> jax.Array:
    """Cosine similarity: the cosine of the angle between two vectors.

        c = ⟨p, t⟩ / (max(‖p‖, ε)·max(‖t‖, ε)),   0 where a norm is 0

    >>> import gdjax as gd, jax.numpy as jnp
    >>> result = gd.cosine_similarity(jnp.array([[3.0, 4.0], [0.0, 0.0]]), jnp.array([0.0, 2.0]))
    >>> print(jnp.array_str(result, precision=6))
    [0.8 0. ]

    Args:
        predictions: p, [..., n].
        targets: t, [..., n].
        epsilon: ε ≥ 0, the least norm to divide by.
        axis: The axis or axes of the vectors.
        where: Entries to include.

    Returns:
        [...], in [−1, 1].

    Raises:
        ValueError: The shapes are not compatible.
    """
    return _cosine("cosine_similarity", predictions, targets, epsilon, axis, where)


def cosine_distance(
    predictions: Any,
    targets: Any,
    *,
    epsilon: Any = 0.0,
    axis: int | tuple[int, ...] | None = -1,
    where: Any = None,
) -> jax.Array:
    """Cosine distance: one minus the cosine similarity of two vectors.

        l = 1 − ⟨p, t⟩ / (max(‖p‖, ε)·max(‖t‖, ε)),   1 where a norm is 0

    >>> import gdjax as gd, jax.numpy as jnp
    >>> f"{gd.cosine_distance(jnp.array([3.0, 4.0]), jnp.array([-6.0, -8.0])):.6f}"
    '2.000000'

    Args:
        predictions: p, [..., n].
        targets: t, [..., n].
        epsilon: ε ≥ 0, the least norm to divide by.
        axis: The axis or axes of the vectors.
        where: Entries to include.

    Returns:
        [...], in [0, 2].

    Raises:
        ValueError: The shapes are not compatible.
    """
    return 1 - _cosine("cosine_distance", predictions, targets, epsilon, axis, where)


def _cosine(name: str, predictions: Any, targets: Any, epsilon: Any, axis: Any, where: Any):
    p, t = paired(name, predictions=predictions, targets=targets)
    axes = axes_of(name, axis, p.ndim)
    mask = mask_of(name, where, p.shape, axes)
    epsilon = numerics.weak(epsilon)

    if mask is not None:
        p, t = jnp.where(mask, p, 0), jnp.where(mask, t, 0)
    return jnp.sum(direction(p, axes, epsilon) * direction(t, axes, epsilon), axis=axes)

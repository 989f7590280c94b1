"""Softmax cross-entropy and its variants for several classes; label smoothing."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics
from gdjax.losses.arrays import axes_of, floats, log_softmax, mask_of, paired, weigh

__all__ = [
    "poly_loss_cross_entropy",
    "safe_softmax_cross_entropy",
    "smooth_labels",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
]


def softmax_cross_entropy(
    logits: Any, labels: Any, axis: int | tuple[int, ...] | None = -1, where: Any = None
) -> jax.Array:
    """Softmax cross-entropy from logits, with distributions over classes as labels.

        pᵢ = exp xᵢ / Σⱼ exp xⱼ,   l = −Σᵢ yᵢ·log pᵢ,   with 0·log 0 = 0

    >>> import gdjax as gd, jax.numpy as jnp
    >>> logits, labels = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]]), jnp.eye(3)[:2]
    >>> print(jnp.array_str(gd.softmax_cross_entropy(logits, labels), precision=4))
    [0.2761 2.9518]

    Args:
        logits: x, [..., n]; −∞ for an impossible class.
        labels: y ≥ 0, of sum 1, [..., n].
        axis: The axis or axes of the classes; None for all.
        where: Entries to include, [..., n], or examples, [...]; others are impossible classes.

    Returns:
        [...], float32 or wider; 0 for an example that is not included.

    Raises:
        ValueError: The shapes are not compatible.
    """
    return _cross_entropy("softmax_cross_entropy", logits, labels, axis, where)[0]


def _cross_entropy(name: str, logits: Any, labels: Any, axis: Any, where: Any):
    """Returns −Σ y·log p, and Σ y·(1 − p)."""
    x, y = paired(name, logits=logits, labels=labels)
    axes = axes_of(name, axis, x.ndim)
    mask = mask_of(name, where, x.shape, axes)
    y = y if mask is None else jnp.where(mask, y, 0)
    log_p = log_softmax(x, axes, mask)
    return -jnp.sum(weigh(y, log_p), axis=axes), jnp.sum(y * -jnp.expm1(log_p), axis=axes)


def safe_softmax_cross_entropy(logits: Any, labels: Any) -> jax.Array:
    """Softmax cross-entropy from logits that may be −∞, along the last axis.

        l = −Σᵢ yᵢ·log pᵢ,   with 0·log 0 = 0

    It equals `softmax_cross_entropy`, in which 0·log 0 = 0 as well.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> logits = jnp.array([0.0, 0.0, -jnp.inf])
    >>> f"{gd.safe_softmax_cross_entropy(logits, jnp.array([1, 0, 0])):.4f}"
    '0.6931'

    Args:
        logits: x, [..., n].
        labels: y ≥ 0, of sum 1, [..., n].

    Raises:
        ValueError: The shapes are not compatible.
    """
    return _cross_entropy("safe_softmax_cross_entropy", logits, labels, -1, None)[0]


def softmax_cross_entropy_with_integer_labels(
    logits: Any, labels: Any, axis: int | tuple[int, ...] = -1, where: Any = None
) -> jax.Array:
    """Softmax cross-entropy from logits, with integer class labels.

        l = log Σⱼ exp xⱼ − x_y

    >>> import gdjax as gd, jax.numpy as jnp
    >>> logits = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]])
    >>> result = gd.softmax_cross_entropy_with_integer_labels(logits, jnp.array([0, 1]))
    >>> print(jnp.array_str(result, precision=4))
    [0.2761 2.9518]
    >>> labels = jnp.array([0, -1])  # −1: to be left out
    >>> result = gd.softmax_cross_entropy_with_integer_labels(logits, labels, where=labels >= 0)
    >>> print(jnp.array_str(result, precision=4))
    [0.2761 0.    ]

    Args:
        logits: x, [..., n]; −∞ for an impossible class.
        labels: y in 0 … n − 1, [...]. With several axes, the flat index in the order of `axis`.
        axis: The axis or axes of the classes.
        where: Entries to include, [..., n], or examples, [...]; others are impossible classes.

    Returns:
        [...], float32 or wider; 0 for an example, or a label, that is not included; NaN for
        a label out of range.

    Raises:
        TypeError: The labels are not integers.
        ValueError: The shapes are not compatible.
    """
    name = "softmax_cross_entropy_with_integer_labels"
    (x,), y = floats(name, logits=logits), jnp.asarray(labels)
    axes = axes_of(name, axis, x.ndim)
    if not jnp.issubdtype(y.dtype, jnp.integer):
        must = "labels must be integers"
        instead = "For distributions over the classes, use softmax_cross_entropy."
        errors.fail(name, must, y.dtype.name, instead=instead, kind=TypeError)
    batch = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    if y.shape != batch:
        errors.fail(name, f"labels must have the shape {batch}", str(y.shape))
    mask = mask_of(name, where, x.shape, axes)

    def last(array):  # the classes on one last axis
        array = jnp.moveaxis(array, axes, range(-len(axes), 0))
        return array.reshape(*batch, -1)

    x, mask = last(x), None if mask is None else last(mask)
    n = x.shape[-1]
    index = jnp.clip(y, 0, n - 1)[..., None]

    def at_label(array):
        return jnp.take_along_axis(array, index, axis=-1)[..., 0]

    loss = -at_label(log_softmax(x, (x.ndim - 1,), mask))
    known = (y >= 0) & (y < n)
    loss = jnp.where(known, loss, jnp.nan)
    if mask is None:
        return loss
    return jnp.where(jnp.where(known, at_label(mask), jnp.any(mask, axis=-1)), loss, 0)


def poly_loss_cross_entropy(
    logits: Any,
    labels: Any,
    *,
    epsilon: Any = 2.0,
    axis: int | tuple[int, ...] | None = -1,
    where: Any = None,
) -> jax.Array:
    """Poly-1 loss (PolyLoss): softmax cross-entropy plus ε(1 − p) of the target class.

        pᵢ = exp xᵢ / Σⱼ exp xⱼ,   l = Σᵢ yᵢ·(−log pᵢ + ε(1 − pᵢ))

    >>> import gdjax as gd, jax.numpy as jnp
    >>> logits, labels = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]]), jnp.eye(3)[:2]
    >>> print(jnp.array_str(gd.poly_loss_cross_entropy(logits, labels), precision=4))
    [0.7587 4.8473]

    Args:
        logits: x, [..., n].
        labels: y ≥ 0, of sum 1, [..., n].
        epsilon: ε ≥ −1; the paper has 2 for images, −1 for detection and segmentation.
        axis: The axis or axes of the classes; None for all.
        where: Entries to include, [..., n], or examples, [...].

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Leng et al., PolyLoss: a polynomial expansion perspective of classification loss
        functions, 2022, https://arxiv.org/abs/2204.12511
    """
    entropy, first = _cross_entropy("poly_loss_cross_entropy", logits, labels, axis, where)
    return entropy + numerics.weak(epsilon) * first


def smooth_labels(
    labels: Any,
    alpha: Any,
    *,
    axis: int | tuple[int, ...] | None = -1,
    where: Any = None,
) -> jax.Array:
    """Label smoothing: mixes labels with the uniform distribution over the classes.

        y ← (1 − α)·y + α / n

    >>> import gdjax as gd, jax.numpy as jnp
    >>> print(jnp.array_str(gd.smooth_labels(jnp.array([[0, 1, 0, 0]]), 0.2), precision=4))
    [[0.05 0.85 0.05 0.05]]

    Args:
        labels: y, [..., n].
        alpha: α in [0, 1].
        axis: The axis or axes of the n classes; None for all.
        where: Entries to include; n counts only these, and the labels of others do not change.

    Returns:
        [..., n], float32 or wider.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Szegedy et al., Rethinking the Inception architecture for computer vision, 2015,
        https://arxiv.org/abs/1512.00567
    """
    y = jnp.asarray(labels)
    y = y.astype(float) if not jnp.issubdtype(y.dtype, jnp.floating) else numerics.wide(y)
    axes = axes_of("smooth_labels", axis, y.ndim)
    mask = mask_of("smooth_labels", where, y.shape, axes)
    alpha = numerics.weak(alpha)
    inside = jnp.ones_like(y) if mask is None else mask.astype(y.dtype)
    n = jnp.maximum(jnp.sum(inside, axis=axes, keepdims=True), 1)
    smooth = (1 - alpha) * y + alpha / n
    return smooth if mask is None else jnp.where(mask, smooth, y)

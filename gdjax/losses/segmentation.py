"""Segmentation losses: Dice, Tversky, generalized Dice."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics
from gdjax.losses.arrays import axes_of, floats, paired

__all__ = ["binary_dice_loss", "dice_loss", "multiclass_generalized_dice_loss"]


def _regions(name: str, predictions: Any, targets: Any, probabilities: bool):
    """Probabilities and targets, [..., classes]; a single class uses the sigmoid."""
    p, t = floats(name, predictions=predictions, targets=targets)
    p = p[..., None] if p.ndim + 1 == t.ndim and t.shape[-1] == 1 else p
    t = t[..., None] if t.ndim + 1 == p.ndim and p.shape[-1] == 1 else t
    if p.ndim == 0 or p.shape != t.shape:
        must = "predictions and targets must have the same shape [..., classes]"
        errors.fail(name, must, f"{p.shape} and {t.shape}")
    if not probabilities:
        p = jax.nn.sigmoid(p) if p.shape[-1] == 1 else jax.nn.softmax(p, axis=-1)
    return p, t


def dice_loss(
    predictions: Any,
    targets: Any,
    *,
    class_weights: Any = None,
    smooth: Any = 1.0,
    alpha: Any = 0.5,
    beta: Any = 0.5,
    apply_softmax: bool = True,
    reduction: str = "mean",
    ignore_background: bool = False,
    axis: Any = None,
) -> jax.Array:
    """Dice loss, or Tversky loss, for segmentation with several classes.

        I = Σᵢ pᵢ·tᵢ,   P = Σᵢ pᵢ,   T = Σᵢ tᵢ
        l = 1 − (I + smooth) / (I + α(P − I) + β(T − I) + smooth)

    With α = β = ½ this is one minus the Dice coefficient; in general one minus the Tversky index,
    in which α weighs false positives and β false negatives.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> truth = jnp.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])  # [batch, pixels, classes]
    >>> print(jnp.array_str(gd.dice_loss(2 * truth, truth), precision=4))
    [0.0738]
    >>> result = gd.dice_loss(jnp.zeros((1, 3, 2)), truth, reduction="none")
    >>> print(jnp.array_str(result, precision=4))
    [[0.3333 0.2727]]

    Args:
        predictions: [batch, ..., classes], logits, for softmax, or for the sigmoid if there is one
            class.
        targets: t in [0, 1], of the same shape.
        class_weights: [classes], factors of the losses of the classes.
        smooth: In pixels, ≥ 0; with 0, the loss of a class neither present nor predicted is 0.
        alpha: α ≥ 0.
        beta: β ≥ 0.
        apply_softmax: False if the predictions are probabilities already.
        reduction: "mean" or "sum" over the classes, or "none".
        ignore_background: Excludes class 0, if there are others.
        axis: The axes to sum over; by default all but the first and the last.

    Returns:
        [batch], or [batch, classes] without reduction; float32 or wider.

    Raises:
        ValueError: The shapes are not compatible, or `reduction` is unknown.

    Reference: Milletari, Navab and Ahmadi, V-Net: fully convolutional neural networks for
        volumetric medical image segmentation, 2016, https://arxiv.org/abs/1606.04797
    """
    name = "dice_loss"
    if reduction not in ("mean", "sum", "none"):
        errors.fail(name, 'reduction must be "mean", "sum" or "none"', reduction)
    p, t = _regions(name, predictions, targets, not apply_softmax)
    if ignore_background and p.shape[-1] > 1:
        p, t = p[..., 1:], t[..., 1:]
        class_weights = None if class_weights is None else jnp.asarray(class_weights)[1:]
    axes = tuple(range(1, p.ndim - 1)) if axis is None else axes_of(name, axis, p.ndim)
    if p.ndim - 1 in axes:
        errors.fail(name, "axis must not include the last axis, of the classes", axis)
    both = jnp.sum(p * t, axis=axes)
    false_positive = jnp.sum(p * (1 - t), axis=axes)
    false_negative = jnp.sum((1 - p) * t, axis=axes)
    smooth, alpha, beta = map(numerics.weak, (smooth, alpha, beta))
    missed = alpha * false_positive + beta * false_negative
    loss = numerics.safe_divide(missed, both + missed + smooth)
    if class_weights is not None:
        (weights,) = floats(name, class_weights=class_weights)
        if weights.shape != loss.shape[-1:]:
            errors.fail(name, "class_weights must have one for each class", str(weights.shape))
        loss, weights = paired(name, losses=loss, class_weights=weights)
        loss = loss * weights
    if reduction == "none":
        return loss
    return jnp.mean(loss, axis=-1) if reduction == "mean" else jnp.sum(loss, axis=-1)


def binary_dice_loss(
    predictions: Any, targets: Any, *, smooth: Any = 1.0, apply_sigmoid: bool = True
) -> jax.Array:
    """Binary Dice loss, for segmentation of one region.

        l = 1 − (I + smooth) / (½(P + T) + smooth),   I = Σ p·t, P = Σ p, T = Σ t

    >>> import gdjax as gd, jax.numpy as jnp
    >>> truth = jnp.array([[1.0, 0.0, 1.0, 1.0]])
    >>> print(jnp.array_str(gd.binary_dice_loss(jnp.zeros((1, 4)), truth), precision=4))
    [0.2857]

    Args:
        predictions: [batch, ...] or [batch, ..., 1], logits.
        targets: t in [0, 1], of the same shape.
        smooth: In pixels, ≥ 0.
        apply_sigmoid: False if the predictions are probabilities already.

    Returns:
        [batch], float32 or wider.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Milletari, Navab and Ahmadi, V-Net: fully convolutional neural networks for
        volumetric medical image segmentation, 2016, https://arxiv.org/abs/1606.04797
    """
    p, t = jnp.asarray(predictions), jnp.asarray(targets)
    p, t = (x if x.ndim and x.shape[-1] == 1 else x[..., None] for x in (p, t))
    return dice_loss(p, t, smooth=smooth, apply_softmax=apply_sigmoid)


def multiclass_generalized_dice_loss(
    predictions: Any,
    targets: Any,
    *,
    smooth: Any = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
) -> jax.Array:
    """Generalized Dice loss: classes weighted by the inverse square of their size.

        w_c = T_c⁻² / Σ T⁻²,   l = 1 − (Σ_c w_c·I_c + smooth) / (½ Σ_c w_c·(P_c + T_c) + smooth)

    with I, P and T of each example as in `dice_loss`. The weights are divided by their sum, which
    cancels in the paper's ratio, so that `smooth` is in pixels. A class that is absent from an
    example has the weight of the rarest class present.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> truth = jnp.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])  # [batch, pixels, classes]
    >>> f"{gd.multiclass_generalized_dice_loss(jnp.zeros((1, 3, 2)), truth):.4f}"
    '0.3191'

    Args:
        predictions: [batch, ..., classes], logits.
        targets: t in [0, 1], of the same shape.
        smooth: In pixels, ≥ 0.
        apply_softmax: False if the predictions are probabilities already.
        ignore_background: Excludes class 0, if there are others.

    Returns:
        [], the mean over the batch, float32 or wider.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Sudre et al., Generalised Dice overlap as a deep learning loss function for highly
        unbalanced segmentations, 2017, https://arxiv.org/abs/1707.03237
    """
    name = "multiclass_generalized_dice_loss"
    p, t = _regions(name, predictions, targets, not apply_softmax)
    if ignore_background and p.shape[-1] > 1:
        p, t = p[..., 1:], t[..., 1:]
    axes = tuple(range(1, p.ndim - 1))
    size = jnp.sum(t, axis=axes)
    rarest = jnp.min(jnp.where(size > 0, size, jnp.inf), axis=-1, keepdims=True)
    rarest = jnp.where(jnp.isfinite(rarest), rarest, 1)
    weight = jnp.square(rarest / jnp.where(size > 0, size, rarest))  # 1 for the rarest
    weight = weight / jnp.sum(weight, axis=-1, keepdims=True)
    both = jnp.sum(p * t, axis=axes)
    missed = (jnp.sum(p * (1 - t), axis=axes) + jnp.sum((1 - p) * t, axis=axes)) / 2
    both, missed = (jnp.sum(weight * x, axis=-1) for x in (both, missed))
    return jnp.mean(numerics.safe_divide(missed, both + missed + numerics.weak(smooth)))

"""Contrastive losses of embeddings: NT-Xent and triplet margin."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics
from gdjax.losses.arrays import axes_of, direction, floats, paired

__all__ = ["ntxent", "triplet_margin_loss"]


def ntxent(embeddings: Any, labels: Any, temperature: Any = 0.07) -> jax.Array:
    """NT-Xent contrastive loss: normalized temperature-scaled cross entropy (SimCLR).

        sᵢⱼ = ⟨zᵢ, zⱼ⟩ / (‖zᵢ‖‖zⱼ‖τ)
        lᵢⱼ = −log(exp sᵢⱼ / (exp sᵢⱼ + Σₖ exp sᵢₖ)),   k over the other labels

    averaged over the ordered pairs i ≠ j with the same label. With two embeddings of each label
    this is SimCLR's loss; with more, only the pair itself is in the denominator, not the other
    embeddings of its label.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> z = jnp.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    >>> f"{gd.ntxent(z, jnp.array([0, 0, 1, 1]), 1.0):.4f}"  # log(1 + 2 / e)
    '0.5514'

    Args:
        embeddings: z, [batch, n].
        labels: [batch], integers.
        temperature: τ > 0.

    Returns:
        [], float32 or wider; 0 if no label occurs twice.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Chen et al., A simple framework for contrastive learning of visual
        representations, 2020, https://arxiv.org/abs/2002.05709
    """
    (z,), labels = floats("ntxent", embeddings=embeddings), jnp.asarray(labels)
    if z.ndim != 2 or labels.shape != z.shape[:1]:
        must = "embeddings must be [batch, n] and labels [batch]"
        errors.fail("ntxent", must, f"{z.shape} and {labels.shape}")
    z = direction(z, (1,))
    s = jnp.matmul(z, z.T, precision=jax.lax.Precision.HIGHEST) / numerics.weak(temperature)
    same = labels[:, None] == labels[None, :]
    positive = same & ~jnp.eye(len(labels), dtype=bool)
    top = jax.lax.stop_gradient(jnp.max(s, axis=1, keepdims=True))
    negatives = jnp.sum(jnp.exp(s - top), axis=1, keepdims=True, where=~same)
    pair = s - top
    losses = jnp.log(jnp.exp(pair) + negatives) - pair
    return jnp.sum(losses, where=positive) / jnp.maximum(jnp.sum(positive), 1).astype(s.dtype)


def triplet_margin_loss(
    anchors: Any,
    positives: Any,
    negatives: Any,
    axis: int = -1,
    norm_degree: Any = 2,
    margin: Any = 1.0,
    eps: Any = 1e-6,
) -> jax.Array:
    """Triplet margin loss: the anchor closer to the positive than to the negative, by a margin.

        d(x, y) = (Σᵢ |xᵢ − yᵢ|^p + eps)^(1/p),   l = max(0, d(a, b) − d(a, c) + margin)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> a, b, c = jnp.array([[0.0, 0.0]]), jnp.array([[0.1, 0.1]]), jnp.array([[1.0, 0.0]])
    >>> print(jnp.array_str(gd.triplet_margin_loss(a, b, c), precision=4))
    [0.1414]

    Args:
        anchors: a, [..., n].
        positives: b, [..., n].
        negatives: c, [..., n].
        axis: The axis of the embeddings.
        norm_degree: p ≥ 1.
        margin: In the units of the embeddings.
        eps: eps ≥ 0, in their units to the power p.

    Returns:
        [...], float32 or wider.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Balntas et al., Learning local feature descriptors with triplets and shallow
        convolutional neural networks, 2016, https://doi.org/10.5244/C.30.119
    """
    name = "triplet_margin_loss"
    a, b, c = paired(name, anchors=anchors, positives=positives, negatives=negatives)
    axes = axes_of(name, axis, a.ndim)
    p, eps = numerics.weak(norm_degree), numerics.weak(eps)

    def distance(d):  # entries are divided by the largest, against overflow and underflow
        d = jnp.abs(d)
        least = jnp.full_like(jnp.sum(d, axis=axes, keepdims=True), eps ** (1.0 / p))
        top = jax.lax.stop_gradient(jnp.maximum(jnp.max(d, axis=axes, keepdims=True), least))
        top = jnp.where((top > 0) & jnp.isfinite(top), top, 1)
        total = jnp.sum((d / top) ** p, axis=axes, keepdims=True) + (least / top) ** p
        some = total > 0
        root = jnp.where(some, jnp.where(some, total, 1) ** (1.0 / p), 0)
        return jnp.squeeze(top * root, axes)

    return jnp.maximum(0, distance(a - b) - distance(a - c) + numerics.weak(margin))

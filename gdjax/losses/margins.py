"""Multiclass hinge, perceptron and sparsemax losses."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors
from gdjax.losses.arrays import floats
from gdjax.projections.simplex import simplex_of

__all__ = ["multiclass_hinge_loss", "multiclass_perceptron_loss", "multiclass_sparsemax_loss"]


def _above(name: str, scores: Any, labels: Any) -> tuple[jax.Array, jax.Array]:
    """The scores minus the label's score, and the one-hot labels; [..., n]."""
    (s,), y = floats(name, scores=scores), jnp.asarray(labels)
    if s.ndim == 0 or y.shape != s.shape[:-1] or not jnp.issubdtype(y.dtype, jnp.integer):
        must = "labels must be integers, in the shape of scores without the last axis"
        errors.fail(name, must, f"{y.dtype.name} {y.shape} for scores {s.shape}")
    at_label = jax.lax.broadcasted_iota(y.dtype, s.shape, s.ndim - 1) == y[..., None]
    own = jnp.sum(jnp.where(at_label, s, 0), axis=-1, keepdims=True)
    return s - own, at_label


def _highest(x: jax.Array) -> jax.Array:
    """The maximum along the last axis; its derivative is divided among equal entries.

    The derivative of `jnp.max` is NaN if a compiler rounds `x` differently where it is compared
    with the maximum: then no entry equals it. Here `argmax` always gives one.
    """
    fixed = jax.lax.stop_gradient(x)
    place = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
    first = jnp.argmax(fixed, axis=-1, keepdims=True).astype(jnp.int32)
    top = (place == first) | (fixed == jnp.max(fixed, axis=-1, keepdims=True))
    return jnp.mean(x, axis=-1, where=top)


def multiclass_hinge_loss(scores: Any, labels: Any) -> jax.Array:
    """Multiclass hinge loss (Crammer and Singer), with a margin of 1.

        l = maxⱼ (sⱼ + [j ≠ y]) − s_y

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.multiclass_hinge_loss(jnp.array([[3.0, 1.0, 2.5]]), jnp.array([0]))
    Array([0.5], dtype=float32)

    Args:
        scores: s, [..., n].
        labels: y in 0 … n − 1, [...].

    Returns:
        [...], float32 or wider.

    Raises:
        ValueError: The labels are not integers, or the shapes are not compatible.

    Reference: Crammer and Singer, On the algorithmic implementation of multiclass kernel-based
        vector machines, 2001, https://www.jmlr.org/papers/v2/crammer01a.html
    """
    above, at_label = _above("multiclass_hinge_loss", scores, labels)
    return _highest(above + jnp.where(at_label, 0, 1))


def multiclass_perceptron_loss(scores: Any, labels: Any) -> jax.Array:
    """Multiclass perceptron loss: the highest score minus the score of the label.

        l = maxⱼ sⱼ − s_y

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.multiclass_perceptron_loss(jnp.array([[3.0, 1.0, 2.5]]), jnp.array([2]))
    Array([0.5], dtype=float32)

    Args:
        scores: s, [..., n].
        labels: y in 0 … n − 1, [...].

    Returns:
        [...], float32 or wider.

    Raises:
        ValueError: The labels are not integers, or the shapes are not compatible.

    Reference: Collins, Discriminative training methods for hidden Markov models, 2002,
        https://aclanthology.org/W02-1001
    """
    return _highest(_above("multiclass_perceptron_loss", scores, labels)[0])


def multiclass_sparsemax_loss(scores: Any, labels: Any) -> jax.Array:
    """Multiclass sparsemax loss: the Fenchel-Young loss of the projection onto the simplex.

        l = max_p (⟨p, s⟩ − ½‖p‖²) + ½ − s_y,   p ≥ 0, Σp = 1

    Its gradient is p − e_y; it is 0 where the label's score exceeds all others by 1 or more.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> result = gd.multiclass_sparsemax_loss(jnp.array([[3.0, 1.0, 2.5]]), jnp.array([2]))
    >>> print(jnp.array_str(result, precision=4))
    [0.5625]

    Args:
        scores: s, [..., n].
        labels: y in 0 … n − 1, [...].

    Returns:
        [...], float32 or wider.

    Raises:
        ValueError: The labels are not integers, or the shapes are not compatible.

    Reference: Martins and Astudillo, From softmax to sparsemax: a sparse model of attention and
        multi-label classification, 2016, https://arxiv.org/abs/1602.02068
    """
    above, _ = _above("multiclass_sparsemax_loss", scores, labels)
    p = simplex_of(above, 1.0)
    inside = jnp.where(p > 0, above, 0)  # scores may be −∞
    return jnp.sum(p * inside - 0.5 * p * p, axis=-1) + 0.5

"""The namespace `optax.losses`."""

from __future__ import annotations

import math
import warnings
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.compat.optax.names import NAMES, namespace
from gdjax.losses import classification as _native
from gdjax.losses import divergences as _divergences

__all__ = NAMES["losses"]


def softmax_cross_entropy_with_integer_labels(
    logits: Any, labels: Any, axis: int | tuple[int, ...] = -1, where: Any = None
) -> jax.Array:
    """Softmax cross-entropy with integer labels: −1 is the last class, as in optax, not NaN."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    classes = math.prod(jnp.shape(logits)[i] for i in axes)
    labels = jnp.asarray(labels)
    labels = jnp.where(labels < 0, labels + jnp.asarray(classes, labels.dtype), labels)
    loss = _native.softmax_cross_entropy_with_integer_labels
    return loss(logits, labels, axis, where)


def convex_kl_divergence(
    log_predictions: Any, targets: Any, axis: int | tuple[int, ...] = -1, where: Any = None
) -> jax.Array:
    """An older name of `generalized_kl_divergence`."""
    how = "convex_kl_divergence is deprecated, use generalized_kl_divergence instead."
    warnings.warn(how, DeprecationWarning, stacklevel=2)
    return _divergences.generalized_kl_divergence(log_predictions, targets, axis, where)


__getattr__, __dir__ = namespace("losses", ("gdjax.losses",))

"""Kullback-Leibler divergences from log-probabilities."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.losses.arrays import axes_of, mask_of, paired, weigh

__all__ = [
    "convex_kl_divergence",
    "generalized_kl_divergence",
    "kl_divergence",
    "kl_divergence_with_log_targets",
]

Axis = int | tuple[int, ...] | None


def _inputs(name: str, log_predictions: Any, targets: Any, axis: Any, where: Any, none: float = 0):
    """Wide arrays of one shape and their axes; entries outside the mask are filled in."""
    q, t = paired(name, log_predictions=log_predictions, targets=targets)
    axes = axes_of(name, axis, q.ndim)
    mask = mask_of(name, where, q.shape, axes)
    if mask is not None:
        q, t = jnp.where(mask, q, -jnp.inf), jnp.where(mask, t, none)
    return q, t, axes


def kl_divergence(
    log_predictions: Any, targets: Any, axis: Axis = -1, where: Any = None
) -> jax.Array:
    """Kullback-Leibler (KL) divergence of targets from log-predictions, in nats.

        l = Σᵢ tᵢ·(log tᵢ − log pᵢ),   with 0·log 0 = 0

    >>> import gdjax as gd, jax.numpy as jnp
    >>> f"{gd.kl_divergence(jnp.log(jnp.array([0.5, 0.5])), jnp.array([1.0, 0.0])):.4f}"
    '0.6931'

    Args:
        log_predictions: log p, [..., n]; −∞ for probability 0.
        targets: t ≥ 0, [..., n].
        axis: The axis or axes to sum over; None for all.
        where: Entries to include, [..., n], or examples, [...].

    Returns:
        [...], float32 or wider; ∞ where pᵢ = 0 < tᵢ. At tᵢ = 0 the derivative of tᵢ·log tᵢ,
        which is unbounded there, is taken to be 0.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Kullback and Leibler, On information and sufficiency, 1951,
        https://doi.org/10.1214/aoms/1177729694
    """
    q, t, axes = _inputs("kl_divergence", log_predictions, targets, axis, where)
    return jnp.sum(_relative_entropy(q, t), axis=axes)


def _relative_entropy(q: jax.Array, t: jax.Array) -> jax.Array:
    return weigh(t, jnp.log(jnp.where(t == 0, 1, t)) - q)


def kl_divergence_with_log_targets(
    log_predictions: Any, log_targets: Any, axis: Axis = -1, where: Any = None
) -> jax.Array:
    """Kullback-Leibler (KL) divergence of log-targets from log-predictions, in nats.

        l = Σᵢ tᵢ·(log tᵢ − log pᵢ),   with 0·log 0 = 0

    >>> import gdjax as gd, jax.numpy as jnp
    >>> log_predictions, log_targets = jnp.log(jnp.array([[0.5, 0.5], [1.0, 0.0]]))
    >>> f"{gd.kl_divergence_with_log_targets(log_predictions, log_targets):.4f}"
    '0.6931'

    Args:
        log_predictions: log p, [..., n]; −∞ for probability 0.
        log_targets: log t, [..., n]; −∞ for probability 0.
        axis: The axis or axes to sum over; None for all.
        where: Entries to include, [..., n], or examples, [...].

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Kullback and Leibler, On information and sufficiency, 1951,
        https://doi.org/10.1214/aoms/1177729694
    """
    name = "kl_divergence_with_log_targets"
    q, s, axes = _inputs(name, log_predictions, log_targets, axis, where, -jnp.inf)
    t = jnp.exp(s)
    return jnp.sum(weigh(t, jnp.where(t == 0, 0, s) - q), axis=axes)


def generalized_kl_divergence(
    log_predictions: Any, targets: Any, axis: Axis = -1, where: Any = None
) -> jax.Array:
    """Generalized KL divergence, for measures whose sum need not be 1; never negative.

        l = Σᵢ tᵢ·(log tᵢ − log pᵢ) − tᵢ + pᵢ,   with 0·log 0 = 0

    >>> import gdjax as gd, jax.numpy as jnp
    >>> f"{gd.generalized_kl_divergence(jnp.log(jnp.array([2.0, 1.0])), jnp.array([2.0, 0.0])):.4f}"
    '1.0000'

    Args:
        log_predictions: log p, [..., n]; −∞ for 0.
        targets: t ≥ 0, [..., n].
        axis: The axis or axes to sum over; None for all.
        where: Entries to include, [..., n], or examples, [...].

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Bregman, The relaxation method of finding the common point of convex sets and its
        application to the solution of problems in convex programming, 1967,
        https://doi.org/10.1016/0041-5553(67)90040-7
    """
    q, t, axes = _inputs("generalized_kl_divergence", log_predictions, targets, axis, where)
    return jnp.sum(_relative_entropy(q, t) + (jnp.exp(q) - t), axis=axes)


def convex_kl_divergence(
    log_predictions: Any, targets: Any, axis: Axis = -1, where: Any = None
) -> jax.Array:
    """Older name of `generalized_kl_divergence`, the generalized KL divergence.

        l = Σᵢ tᵢ·(log tᵢ − log pᵢ) − tᵢ + pᵢ

    >>> import gdjax as gd, jax.numpy as jnp
    >>> f"{gd.convex_kl_divergence(jnp.log(jnp.array([2.0, 1.0])), jnp.array([2.0, 0.0])):.4f}"
    '1.0000'

    Args:
        log_predictions: log p, [..., n].
        targets: t ≥ 0, [..., n].
        axis: The axis or axes to sum over; None for all.
        where: Entries to include, [..., n], or examples, [...].

    Raises:
        ValueError: The shapes are not compatible.
    """
    return generalized_kl_divergence(log_predictions, targets, axis, where)

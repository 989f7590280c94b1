"""Updates of moments, of `optax.tree`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import numerics

__all__ = [
    "bias_correction",
    "update_infinity_moment",
    "update_moment",
    "update_moment_per_elem_norm",
]


def _mean(power: Callable[[jax.Array], jax.Array], updates: Any, moments: Any, decay: Any) -> Any:
    decay = numerics.weak(decay)

    def one(g, m):
        return (
            None if g is None else numerics.ema(m, numerics.like(power(numerics.wide(g)), m), decay)
        )

    return jax.tree.map(one, updates, moments, is_leaf=lambda x: x is None)


def update_moment(updates: Any, moments: Any, decay: Any, order: Any) -> Any:
    """EMA of the order-th moment: decay·m + (1 − decay)·g^order."""
    return _mean(lambda g: g if order == 1 else g**order, updates, moments, decay)


def update_moment_per_elem_norm(updates: Any, moments: Any, decay: Any, order: Any) -> Any:
    """EMA of the order-th moment of absolute values: decay·m + (1 − decay)·|g|^order."""

    def power(g):
        return numerics.abs_sq(g) if order == 2 else jnp.abs(g) ** order

    return _mean(power, updates, moments, decay)


def update_infinity_moment(updates: Any, moments: Any, decay: Any, eps: Any) -> Any:
    """EMA of the infinity moment: max(decay·m, |g| + eps)."""
    decay, eps = numerics.weak(decay), numerics.weak(eps)

    def one(g, m):
        return None if g is None else jnp.maximum(numerics.like(jnp.abs(g) + eps, m), decay * m)

    return jax.tree.map(one, updates, moments, is_leaf=lambda x: x is None)


def bias_correction(moment: Any, decay: Any, count: Any) -> Any:
    """Bias correction of an EMA of `count` terms: m / (1 − decay^count)."""
    total = numerics.debias(decay, count)
    return jax.tree.map(lambda m: m / total.astype(m.dtype), moment)

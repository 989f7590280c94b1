"""Adaptive gradient clipping: by the norm of the parameters (AGC), by past norms (ZClip)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, NonNegative
from gdjax.core.engine.rule import EmptyState, Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import ema, increment, safe_divide, zero_count
from gdjax.core.rule.roles import Count, Scalar

__all__ = ["ZClipState", "adaptive_grad_clip", "unitwise_clip", "unitwise_norm", "zclip"]


def unitwise_norm(x: jax.Array, axis: int | tuple[int, ...] | None = None) -> jax.Array:
    """Unit-wise norms of one array, in a shape that broadcasts with it.

    A unit is the weights of one output: a column of a matrix [in, out], a filter of a kernel
    [height, width, in, out] with any number of spatial axes; a vector is one unit.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.unitwise_norm(jnp.array([[3.0, 0.0], [4.0, 2.0]]))
    Array([[5., 2.]], dtype=float32)

    Args:
        x: An array of any shape.
        axis: Axes that the norm reduces; None for all but the last of two or more axes.
    """
    if axis is None:
        vector = sum(n > 1 for n in x.shape) <= 1
        axis = tuple(range(x.ndim if vector else x.ndim - 1))
    return numerics.norm(x, axis, keepdims=True)


def unitwise_clip(g_norm: jax.Array, max_norm: jax.Array, grad: jax.Array) -> jax.Array:
    """Unit-wise gradient clipping: rescales the units of a gradient to a largest norm.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([[3.0, 0.0], [4.0, 2.0]])
    >>> gd.unitwise_clip(gd.unitwise_norm(g), jnp.array([[1.0, 9.0]]), g).round(6)
    Array([[0.6, 0. ],
           [0.8, 2. ]], dtype=float32)

    Args:
        g_norm: Norms of the units, from `unitwise_norm`.
        max_norm: The largest norm of each unit, ≥ 0, in the same shape.
        grad: The gradient.
    """
    factor = jnp.where(g_norm > max_norm, safe_divide(max_norm, g_norm), 1)
    return grad * factor.astype(grad.dtype)


@transformation
def adaptive_grad_clip(
    clipping: NonNegative, eps: NonNegative = 1e-3, axis: int | tuple[int, ...] | None = None
):
    """Adaptive gradient clipping (AGC): clips each unit's gradient by the norm of its weights.

        u = g · min(1, λ·max(‖θ‖, ε) / ‖g‖)

    Norms are of the weights of each unit.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.adaptive_grad_clip(0.1)
    >>> tx.update(jnp.array([3.0, 4.0]), gd.EmptyState(), jnp.array([0.0, 2.0]))[0].round(6)
    Array([0.12, 0.16], dtype=float32)

    Args:
        clipping: λ ≥ 0, the largest ratio of gradient norm to weight norm.
        eps: ε, a lower bound of the weight norm, so that zero weights can move; in the units of
            the weights.
        axis: Axes that the norm of a unit reduces; None for those of `unitwise_norm`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Brock, De, Smith and Simonyan, High-performance large-scale image recognition
        without normalization, 2021, https://arxiv.org/abs/2102.06171
    """

    def leaf(g, w):
        longest = clipping * jnp.maximum(unitwise_norm(w, axis), eps)
        return unitwise_clip(unitwise_norm(g, axis), longest, g)

    def update(updates, state, params=None, **extra):
        errors.need_params("adaptive_grad_clip", params)
        return tree.map(leaf, updates, params), state

    return lambda params: EmptyState(), update


class ZClipState(NamedTuple):
    """State of `zclip`."""

    count: Count
    mean: Scalar  # of the norms, those clipped counted as clipped
    var: Scalar  # their variance


@transformation
def zclip(
    threshold: NonNegative = 2.5,
    decay: Decay = 0.97,
    warmup_steps: NonNegative = 25,
    *,
    axis_name: Any = None,
):
    """ZClip: clips the global norm of the updates by its z-score among the previous norms.

        d = ‖g‖ − μ₋                                       n = max(warmup_steps, 1)
        c = μ₋ + κ²·v₋/d if d > κ·√v₋, else ‖g‖            l = c if t > n, else ‖g‖
        u = g · l / ‖g‖
        a = α if t > n, else 1 − 1/t                       μ ← a·μ + (1 − a)·l
        e = (l − μ)² if t > n, else (l − μ₋)·(l − μ)       v ← a·v + (1 − a)·e

    With the deviation σ = √v, the z-score of a norm is z = d/σ; where it is above κ, the norm
    becomes μ + κ²/z·σ: the larger the norm, the smaller the clipped norm, down to the mean. In the
    first n steps nothing is clipped, and μ and v are the plain mean and variance of the norms.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.zclip(threshold=2.0, warmup_steps=2)
    >>> state = tx.init(jnp.zeros(1))
    >>> for g in (1.0, 3.0, 10.0):
    ...     u, state = tx.update(jnp.array([g]), state)
    >>> u  # μ = 2, σ = 1, z = 8: to 2 + 4 / 8
    Array([2.5], dtype=float32)

    Args:
        threshold: κ ≥ 0, the largest z-score that is not clipped.
        decay: α in [0, 1), the decay of mean and variance.
        warmup_steps: Steps before clipping starts; at least one.
        axis_name: Axes of `shard_map` or `pmap` over which the updates are split.

    Reference: Kumar, Owen, Roy Chowdhury and Güra, ZClip: adaptive spike mitigation for LLM
        pre-training, 2025, https://arxiv.org/abs/2504.02507
    """

    def init(params):
        return ZClipState(zero_count(), tree.scalar_like(params), tree.scalar_like(params))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        length = tree.norm(updates, axis_name=axis_name).astype(state.mean.dtype)
        early = t.astype(float) <= jnp.maximum(numerics.weak(warmup_steps), 1)

        above = length - state.mean
        spike = ~early & (above > threshold * numerics.safe_sqrt(state.var))
        # μ + κ²/z · σ, which is right, and finite, at σ = 0 too.
        low = state.mean + threshold**2 * safe_divide(state.var, above)
        clipped = jnp.where(spike, low, length)

        # Welford's form of the plain mean and variance: 1/t and 1 − 1/t as the decays.
        share = jnp.where(early, 1 - 1 / t.astype(length.dtype), numerics.like(decay, length))
        mean = ema(state.mean, clipped, share)
        off = jnp.where(early, (clipped - state.mean) * (clipped - mean), (clipped - mean) ** 2)
        var = ema(state.var, off, share)

        factor = jnp.where(spike, safe_divide(clipped, length), 1)
        updates = tree.map(lambda g: g * factor.astype(g.dtype), updates)
        return updates, ZClipState(t, mean, var)

    return Rule(init, update, couples=True)

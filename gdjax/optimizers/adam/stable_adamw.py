"""StableAdamW: AdamW with update clipping, as Adafactor has it."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import (
    abs_sq,
    debias,
    divide_by_root,
    ema,
    increment,
    safe_divide,
    safe_sqrt,
    zero_count,
)
from gdjax.optimizers.adam.adam import ScaleByAdamState
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import masked_params

__all__ = ["scale_by_stable_adam", "stable_adamw"]


@transformation
def scale_by_stable_adam(
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    mu_dtype: Any = None,
    weight_decay: WeightDecay | None = None,
    mask: Mask = None,
):
    """StableAdamW scaling: Adam with update clipping by the RMS of g / √v̂ of each array.

        m ← b1·m + (1 − b1)·g               m̂ = m / (1 − b1ᵗ)
        v ← b2·v + (1 − b2)·|g|²            v̂ = v / (1 − b2ᵗ)
        r = √mean(|g|² / max(v̂, eps²))      u = m̂ / (√v̂ + eps) / max(1, r)
        with weight_decay:                  u = (m̂ / (√v̂ + eps) + λθ) / max(1, r)

    The mean is over one array. Weight decay is part of the rule, since it is divided by max(1, r)
    as well.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_stable_adam()
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(2)
    Array([ 1., -1.], dtype=float32)

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        weight_decay: λ ≥ 0; None is no decay, and needs no parameters.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params although there is decay.

    Reference: Wortsman et al., Stable and low-precision training for large-scale vision-language
        models, 2023, https://arxiv.org/abs/2304.13013
    """

    def init(params):
        mu, nu = tree.moment_like(params, mu_dtype), tree.square_like(params)
        return ScaleByAdamState(zero_count(), mu, nu)

    def update(updates, state, params=None, **extra):
        decayed = None
        if weight_decay is not None:
            errors.need_params("scale_by_stable_adam", params)
            decayed = masked_params(params, mask, "scale_by_stable_adam")
        t = increment(state.count)
        c1, c2 = debias(b1, t), debias(b2, t)

        def leaf(g, m, v, p):
            m = ema(m, g, b1)
            v = ema(v, abs_sq(g), b2)
            u = divide_by_root(m / c1, v / c2, eps)
            if p is not None:
                u = u + weight_decay * p
            surprise = safe_divide(abs_sq(g), jnp.maximum(v / c2, eps * eps))
            r = safe_sqrt(jnp.sum(surprise) / max(g.size, 1))
            return u / jnp.maximum(r, 1).astype(u.dtype), m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu), decayed)
        return updates, ScaleByAdamState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def stable_adamw(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    mu_dtype: Any = None,
    weight_decay: WeightDecay = 0.01,
    mask: Mask = None,
):
    """StableAdamW: AdamW with update clipping, in place of gradient clipping.

        θ ← θ − η/max(1, r)·(m̂ / (√v̂ + eps) + λθ),    r, m̂ and v̂ of `scale_by_stable_adam`

    After many small gradients √v̂ is small, and the first large one makes Adam take a very large
    step; here the rate of that array is divided by r.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.stable_adamw(0.5, b1=0.0, weight_decay=0.0), jnp.zeros(2)
    >>> state = tx.init(params)
    >>> for size in (1.0, 1.0, 100.0):
    ...     updates, state = tx.update(jnp.full(2, size), state, params)
    >>> updates.round(2)  # Adam's would be -0.86
    Array([-0.5, -0.5], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        weight_decay: λ ≥ 0, scaled by the rate η/max(1, r).
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Wortsman et al., Stable and low-precision training for large-scale vision-language
        models, 2023, https://arxiv.org/abs/2304.13013
    """
    return chain(
        scale_by_stable_adam(b1, b2, eps, mu_dtype, weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

"""Learning-rate schedules with linear warmup: constant, cosine, exponential, stable-decay (WSD)."""

from __future__ import annotations

import operator

import jax.numpy as jnp

from gdjax.core.data.schedule import schedule_of_counts
from gdjax.core.rule import errors
from gdjax.core.rule.numerics import safe_sqrt
from gdjax.schedules.annotations import Count, Factor, Fraction, Steps, Value
from gdjax.schedules.decays import exponential_decay
from gdjax.schedules.interpolation import (
    after,
    cosine,
    interpolate,
    judge,
    lerp,
    power,
    real,
    remaining,
    snap_to_step,
)
from gdjax.schedules.join import joined

__all__ = [
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "warmup_stable_decay_schedule",
]


@schedule_of_counts
def warmup_constant_schedule(init_value: Value, peak_value: Value, warmup_steps: Count):
    """Linear warmup, then constant.

        c(t) = a + (c₁ − a)·t/W    for t < W
        c(t) = c₁                  for t ≥ W

    Exactly a at step 0. With W = 0 it is c₁ from the start (in optax it is always a).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.warmup_constant_schedule(0.0, 1.0, 2)(jnp.arange(5))
    Array([0. , 0.5, 1. , 1. , 1. ], dtype=float32)

    Args:
        init_value: a, the value at step 0.
        peak_value: c₁, the value from step W on.
        warmup_steps: W ≥ 0, in steps.
    """

    def value(step):
        rise = interpolate(step, 0, warmup_steps, init_value, peak_value)
        return jnp.where(after(step, warmup_steps) < 0, rise, real(peak_value))

    return value


@schedule_of_counts
def warmup_cosine_decay_schedule(
    init_value: Value,
    peak_value: Value,
    warmup_steps: Count,
    decay_steps: Steps,
    end_value: Value = 0.0,
    exponent: Factor = 1.0,
):
    """Linear warmup, then cosine decay.

        c(t) = a + (c₁ − a)·t/W                    for t < W
        c(t) = b + (c₁ − b)·((1 + cos(πx))/2)ᵖ     for t ≥ W
        x = min((t − W)/(T − W), 1)

    Exactly a at step 0, c₁ at step W, b from step T on. With W = 0 it begins at c₁.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.warmup_cosine_decay_schedule(0.0, 1.0, 2, 6)(jnp.array([0, 1, 2, 4, 6, 7]))
    Array([0. , 0.5, 1. , 0.5, 0. , 0. ], dtype=float32)

    Args:
        init_value: a, the value at step 0.
        peak_value: c₁, the value at step W.
        warmup_steps: W ≥ 0, in steps.
        decay_steps: T > W, the total number of steps, warmup included.
        end_value: b, the value from step T on.
        exponent: p > 0.

    Raises:
        ValueError: T ≤ W.

    Reference: Loshchilov and Hutter, SGDR, 2016, https://arxiv.org/abs/1608.03983
    """
    if judge(operator.gt, decay_steps, warmup_steps):
        must = f"decay_steps, which includes the warmup, must be more than {warmup_steps}"
        errors.fail("warmup_cosine_decay_schedule", must, decay_steps)

    def value(step):
        rise = lerp(peak_value, init_value, remaining(step, 0, warmup_steps))
        left = remaining(step, warmup_steps, decay_steps, cosine)
        if not isinstance(exponent, (int, float)) or exponent != 1:
            left = power(left, exponent)
        fall = lerp(end_value, peak_value, left)
        return jnp.where(after(step, warmup_steps) < 0, rise, fall)

    return value


@schedule_of_counts
def warmup_exponential_decay_schedule(
    init_value: Value,
    peak_value: Value,
    warmup_steps: Count,
    transition_steps: Steps,
    decay_rate: Factor,
    transition_begin: Count = 0,
    staircase: bool = False,
    end_value: Value | None = None,
):
    """Linear warmup, then exponential decay (or step decay).

        c(t) = a + (c₁ − a)·t/W    for t < W
        c(t) = y                   for t ≥ W
        y = c₁·rˣ,    x = max(t − W − B, 0)/T
        with staircase: x = ⌊max(t − W − B, 0)/T⌋
        with end_value: y = max(c₁·rˣ, b) if r < 1, else min(c₁·rˣ, b)

    Exactly a at step 0, c₁ from step W to step W + B. With W = 0 it begins at c₁.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> halving = gd.warmup_exponential_decay_schedule(0.0, 8.0, 2, 2, 0.5, staircase=True)
    >>> print(halving(jnp.arange(6)))
    [0. 4. 8. 8. 4. 4.]

    Args:
        init_value: a, the value at step 0.
        peak_value: c₁, the value at step W.
        warmup_steps: W ≥ 0, in steps.
        transition_steps: T > 0, in steps.
        decay_rate: r > 0, the factor for T steps.
        transition_begin: B ≥ 0, steps at the peak before the decay begins.
        staircase: True to decay in discrete steps, after every T steps.
        end_value: b, the value at which the decay stops; none by default.
    """
    decay = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )

    def value(step):
        rise = lambda step: interpolate(step, 0, warmup_steps, init_value, peak_value)
        return joined(step, [rise, decay], [warmup_steps])

    return value


def _one_minus_root(left):
    return left / (1 + safe_sqrt(1 - left))  # 1 − √x without cancellation, x = 1 − left


_SHAPES = {
    "linear": lambda step, begin, end: remaining(step, begin, end),
    "sqrt": lambda step, begin, end: _one_minus_root(remaining(step, begin, end)),
    "cosine": lambda step, begin, end: remaining(step, begin, end, cosine),
}


@schedule_of_counts
def warmup_stable_decay_schedule(
    peak_value: Value,
    total_steps: Steps,
    warmup: Fraction = 0.02,
    decay: Fraction = 0.2,
    shape: str = "linear",
    init_value: Value = 0.0,
    end_value: Value = 0.0,
):
    """Warmup-stable-decay (WSD): linear warmup, constant, and a short cooldown at the end.

        c(t) = a + (c₁ − a)·t/W    for t < W
        c(t) = c₁                  for W ≤ t < S
        c(t) = b + (c₁ − b)·y      for t ≥ S
        W = w·T,    S = T − d·T,    x = min((t − S)/(T − S), 1)
        with linear: y = 1 − x
        with sqrt: y = 1 − √x
        with cosine: y = (1 + cos(πx))/2

    Exactly a at step 0, c₁ from step W to step S, b from step T on. Where W or S is not a whole
    step it is not rounded. With w = 0 it begins at c₁, with d = 0 it ends there.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> wsd = gd.warmup_stable_decay_schedule(1.0, 10, warmup=0.2, decay=0.4)
    >>> wsd(jnp.array([0, 1, 2, 6, 7, 9, 10]))
    Array([0.  , 0.5 , 1.  , 1.  , 0.75, 0.25, 0.  ], dtype=float32)

    Args:
        peak_value: c₁, the value of the constant phase.
        total_steps: T > 0, the total number of steps.
        warmup: w, as a fraction of T.
        decay: d, as a fraction of T; w + d ≤ 1.
        shape: Of the cooldown: "linear", "sqrt" (1 − √x, the best one in the paper) or "cosine".
        init_value: a, the value at step 0.
        end_value: b, the value from step T on.

    Raises:
        ValueError: Unknown `shape`, or w + d > 1.

    Reference: Hägele et al., Scaling laws and compute-optimal training beyond fixed training
        durations, 2024, https://arxiv.org/abs/2405.18392; Hu et al., MiniCPM, 2024,
        https://arxiv.org/abs/2404.06395
    """
    name = "warmup_stable_decay_schedule"
    if shape not in _SHAPES:
        hint = errors.nearest(str(shape), _SHAPES)
        errors.fail(name, f"shape must be one of {', '.join(_SHAPES)}", shape, instead=hint)
    if judge(lambda w, d: w + d <= 1 + 1e-6, warmup, decay):
        must = "warmup and decay, fractions of total_steps, must sum to at most 1"
        errors.fail(name, must, f"{warmup} + {decay}")

    def value(step):
        total = real(total_steps)
        risen, falls = snap_to_step(real(warmup) * total), snap_to_step(total - real(decay) * total)
        rise = interpolate(step, 0, risen, init_value, peak_value)
        fall = lerp(end_value, peak_value, _SHAPES[shape](step, falls, total))
        return jnp.where(after(step, risen) < 0, rise, fall)

    return value

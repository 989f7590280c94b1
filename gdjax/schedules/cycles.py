"""Cyclical learning rates (triangular, cosine) and one-cycle schedules."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.data.schedule import schedule_of_counts
from gdjax.core.rule import errors
from gdjax.schedules.annotations import Factor, Fraction, Shrink, Steps, Value
from gdjax.schedules.interpolation import (
    after,
    cosine,
    cycle,
    geometric,
    interpolate,
    judge,
    lerp,
    real,
    remaining,
    snap_to_step,
)

__all__ = [
    "cosine_cycle_schedule",
    "cosine_onecycle_schedule",
    "linear_onecycle_schedule",
    "triangular_schedule",
]


@schedule_of_counts
def triangular_schedule(
    min_value: Value,
    max_value: Value,
    up_steps: Steps,
    down_steps: Steps | None = None,
    cycle_decay: Shrink = 1.0,
    step_decay: Shrink = 1.0,
):
    """Triangular cyclical learning rate: linear up and down, repeated without end.

        c(t) = a + (b − a)·δⁱ·γᵗ·w
        w = s/U              for s ≤ U
        w = 1 − (s − U)/D    for s ≥ U
        i = ⌊t/(U + D)⌋,    s = t − i·(U + D)
        without down_steps: D = U

    Exactly a at step 0 and at each multiple of U + D, the maximum U steps later. It is torch's
    CyclicLR: "triangular", "triangular2" (δ = 0.5) and "exp_range" (γ is its gamma).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.triangular_schedule(0.0, 1.0, 2)(jnp.arange(6))
    Array([0. , 0.5, 1. , 0.5, 0. , 0.5], dtype=float32)

    Args:
        min_value: a, the lowest value.
        max_value: b, the first maximum.
        up_steps: U > 0, the steps from minimum to maximum.
        down_steps: D > 0, the steps from maximum to minimum; `up_steps` by default.
        cycle_decay: δ in (0, 1], the factor from the height of one cycle to the next.
        step_decay: γ in (0, 1], the factor of the height from one step to the next.

    Reference: Smith, Cyclical learning rates for training neural networks, 2015,
        https://arxiv.org/abs/1506.01186
    """

    def value(step):
        up = real(up_steps)
        period = up + (up if down_steps is None else real(down_steps))
        index, since = cycle(step, period)
        rise, fall = 1 - remaining(since, 0, up), remaining(since, up, period)
        height = geometric(cycle_decay, index) * geometric(step_decay, step.astype(float))
        return lerp(min_value, max_value, height * jnp.where(since < up, rise, fall))

    return value


@schedule_of_counts
def cosine_cycle_schedule(init_value: Value, end_value: Value, half_cycle_steps: Steps):
    """Cyclical cosine schedule: from one value to another and back, repeated without end.

        c(t) = b + (a − b)·(1 + cos(πt/T))/2

    Exactly a at steps 0, 2T, 4T, …, exactly b at T, 3T, … It is torch's CosineAnnealingLR, also
    after T_max.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.cosine_cycle_schedule(1.0, 0.0, 2)(jnp.arange(6))
    Array([1. , 0.5, 0. , 0.5, 1. , 0.5], dtype=float32)

    Args:
        init_value: a, the value at step 0.
        end_value: b, the value at step T.
        half_cycle_steps: T > 0, in steps.

    Reference: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2016,
        https://arxiv.org/abs/1608.03983
    """

    def value(step):
        half = real(half_cycle_steps)
        _, since = cycle(step, 2 * half)
        since = jnp.where(since < half, since, 2 * half - since)
        return interpolate(since, 0, half, init_value, end_value, cosine)

    return value


@schedule_of_counts
def linear_onecycle_schedule(
    transition_steps: Steps,
    peak_value: Value,
    pct_start: Fraction = 0.3,
    pct_final: Fraction = 0.85,
    div_factor: Factor = 25.0,
    final_div_factor: Factor = 1e4,
):
    """Linear one-cycle schedule: rise to the peak, fall back, and a final decay far below.

        c(t) = a + (c₁ − a)·t/P                 for t < P
        c(t) = c₁ + (a − c₁)·(t − P)/(Q − P)    for P ≤ t < Q
        c(t) = a + (b − a)·(t − Q)/(T − Q)      for Q ≤ t < T
        c(t) = b                                for t ≥ T
        a = c₁/d,    b = a/f,    P = p·T,    Q = q·T

    Exactly a at step 0, exactly c₁ at step P, b from step T on. Where P or Q is not a whole step it
    is not rounded (optax rounds it down). torch's OneCycleLR with three_phase=True
    differs: its T is total_steps − 1, and its phases are one step shorter.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> one = gd.linear_onecycle_schedule(10, 1.0, 0.3, 0.6, div_factor=4.0, final_div_factor=2.0)
    >>> one(jnp.array([0, 1, 3, 6, 8, 10]))
    Array([0.25  , 0.5   , 1.    , 0.25  , 0.1875, 0.125 ], dtype=float32)

    Args:
        transition_steps: T > 0, in steps.
        peak_value: c₁, the largest value.
        pct_start: p, the position of the peak, as a fraction of T (not in percent).
        pct_final: q ≥ p, where the initial value is reached again, as a fraction of T.
        div_factor: d > 0, the peak divided by the initial value.
        final_div_factor: f > 0, the initial value divided by the last.

    Raises:
        ValueError: p > q.

    Reference: Smith and Topin, Super-convergence, 2017, https://arxiv.org/abs/1708.07120
    """
    if judge(lambda start, final: start <= final, pct_start, pct_final):
        must = f"pct_final must be at least pct_start = {pct_start}"
        errors.fail("linear_onecycle_schedule", must, pct_final)

    def value(step):
        total, first, last = _ends(transition_steps, peak_value, div_factor, final_div_factor)
        top, back = snap_to_step(real(pct_start) * total), snap_to_step(real(pct_final) * total)
        rise = interpolate(step, 0, top, first, peak_value)
        fall = interpolate(step, top, back, peak_value, first)
        final = interpolate(step, back, total, first, last)
        out = jnp.where(after(step, back) < 0, fall, final)
        out = jnp.where(after(step, top) < 0, rise, out)
        return jnp.where(after(step, total) < 0, out, last)  # also where a phase has length 0

    return value


@schedule_of_counts
def cosine_onecycle_schedule(
    transition_steps: Steps,
    peak_value: Value,
    pct_start: Fraction = 0.3,
    div_factor: Factor = 25.0,
    final_div_factor: Factor = 1e4,
):
    """Cosine one-cycle schedule: rise to the peak, then a fall far below the initial value.

        c(t) = a + (c₁ − a)·(1 − cos(πt/P))/2                for t < P
        c(t) = b + (c₁ − b)·(1 + cos(π(t − P)/(T − P)))/2    for P ≤ t < T
        c(t) = b                                             for t ≥ T
        a = c₁/d,    b = a/f,    P = p·T

    Exactly a at step 0, exactly c₁ at step P, b from step T on. Where P is not a whole step it is
    not rounded (optax rounds it down). torch's OneCycleLR differs: its T is total_steps − 1, and
    its peak is at step pct_start·total_steps − 1.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.cosine_onecycle_schedule(8, 1.0, 0.5, 4.0, 2.0)(jnp.array([0, 2, 4, 6, 8]))
    Array([0.25  , 0.625 , 1.    , 0.5625, 0.125 ], dtype=float32)

    Args:
        transition_steps: T > 0, in steps.
        peak_value: c₁, the largest value.
        pct_start: p, the position of the peak, as a fraction of T (not in percent).
        div_factor: d > 0, the peak divided by the initial value.
        final_div_factor: f > 0, the initial value divided by the last.

    Reference: Smith and Topin, Super-convergence: very fast training of neural networks using large
        learning rates, 2017, https://arxiv.org/abs/1708.07120
    """

    def value(step):
        total, first, last = _ends(transition_steps, peak_value, div_factor, final_div_factor)
        top = snap_to_step(real(pct_start) * total)
        rise = interpolate(step, 0, top, first, peak_value, cosine)
        fall = interpolate(step, top, total, peak_value, last, cosine)
        out = jnp.where(after(step, top) < 0, rise, fall)
        return jnp.where(after(step, total) < 0, out, last)  # also where a phase has length 0

    return value


def _ends(steps, peak, div, final_div):
    first = real(peak) / real(div)
    return real(steps), first, first / real(final_div)

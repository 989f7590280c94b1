"""Cosine decay, and cosine decay with warm restarts (SGDR)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Range, ScalarLike
from gdjax.core.data.schedule import schedule_of_counts
from gdjax.core.rule import errors
from gdjax.schedules.annotations import Factor, Shrink, Steps, Value
from gdjax.schedules.interpolation import (
    cosine,
    geometric,
    lerp,
    power,
    real,
    remaining,
    snap_to_step,
)
from gdjax.schedules.join import joined
from gdjax.schedules.warmup import warmup_cosine_decay_schedule

__all__ = ["cosine_decay_schedule", "cosine_restarts_schedule", "sgdr_schedule"]

Growth = Annotated[ScalarLike, Range(low=1.0, scheduled=False)]


@schedule_of_counts
def cosine_decay_schedule(
    init_value: Value, decay_steps: Steps, alpha: Value = 0.0, exponent: Factor = 1.0
):
    """Cosine decay to a fraction of the initial value, then constant.

        c(t) = a·(α + (1 − α)·((1 + cos(πx))/2)ᵖ),    x = min(t/T, 1)

    Exactly a at step 0, exactly α·a from step T on: one cycle, no restart. torch's
    CosineAnnealingLR is the same up to T_max and rises again after it; for that, see
    `cosine_cycle_schedule`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.cosine_decay_schedule(1.0, 4)(jnp.array([0, 2, 4, 6]))
    Array([1. , 0.5, 0. , 0. ], dtype=float32)

    Args:
        init_value: a, the value at step 0.
        decay_steps: T > 0, in steps.
        alpha: α, the last value as a fraction of a.
        exponent: p > 0.

    Reference: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2016,
        https://arxiv.org/abs/1608.03983
    """

    def value(step):
        left = power(remaining(step, 0, decay_steps, cosine), exponent)
        return lerp(real(alpha) * real(init_value), init_value, left)

    return value


@schedule_of_counts
def cosine_restarts_schedule(
    init_value: Value,
    first_cycle_steps: Steps,
    cycle_mult: Growth = 1.0,
    decay: Shrink = 1.0,
    end_value: Value = 0.0,
):
    """Cosine annealing with warm restarts (SGDR), by one formula for all cycles.

        c(t) = b + (a − b)·δⁱ·(1 + cos(π(t − tᵢ)/Tᵢ))/2    for tᵢ ≤ t < tᵢ₊₁
        Tᵢ = T₀·mⁱ,    t₀ = 0,    tᵢ₊₁ = tᵢ + Tᵢ

    Exactly a at step 0, and the maximum again at each restart tᵢ; before a restart b is approached,
    not reached. It never ends. It is torch's CosineAnnealingWarmRestarts.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> restarts = gd.cosine_restarts_schedule(1.0, 2, cycle_mult=2, decay=0.5)
    >>> restarts(jnp.array([0, 1, 2, 4, 6, 10]))
    Array([1.   , 0.5  , 0.5  , 0.25 , 0.25 , 0.125], dtype=float32)

    Args:
        init_value: a, the value at step 0.
        first_cycle_steps: T₀ > 0, in steps.
        cycle_mult: m ≥ 1, the factor from the length of one cycle to the next.
        decay: δ in (0, 1], the factor from the height of one cycle above b to the next.
        end_value: b, the lowest value.

    Reference: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2016,
        https://arxiv.org/abs/1608.03983
    """

    def value(step):
        step = step.astype(float)
        first, growth = real(first_cycle_steps), real(cycle_mult) - 1
        cycle = _cycles_begun(jax.lax.stop_gradient(step), first, growth)
        begin, end = _restart(cycle, first, growth), _restart(cycle + 1, first, growth)
        height = geometric(decay, cycle)
        return lerp(end_value, init_value, height * remaining(step, begin, end, cosine))

    return value


def _restart(cycle: jax.Array, first: Any, growth: Any) -> jax.Array:
    """The step tᵢ = T₀·((1 + g)ⁱ − 1)/g at which a cycle begins; i·T₀ at g = 0."""
    grows = growth > 0
    g = jnp.where(grows, growth, 1)
    more = jnp.expm1(cycle * jnp.log1p(g)) / g
    flat = cycle * (1 + (cycle - 1) / 2 * growth)  # with the right derivative at g = 0
    return snap_to_step(first * jnp.where(grows, more, flat))


def _cycles_begun(step: jax.Array, first: Any, growth: Any) -> jax.Array:
    """The index of the cycle in which a step lies: a logarithm, corrected for rounding."""
    first, growth = jax.lax.stop_gradient((jnp.asarray(first), jnp.asarray(growth)))
    grows = growth > 0
    g = jnp.where(grows, growth, 1)
    cycles = jnp.where(grows, jnp.log1p(step * g / first) / jnp.log1p(g), step / first)
    index = jnp.floor(cycles)
    index = jnp.where(_restart(index + 1, first, growth) <= step, index + 1, index)
    return jnp.where(_restart(index, first, growth) > step, index - 1, index)


@schedule_of_counts
def sgdr_schedule(cosine_kwargs: Sequence[Mapping[str, Value]]):
    """Cosine decay with warm restarts (SGDR) and warmup, each cycle with arguments of its own.

        c(t) = cᵢ(t − bᵢ)    for bᵢ ≤ t < bᵢ₊₁
        c(t) = cₙ(t − bₙ)    for t ≥ bₙ
        b₀ = 0,    bᵢ₊₁ = bᵢ + Tᵢ,    cᵢ and Tᵢ of `warmup_cosine_decay_schedule`

    Each cᵢ starts at its own step 0 and has Tᵢ steps, its `decay_steps`. Cycle i begins at step bᵢ;
    the last one stays at its end value. For an endless series of equal or growing cycles
    without warmup, use `cosine_restarts_schedule`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> first = dict(init_value=0.0, peak_value=1.0, warmup_steps=1, decay_steps=3)
    >>> gd.sgdr_schedule([first, first | dict(peak_value=0.5)])(jnp.arange(7))
    Array([0.  , 1.  , 0.5 , 0.  , 0.5 , 0.25, 0.  ], dtype=float32)

    Args:
        cosine_kwargs: One dict for each cycle, of the arguments of `warmup_cosine_decay_schedule`;
            `decay_steps` is the length of the cycle, warmup included.

    Raises:
        TypeError: `cosine_kwargs` is not a list of dicts, or has a name that is no argument of
            `warmup_cosine_decay_schedule`.

    Reference: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2016,
        https://arxiv.org/abs/1608.03983
    """
    if not isinstance(cosine_kwargs, (list, tuple)) or not cosine_kwargs:
        must = "cosine_kwargs must be a list of dicts, one for each cycle"
        errors.fail("sgdr_schedule", must, cosine_kwargs, kind=TypeError)
    cycles = [warmup_cosine_decay_schedule(**each) for each in cosine_kwargs]
    lengths = [real(each["decay_steps"]) for each in cosine_kwargs]
    return lambda step: joined(step, cycles, list(itertools.accumulate(lengths))[:-1])

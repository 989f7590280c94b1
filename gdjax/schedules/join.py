"""Schedules joined one after the other, and linear warmup before any schedule."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Hyperparam
from gdjax.core.data.schedule import schedule_of_counts
from gdjax.core.rule import errors
from gdjax.schedules.annotations import Count, Value
from gdjax.schedules.interpolation import after, at, interpolate, judge, judge_schedule, real

__all__ = ["join_schedules", "warmup"]


@schedule_of_counts
def join_schedules(schedules: Sequence[Hyperparam], boundaries: Sequence[Count]):
    """Joins schedules one after the other, each from its own step 0.

        c(t) = cᵢ(t − bᵢ)    for bᵢ ≤ t < bᵢ₊₁
        c(t) = cₙ(t − bₙ)    for t ≥ bₙ
        b₀ = 0

    At a boundary the next schedule begins, with its step 0. A schedule is evaluated only at steps
    of its own interval, so it may be undefined outside. It is torch's SequentialLR.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> up, down = gd.linear_schedule(0.0, 1.0, 2), gd.linear_to_zero(1.0, 4)
    >>> gd.join_schedules([up, down], [2])(jnp.arange(7))
    Array([0.  , 0.5 , 1.  , 0.75, 0.5 , 0.25, 0.  ], dtype=float32)

    Args:
        schedules: c₀, …, cₙ: schedules, functions of the step (they get a floating-point array) or
            numbers.
        boundaries: b₁, …, bₙ: the steps at which the next one begins, ascending; one fewer than
            schedules.

    Raises:
        TypeError: An element of `schedules` is neither a schedule, a function nor a number.
        ValueError: `boundaries` has the wrong length, or is not ascending.
    """
    name = "join_schedules"
    if not isinstance(schedules, (list, tuple)) or not schedules:
        errors.fail(name, "schedules must be a list of at least one", schedules, kind=TypeError)
    for each in schedules:
        judge_schedule(name, "each of schedules", each)
    if not isinstance(boundaries, (list, tuple)):
        hint = f"Write [{boundaries}]."
        errors.fail(name, "boundaries must be a list", boundaries, instead=hint, kind=TypeError)
    if len(boundaries) != len(schedules) - 1:
        must = f"boundaries must be one fewer than the {len(schedules)} schedules"
        errors.fail(name, must, list(boundaries))
    for a, b in itertools.pairwise(boundaries):
        if judge(lambda a, b: a <= b, a, b):
            errors.fail(name, "boundaries must ascend", list(boundaries))
    return lambda step: joined(step, schedules, boundaries)


def joined(step: Any, schedules: Sequence[Any], boundaries: Sequence[Any]) -> Any:
    """The value of the schedule in whose interval each step lies."""
    begins = [0, *boundaries]
    out = at(schedules[-1], jnp.maximum(after(step, begins[-1]), 0))
    for each, begin, end in reversed(list(zip(schedules, begins, begins[1:]))):
        since = jnp.maximum(after(step, begin), 0)
        last = jnp.asarray(real(end) - real(begin)).astype(since.dtype)
        out = jnp.where(after(step, end) < 0, at(each, jnp.minimum(since, last)), out)
    return out


@schedule_of_counts
def warmup(schedule: Hyperparam, steps: Count, init_value: Value = 0.0):
    """Linear warmup before any schedule, which then begins at its own step 0.

        c(t) = a + (c₂(0) − a)·t/W    for t < W
        c(t) = c₂(t − W)              for t ≥ W

    Exactly a at step 0, exactly c₂(0) at step W. With W = 0 it is the schedule itself. The total is
    W steps longer than the schedule.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.warmup(gd.linear_to_zero(1.0, 4), 2)(jnp.arange(7))
    Array([0.  , 0.5 , 1.  , 0.75, 0.5 , 0.25, 0.  ], dtype=float32)

    Args:
        schedule: c₂, a schedule, a function of the step (it gets a floating-point array) or a
            number.
        steps: W ≥ 0, in steps.
        init_value: a, the value at step 0.

    Raises:
        TypeError: `schedule` is neither a schedule, a function nor a number.

    Reference: Goyal et al., Accurate, large minibatch SGD, 2017, https://arxiv.org/abs/1706.02677
    """
    judge_schedule("warmup", "schedule", schedule)

    def value(step):
        rise = interpolate(step, 0, steps, init_value, at(schedule, jnp.zeros_like(step)))
        since = after(step, steps)
        return jnp.where(since < 0, rise, at(schedule, jnp.maximum(since, 0)))

    return value

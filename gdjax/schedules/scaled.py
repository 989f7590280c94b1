"""A schedule times a number."""

from __future__ import annotations

from gdjax.core.data.hyperparams import Hyperparam
from gdjax.core.data.recipe import Recipe
from gdjax.core.data.schedule import schedule
from gdjax.schedules.annotations import Value
from gdjax.schedules.interpolation import at, judge_schedule, real

__all__ = ["scaled_schedule"]


@schedule
def scaled_schedule(schedule: Hyperparam, factor: Value):
    """Another schedule times a factor, the same at all steps.

        c(t) = f·c₂(t)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.scaled_schedule(gd.linear_to_zero(1.0, 4), 0.5)(jnp.arange(5))
    Array([0.5  , 0.375, 0.25 , 0.125, 0.   ], dtype=float32)

    Args:
        schedule: c₂, a schedule, a function of the step (it gets an integer, as a hyperparameter
            does) or a number.
        factor: f, of any sign.

    Raises:
        TypeError: `schedule` is none of these.
    """
    judge_schedule("scaled_schedule", "schedule", schedule)
    ours = isinstance(schedule, Recipe)
    return lambda step: real(factor) * at(schedule, step if ours else step.astype(int))

"""A schedule multiplied by a factor."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import Hyperparam
from gdjax.core.data.schedule import Schedule, schedule_of_counts
from gdjax.schedules.annotations import Value
from gdjax.schedules.interpolation import at, judge_schedule, real

__all__ = ["scaled_schedule"]


@schedule_of_counts
def scaled_schedule(schedule: Hyperparam, factor: Value):
    """Multiplies a schedule by a constant factor.

        c(t) = f·c₂(t)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.scaled_schedule(gd.linear_to_zero(1.0, 4), 0.5)(jnp.arange(5))
    Array([0.5  , 0.375, 0.25 , 0.125, 0.   ], dtype=float32)

    Args:
        schedule: c₂, a schedule, a function of the step (it gets an integer, as a hyperparameter
            does) or a number.
        factor: f, of any sign.

    Raises:
        TypeError: `schedule` is neither a schedule, a function nor a number.
    """
    judge_schedule("scaled_schedule", "schedule", schedule)
    ours = isinstance(schedule, Schedule)
    return lambda step: real(factor) * at(schedule if ours else _of_integers(schedule), step)


def _of_integers(schedule: Any) -> Any:
    return (lambda step: schedule(step.astype(int))) if callable(schedule) else schedule

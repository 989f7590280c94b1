"""Schedules with optax's edge cases: lengths that are zero, negative or fractional."""

from __future__ import annotations

from typing import Any

from gdjax.compat import namespacing
from gdjax.compat.optax.twins import invoke
from gdjax.core.data.hyperparams import Number
from gdjax.core.data.schedule import schedule, schedule_of_counts
from gdjax.core.rule import errors
from gdjax.schedules import basic as _basic
from gdjax.schedules import cosine as _cosine
from gdjax.schedules import decays as _decays
from gdjax.schedules import join as _join
from gdjax.schedules import piecewise as _piecewise
from gdjax.schedules import warmup as _warmup
from gdjax.schedules.interpolation import judge

__all__ = [
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "linear_onecycle_schedule",
    "linear_schedule",
    "polynomial_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
]

_schedule = namespacing.named("optax", schedule)
_of_counts = namespacing.named("optax", schedule_of_counts)


def _constant(value: Any) -> Any:
    return lambda step: value + 0.0 * step


def _nowhere(length: Any, factor: Any = 1) -> bool:
    """Whether a transition is known to have no length or no change."""
    return judge(lambda x: x > 0, length) or judge(lambda x: x != 0, factor)


def _from_zero(begin: Any) -> Any:
    return 0 if judge(lambda x: x >= 0, begin) else begin


@_schedule
def polynomial_schedule(
    init_value: Number,
    end_value: Number,
    power: Number,
    transition_steps: Number,
    transition_begin: Number = 0,
):
    """Polynomial schedule; constant for a length of 0 or less.

    >>> from gdjax.compat import optax
    >>> print(optax.polynomial_schedule(1.0, 0.5, 1, -1)(3))
    1.0
    """
    if _nowhere(transition_steps, power):
        return _constant(init_value)
    given = {**locals(), "transition_begin": _from_zero(transition_begin)}
    return invoke(_basic.polynomial_schedule, given)


@_schedule
def linear_schedule(
    init_value: Number, end_value: Number, transition_steps: Number, transition_begin: Number = 0
):
    """Linear schedule; constant for a length of 0 or less.

    >>> from gdjax.compat import optax
    >>> print(optax.linear_schedule(1.0, 0.0, 2.5)(1))
    0.6
    """
    if _nowhere(transition_steps):
        return _constant(init_value)
    given = {**locals(), "transition_begin": _from_zero(transition_begin)}
    return invoke(_basic.linear_schedule, given)


@_schedule
def exponential_decay(
    init_value: Number,
    transition_steps: Number,
    decay_rate: Number,
    transition_begin: Number = 0,
    staircase: bool = False,
    end_value: Number | None = None,
):
    """Exponential decay; constant for a length of 0 or less, or a factor of 0.

    >>> from gdjax.compat import optax
    >>> print(optax.exponential_decay(0.5, 0, 0.9)(3))
    0.5
    """
    if _nowhere(transition_steps, decay_rate):
        return _constant(init_value)
    given = {**locals(), "transition_begin": _from_zero(transition_begin)}
    return invoke(_decays.exponential_decay, given)


@_schedule
def cosine_decay_schedule(
    init_value: Number, decay_steps: Number, alpha: Number = 0.0, exponent: Number = 1.0
):
    """Cosine decay, of any length above 0.

    >>> from gdjax.compat import optax
    >>> print(optax.cosine_decay_schedule(1.0, 10.5)(20))
    0.0

    Raises:
        ValueError: The length is 0 or less.
    """
    if _nowhere(decay_steps):
        errors.fail("optax.cosine_decay_schedule", "decay_steps must be above 0", decay_steps)
    return invoke(_cosine.cosine_decay_schedule, locals())


@_schedule
def warmup_constant_schedule(init_value: Number, peak_value: Number, warmup_steps: Number):
    """Linear warm-up, then constant; without warm-up steps the initial value.

    >>> from gdjax.compat import optax
    >>> print(optax.warmup_constant_schedule(0.0, 1.0, 0)(3))
    0.0
    """
    return linear_schedule(init_value, peak_value, warmup_steps)


@_of_counts
def warmup_cosine_decay_schedule(
    init_value: Number,
    peak_value: Number,
    warmup_steps: int,
    decay_steps: int,
    end_value: Number = 0.0,
    exponent: Number = 1.0,
):
    """Linear warm-up to the peak, then cosine decay to a fraction of the peak.

    >>> from gdjax.compat import optax
    >>> print(optax.warmup_cosine_decay_schedule(0.2, 0.0, 5, 10, end_value=-3.0)(10))
    0.0
    """
    given = locals()
    if judge(lambda x: x != 0, peak_value):
        given["end_value"] = 0.0
    return invoke(_warmup.warmup_cosine_decay_schedule, given)


@_of_counts
def warmup_exponential_decay_schedule(
    init_value: Number,
    peak_value: Number,
    warmup_steps: int,
    transition_steps: Number,
    decay_rate: Number,
    transition_begin: Number = 0,
    staircase: bool = False,
    end_value: Number | None = None,
):
    """Linear warm-up to the peak, then exponential decay.

    >>> from gdjax.compat import optax
    >>> print(optax.warmup_exponential_decay_schedule(0.0, 1.0, 2, 1, 0.5)(3))
    0.5
    """
    rise = linear_schedule(init_value, peak_value, warmup_steps)
    fall = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    return _join.join_schedules([rise, fall], [warmup_steps])


def _phases(kind: str, where: str, steps: int, peak: Any, div: Any, ways: dict[float, Any]) -> Any:
    if _nowhere(steps):
        errors.fail(where, "transition_steps must be above 0", steps)
    places = {int(part * steps): factor for part, factor in ways.items()}
    return _piecewise.piecewise_interpolate_schedule(kind, peak / div, places)


@_of_counts
def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: Number,
    pct_start: Number = 0.3,
    pct_final: Number = 0.85,
    div_factor: Number = 25.0,
    final_div_factor: Number = 1e4,
):
    """Linear one-cycle schedule; its boundaries are rounded down to whole steps.

    >>> from gdjax.compat import optax
    >>> print(optax.linear_onecycle_schedule(10, 1.0)(3))
    1.0
    """
    ways = {pct_start: div_factor, pct_final: 1 / div_factor, 1.0: 1 / final_div_factor}
    where = "optax.linear_onecycle_schedule"
    return _phases("linear", where, transition_steps, peak_value, div_factor, ways)


@_of_counts
def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: Number,
    pct_start: Number = 0.3,
    div_factor: Number = 25.0,
    final_div_factor: Number = 1e4,
):
    """Cosine one-cycle schedule; its boundaries are rounded down to whole steps.

    >>> from gdjax.compat import optax
    >>> print(optax.cosine_onecycle_schedule(7, 1.0)(2))
    1.0
    """
    ways = {pct_start: div_factor, 1.0: 1 / (div_factor * final_div_factor)}
    where = "optax.cosine_onecycle_schedule"
    return _phases("cosine", where, transition_steps, peak_value, div_factor, ways)

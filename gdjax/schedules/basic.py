"""Constant, linear and polynomial schedules."""

from __future__ import annotations

from gdjax.core.data.schedule import schedule_of_counts
from gdjax.schedules.annotations import Count, Factor, Steps, Value
from gdjax.schedules.interpolation import interpolate, lerp, real, remaining
from gdjax.schedules.interpolation import power as raised

__all__ = ["constant_schedule", "linear_schedule", "linear_to_zero", "polynomial_schedule"]


@schedule_of_counts
def constant_schedule(value: Value):
    """Constant schedule: one value at every step.

        c(t) = a

    >>> import gdjax as gd
    >>> gd.constant_schedule(0.5)(100)
    Array(0.5, dtype=float32)

    Args:
        value: a, of any sign.
    """
    return lambda step: real(value)


@schedule_of_counts
def linear_schedule(
    init_value: Value, end_value: Value, transition_steps: Count, transition_begin: Count = 0
):
    """Linear schedule from one value to another.

        c(t) = a + (b − a)·x,    x = clip((t − B)/T, 0, 1)

    Up to step B the value is exactly a, from step B + T on exactly b. With T = 0 x is 0, and the
    value is always a, as in optax.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.linear_schedule(1.0, 0.0, 4)(jnp.arange(6))
    Array([1.  , 0.75, 0.5 , 0.25, 0.  , 0.  ], dtype=float32)

    Args:
        init_value: a, the first value.
        end_value: b, the last value.
        transition_steps: T ≥ 0, in steps.
        transition_begin: B ≥ 0, the step at which the transition begins.
    """

    def value(step):
        end = real(transition_begin) + real(transition_steps)
        return interpolate(step, transition_begin, end, init_value, end_value)

    return value


@schedule_of_counts
def linear_to_zero(init_value: Value, total_steps: Steps):
    """Linear decay to zero.

        c(t) = a·max(1 − t/T, 0)

    Exactly a at step 0, and exactly 0 from step T on, the first after the last of T steps.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.linear_to_zero(1.0, 4)(jnp.arange(5))
    Array([1.  , 0.75, 0.5 , 0.25, 0.  ], dtype=float32)

    Args:
        init_value: a, the value at step 0.
        total_steps: T > 0, in steps.
    """
    return lambda step: interpolate(step, 0, total_steps, init_value, 0.0)


@schedule_of_counts
def polynomial_schedule(
    init_value: Value,
    end_value: Value,
    power: Factor,
    transition_steps: Count,
    transition_begin: Count = 0,
):
    """Polynomial schedule from one value to another.

        c(t) = b + (a − b)·(1 − x)ᵖ,    x = clip((t − B)/T, 0, 1)

    Up to step B the value is exactly a, from step B + T on exactly b. With T = 0 x is 0, and the
    value is always a, as in optax. It is torch's PolynomialLR (there b = 0 and B = 0).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.polynomial_schedule(1.0, 0.0, 2, 4)(jnp.arange(6))
    Array([1.    , 0.5625, 0.25  , 0.0625, 0.    , 0.    ], dtype=float32)

    Args:
        init_value: a, the first value.
        end_value: b, the last value.
        power: p > 0; 1 is linear, a larger p falls faster at first.
        transition_steps: T ≥ 0, in steps.
        transition_begin: B ≥ 0, the step at which the transition begins.
    """

    def value(step):
        end = real(transition_begin) + real(transition_steps)
        left = remaining(step, transition_begin, end)
        return lerp(end_value, init_value, raised(left, power))

    return value

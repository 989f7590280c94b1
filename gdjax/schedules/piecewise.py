"""Piecewise constant and piecewise interpolated schedules, by factors at given steps."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from gdjax.core.data.schedule import schedule_of_counts
from gdjax.core.rule import errors
from gdjax.schedules.annotations import Scale, Value
from gdjax.schedules.interpolation import after, cosine, interpolate, real

__all__ = ["piecewise_constant_schedule", "piecewise_interpolate_schedule"]

_EASES = {"linear": None, "cosine": cosine}


def _knots(name: str, init_value: Any, scales: Mapping[int, Any] | None) -> list[tuple[Any, Any]]:
    """The steps in ascending order, each with the value reached there; step 0 comes first."""
    if not isinstance(scales, Mapping | None):
        must, hint = "boundaries_and_scales must be a dict from steps to factors", ""
        steps = scales if isinstance(scales, (list, tuple)) else [scales]
        if all(map(_is_step, steps)):
            hint = f"Write {{{', '.join(f'{step}: 0.1' for step in steps)}}}."
        errors.fail(name, must, scales, instead=hint, kind=TypeError)
    for step in scales or {}:
        if not _is_step(step):
            errors.fail(name, "a step of boundaries_and_scales must be a number ≥ 0", step)
    steps = sorted(scales or {})
    scale_of = dict(scales or {})
    values = itertools.accumulate(
        (real(scale_of[step]) for step in steps), lambda a, b: a * b, initial=real(init_value)
    )
    return list(zip([0, *steps], values))


def _is_step(step: Any) -> bool:
    return isinstance(step, numbers.Real) and not isinstance(step, bool) and float(step) >= 0


@schedule_of_counts
def piecewise_constant_schedule(
    init_value: Value, boundaries_and_scales: Mapping[int, Scale] | None = None
):
    """Piecewise constant schedule: multiplied by a factor at each given step (step decay).

        c(t) = vᵢ    for bᵢ ≤ t < bᵢ₊₁
        c(t) = vₙ    for t ≥ bₙ
        v₀ = a,    vᵢ₊₁ = vᵢ·fᵢ₊₁,    b₀ = 0

    The factor fᵢ applies from step bᵢ on. It is torch's MultiStepLR.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.piecewise_constant_schedule(1.0, {2: 0.5, 4: 0.5})(jnp.arange(6))
    Array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25], dtype=float32)

    Args:
        init_value: a, the value before the first step of the dict.
        boundaries_and_scales: b₁ → f₁, …, bₙ → fₙ: steps ≥ 0 and factors ≥ 0, in any order. The
            factors multiply each other: {2: 0.5, 4: 0.5} ends at a/4.
    """
    knots = _knots("piecewise_constant_schedule", init_value, boundaries_and_scales)

    def value(step):
        out = knots[0][1]
        for begin, reached in knots[1:]:
            out = jnp.where(after(step, begin) >= 0, reached, out)
        return out

    return value


@schedule_of_counts
def piecewise_interpolate_schedule(
    interpolate_type: str,
    init_value: Value,
    boundaries_and_scales: Mapping[int, Scale] | None = None,
):
    """Piecewise linear or cosine interpolation between values at given steps.

        c(t) = vᵢ + (vᵢ₊₁ − vᵢ)·y    for bᵢ ≤ t < bᵢ₊₁
        c(t) = vₙ                    for t ≥ bₙ
        v₀ = a,    vᵢ₊₁ = vᵢ·fᵢ₊₁,    b₀ = 0,    x = (t − bᵢ)/(bᵢ₊₁ − bᵢ)
        with linear: y = x
        with cosine: y = (1 − cos(πx))/2

    The values at the steps bᵢ are exact; after the last one the schedule is constant. The products
    vᵢ = a·f₁⋯fᵢ are interpolated, not the factors.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.piecewise_interpolate_schedule("linear", 1.0, {2: 0.5, 4: 0.0})(jnp.arange(6))
    Array([1.  , 0.75, 0.5 , 0.25, 0.  , 0.  ], dtype=float32)

    Args:
        interpolate_type: "linear" or "cosine".
        init_value: a, the value at step 0.
        boundaries_and_scales: b₁ → f₁, …, bₙ → fₙ: steps ≥ 0 and factors ≥ 0, in any order. A
            factor at step 0 applies from the start.

    Raises:
        ValueError: Unknown `interpolate_type`.
    """
    name = "piecewise_interpolate_schedule"
    if interpolate_type not in _EASES:
        hint = errors.nearest(str(interpolate_type), _EASES)
        errors.fail(
            name, "interpolate_type must be linear or cosine", interpolate_type, instead=hint
        )
    ease = _EASES[interpolate_type]
    knots = _knots(name, init_value, boundaries_and_scales)

    def value(step):
        out = knots[-1][1]
        for (begin, first), (end, last) in reversed(list(itertools.pairwise(knots))):
            out = jnp.where(
                after(step, end) < 0, interpolate(step, begin, end, first, last, ease), out
            )
        return out

    return value

"""Annotations of the arguments of schedules: units, and the interval of allowed values."""

from __future__ import annotations

from typing import Annotated

from gdjax.core.data.hyperparams import Number, Range, ScalarLike

__all__ = ["Count", "Factor", "Fraction", "Scale", "Shrink", "Steps", "Value"]

_POSITIVE = Range(low=0.0, open_low=True, scheduled=False)
_LENGTH = Range(low=1.0, scheduled=False, whole=True)
_SHARE = Range(low=0.0, high=1.0, scheduled=False)

Value = Number  # of the schedule, in the units of the hyperparameter
Steps = Annotated[ScalarLike, _LENGTH]  # a length > 0
Count = Annotated[ScalarLike, _LENGTH._replace(low=0.0)]  # a length or a step, 0 allowed
Fraction = Annotated[ScalarLike, _SHARE]  # of a length
Factor = Annotated[ScalarLike, _POSITIVE]  # of a value, or a power
Scale = Annotated[ScalarLike, Range(low=0.0, scheduled=False)]  # a factor ≥ 0
Shrink = Annotated[ScalarLike, _SHARE._replace(open_low=True)]  # (0, 1]

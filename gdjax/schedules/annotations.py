"""The numbers of schedules: what they count, and in which interval they must lie."""

from __future__ import annotations

from typing import Annotated, Any

from gdjax.core.data.hyperparams import Number, Range

__all__ = ["Count", "Factor", "Fraction", "Scale", "Shrink", "Steps", "Value"]

Value = Number  # what a schedule gives, in the units of the hyperparameter
Steps = Annotated[
    Any, Range(low=0.0, open_low=True, scheduled=False)
]  # a length that is divided by
Count = Annotated[Any, Range(low=0.0, scheduled=False)]  # a length or a place that may be 0
Fraction = Annotated[Any, Range(low=0.0, high=1.0, scheduled=False)]  # of a length
Factor = Annotated[Any, Range(low=0.0, open_low=True, scheduled=False)]  # of a value, or a power
Scale = Annotated[Any, Range(low=0.0, scheduled=False)]  # a factor that may be 0
Shrink = Annotated[Any, Range(low=0.0, high=1.0, open_low=True, scheduled=False)]  # (0, 1]

"""Annotations of hyperparameters, and the intervals in which they must lie."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import jax
import numpy as np


class Range(NamedTuple):
    """The interval in which a number must lie, and whether it may be a schedule."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    scheduled: bool = True
    role: str = ""  # "learning rate", "weight decay", ...: read by `explain` and others
    whole: bool = False  # a number of steps
    uphill: bool = False  # of a term added to gradients, before the learning rate

    def __str__(self) -> str:
        """The interval in mathematical notation."""
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}{' and be whole' * self.whole}"

    def holds(self, value: Any) -> bool:
        """Whether every entry of a concrete value lies in the interval; NaN does not."""
        x = np.asarray(value)
        if np.iscomplexobj(x):
            return not np.isnan(x).any()
        x = x.astype(np.float64)
        above = x > self.low if self.open_low else x >= self.low
        below = x < self.high if self.open_high else x <= self.high
        rounded = np.isclose(x, np.round(x), rtol=1e-12, atol=0) if self.whole else True
        return bool(np.all(above & below & rounded))

    @property
    def example(self) -> float:
        """A number in the interval, used for a schedule while the structure is inspected."""
        return 0.5 if self.holds(0.5) else 1.0 if self.holds(1.0) else self.low


if TYPE_CHECKING:
    # Types of arguments for type checkers. `Any` as base is for the bodies of factories, which
    # compute with the current number: a protocol is matched by its members alone, and a class
    # derived from Any has every operator.
    from typing import Protocol

    class AnyArray(Protocol, Any):  # type: ignore[misc] # pyright: ignore # pyrefly: ignore
        """An array of JAX or NumPy, or a traced value."""

        @property
        def dtype(self) -> Any: ...  # noqa: D102
        @property
        def shape(self) -> Any: ...  # noqa: D102

    class ScheduleFunction(Protocol, Any):  # type: ignore[misc] # pyright: ignore # pyrefly: ignore
        """A function of the step count."""

        def __call__(self, count: Any, /) -> Any: ...  # noqa: D102

    class LiveNumber(Protocol, Any):  # type: ignore[misc] # pyright: ignore # pyrefly: ignore
        """A number kept in the state, made by `live`."""

        @property
        def stands_for_a_number(self) -> bool: ...  # noqa: D102

else:
    AnyArray = jax.Array | np.ndarray | np.generic
    ScheduleFunction, LiveNumber = Callable[[Any], Any], Any

ScalarLike = float | AnyArray
ScalarOrSchedule = ScalarLike | ScheduleFunction | LiveNumber

# Annotations of the numbers of a factory.
Hyperparam = Annotated[ScalarOrSchedule, Range()]
"""A hyperparameter: a number, an array, a schedule or `live(value)`."""
NonNegative = Annotated[ScalarOrSchedule, Range(low=0.0)]
"""A hyperparameter that is 0 or more."""
Positive = Annotated[ScalarOrSchedule, Range(low=0.0, open_low=True)]
"""A hyperparameter above 0."""
Decay = Annotated[ScalarOrSchedule, Range(low=0.0, high=1.0, open_high=True)]
"""The decay of a moving average, in [0, 1)."""
Number = Annotated[ScalarLike, Range(scheduled=False)]
"""A number or an array; no schedule. The arguments of schedules are numbers."""
LearningRate = Annotated[ScalarOrSchedule, Range(low=0.0, role="learning rate")]
"""A learning rate, 0 or more. `explain` shows it, `groups` multiplies it."""
WeightDecay = Annotated[ScalarOrSchedule, Range(low=0.0, role="weight decay")]
"""A factor of weight decay, 0 or more. `explain` shows it."""
SignedFactor = Annotated[ScalarOrSchedule, Range(role="factor")]  # < 0: ascent
AddedDecay = Annotated[ScalarOrSchedule, Range(low=0.0, role="weight decay", uphill=True)]


class ArgumentRole(NamedTuple):
    """The role of an argument that is not a number."""

    name: str


Mask = Annotated[Any, ArgumentRole("mask")]
"""Which parameters decay: any rule of `gdjax.params`, or a tree of bools."""
Turns = Annotated[bool, ArgumentRole("turns")]  # whether it changes the sign of updates, to descent


ARRAYS = (jax.Array, np.ndarray, np.generic)  # arrays and traced values


def is_array(value: Any) -> bool:
    """Whether a value is an array or a traced value."""
    return isinstance(value, ARRAYS)


def is_number(value: Any) -> bool:
    """Whether a value is a number or an array of numbers; not of bools, nor beyond float64."""
    if isinstance(value, bool) or (is_array(value) and value.dtype == bool):
        return False
    if isinstance(value, int) and value.bit_length() >= 1024:
        return False
    return isinstance(value, (int, float, complex)) or is_array(value)


def role_of(hint: Any) -> str:
    """The role in the annotation of an argument that is not a number; "" if there is none."""
    found = (x.name for x in getattr(hint, "__metadata__", ()) if isinstance(x, ArgumentRole))
    return next(found, "")


def is_known(value: Any) -> bool:
    """Whether the value of a number is concrete: neither traced nor a random key."""
    if isinstance(value, jax.core.Tracer):
        return False
    return not (is_array(value) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended))


def range_in(hint: Any) -> Range | None:
    """The `Range` in an annotation, also inside unions and containers."""
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Range):
            return extra
    return next((r for r in map(range_in, typing.get_args(hint)) if r is not None), None)


def holds_many(hint: Any) -> bool:
    """Whether an annotation is of a list, a tuple or a dict of numbers."""
    origin = typing.get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, (Sequence, Mapping)):
        return True
    return origin is not Annotated and any(map(holds_many, typing.get_args(hint)))

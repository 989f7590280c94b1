"""Hyperparameters that change from step to step: their state, and their placeholders."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.rule.roles import Count, Scalars


class InjectHyperparamsState(NamedTuple):
    """State of a transformation with hyperparameters that change: schedules or live values."""

    count: Count  # steps taken
    hyperparams: Scalars  # the values last used, by argument name
    inner_state: Any  # the state of the transformation with constant hyperparameters


class StandIn(float):
    """A placeholder for a scheduled number or an array, while structure is inspected.

    Numbers computed from it are placeholders too, of unknown source.
    """

    source: Any  # the schedule or array, None if unknown

    def __new__(cls, value: float, source: Any = None) -> StandIn:
        """A number within the range, and the value that it replaces."""
        self = super().__new__(cls, value)
        self.source = getattr(source, "source", source)
        return self


def _computed(name: str) -> Any:
    return lambda self, *others: StandIn(getattr(float, name)(self, *others))


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "neg", "pow"):
    setattr(StandIn, f"__{_name}__", _computed(f"__{_name}__"))

"""Numbers that move from step to step: where they are kept, and what stands for them."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.rule.roles import Count, Scalars


class InjectHyperparamsState(NamedTuple):
    """State of a transformation some of whose hyperparameters move from step to step."""

    count: Count  # steps taken
    hyperparams: Scalars  # the values last used, by argument name
    inner_state: Any  # the state that the transformation has when nothing moves


class StandIn(float):
    """A number in the place of one that moves, or of an array, while structure is looked at.

    What is computed with it stands for something else, which is not known.
    """

    source: Any  # what it stands for, None if that is not known

    def __new__(cls, value: float, source: Any = None) -> StandIn:
        """A number within the range, and what it stands for."""
        self = super().__new__(cls, value)
        self.source = getattr(source, "source", source)
        return self


def _computed(name: str) -> Any:
    return lambda self, *others: StandIn(getattr(float, name)(self, *others))


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "neg", "pow"):
    setattr(StandIn, f"__{_name}__", _computed(f"__{_name}__"))

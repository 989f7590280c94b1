"""Numbers that move: schedules, functions of the step that remember their call, and live values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Number, is_number
from gdjax.core.data.recipe import Recipe, factory
from gdjax.core.rule import numerics

__all__ = ["Live", "Schedule", "live", "schedule"]

P = ParamSpec("P")


class Schedule(Recipe):
    """A function of the step count that remembers the call that made it; a pytree of its numbers.

    Called with a step (a number, or an array of steps of any shape) it gives the value there.
    """

    stands_for_a_number = True  # may be given for a hyperparameter

    def _function(self) -> Callable[[Any], Any]:
        made = self._factory
        numbers = {
            name: jax.tree.map(
                lambda x: numerics.weak(x) if is_number(x) else x,
                value,
                is_leaf=lambda x: isinstance(x, Recipe),
            )
            for name, value in self._arguments.items()
            if name in made.ranges
        }
        return made.invoke({**self._arguments, **numbers})

    def _try(self) -> None:
        self._function()

    def __call__(self, count: Any) -> jax.Array:
        """The value at step `count`, in the shape of `count`; the first step is 0."""
        step = jnp.asarray(count).astype(float)
        value = jnp.asarray(self._function()(step)).astype(float)
        return jnp.broadcast_to(value, jnp.shape(step)) if jnp.ndim(value) == 0 else value


def schedule(function: Callable[P, Any]) -> Callable[P, Schedule]:
    """Makes a factory of schedules of a function that returns a function of the step.

    Arguments annotated `Number` are the leaves of the schedule. The inner function gets the step
    as a floating-point array and works elementwise.

    >>> import gdjax as gd
    >>> from gdjax import Number
    >>> @gd.schedule
    ... def halving(init_value: Number, every: Number):
    ...     return lambda step: init_value * 0.5 ** (step // every)
    >>> halving(1.0, every=10)(25)
    Array(0.25, dtype=float32)
    """
    return factory(function, Schedule, "schedule")


class Live(Recipe):
    """A hyperparameter that lives in the state; made by `live`."""

    stands_for_a_number = True  # may be given for a hyperparameter


def _as_live(function: Callable[P, Any]) -> Callable[P, Live]:
    return factory(function, Live, "schedule")


@_as_live
def live(value: Number) -> Any:
    """A hyperparameter that lives in the state and may be set between steps.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.sgd(gd.live(0.1))
    >>> state = tx.init(jnp.ones(2))
    >>> state = gd.state.set_hyperparams(tx, state, learning_rate=0.05)
    >>> float(gd.state.hyperparams(tx, state)["learning_rate"])
    0.05000000074505806

    Args:
        value: The value until another is set, [].
    """

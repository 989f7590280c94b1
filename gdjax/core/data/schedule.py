"""Schedules, functions of the step that remember their call; and live values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Number, is_number
from gdjax.core.data.recipe import Recipe, factory
from gdjax.core.rule import errors, numerics

P = ParamSpec("P")


class Schedule(Recipe):
    """A function of the step count that remembers the call that made it; a pytree of its numbers.

    Called with a step (a number, or an array of steps of any shape) it returns the value there.
    """

    stands_for_a_number = True  # may be given for a hyperparameter
    counts = False  # whether its function gets integers as they are

    def _function(self) -> Callable[[Any], Any]:
        made, given = self.factory, dict(self.given)
        for name in made.ranges:
            if not isinstance(value := given.get(name), (int, float, type(None))):
                given[name] = jax.tree.map(_weakened, value, is_leaf=_is_recipe)
        return made.invoke(given)

    def _try(self) -> None:
        self._function()

    def __call__(self, count: Any) -> jax.Array:
        """The value at step `count`, in the shape of `count`; the first step is 0."""
        step = jnp.asarray(count)
        step = step if self.counts else step.astype(float)
        value = jnp.asarray(self._function()(step)).astype(float)
        return jnp.broadcast_to(value, jnp.shape(step)) if jnp.ndim(value) == 0 else value


class _OfCounts(Schedule):
    counts = True


def _weakened(x: Any) -> Any:
    return numerics.weak(x) if is_number(x) else x


def _is_recipe(x: Any) -> bool:
    return isinstance(x, Recipe)


def schedule(function: Callable[P, Any]) -> Callable[P, Schedule]:
    """Decorator that turns a function returning a function of the step into a schedule factory.

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


def schedule_of_counts(function: Callable[P, Any]) -> Callable[P, Schedule]:
    """As `schedule`, but the inner function gets an integer step as an integer.

    For comparing steps with boundaries given as integers: float32 cannot represent 2²⁴ + 1.
    """
    return factory(function, _OfCounts, "schedule")


class Live(Recipe):
    """A hyperparameter that is kept in the state; made by `live`."""

    stands_for_a_number = True  # may be given for a hyperparameter


def _as_live(function: Callable[P, Any]) -> Callable[P, Live]:
    return factory(function, Live, "schedule")


@_as_live
def live(value: Number) -> Any:
    """A hyperparameter kept in the state, which may be set between steps.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.sgd(gd.live(0.1))
    >>> state = tx.init(jnp.ones(2))
    >>> state = gd.state.set_hyperparams(tx, state, learning_rate=0.05)
    >>> float(gd.state.hyperparams(tx, state)["learning_rate"])
    0.05000000074505806

    Args:
        value: The initial value, [].
    """


def no_scalar(where: str, name: str, value: Any) -> NoReturn:
    """Raises because an array is used where a scalar is needed."""
    must = f"{name} must be a scalar when it is used"
    errors.fail(where, must, f"shape {jnp.shape(value)}", instead="Sweep it with jax.vmap.")


def value_at(rule: Any, count: jax.Array, last: jax.Array | None) -> jax.Array:
    """The value at a step: a strongly typed scalar, as it is kept in the state."""
    if isinstance(rule, Live):
        value = rule.arguments["value"] if last is None else last
    else:
        value = rule(count)
    value = jnp.asarray(value)
    if jnp.shape(value) != ():
        errors.fail("schedule", f"{rule!r} must return a scalar", f"shape {jnp.shape(value)}")
    if jnp.issubdtype(value.dtype, jnp.complexfloating):
        return value.astype(complex)
    return value.astype(
        int if last is not None and jnp.issubdtype(last.dtype, jnp.integer) else float
    )

"""Hyperparameters in the state (`inject_hyperparams`), where a training loop reads and sets them.

gdjax's own transformations do not need it: every hyperparameter may be a schedule or `live(value)`.
Code for optax reads `state.hyperparams["learning_rate"]`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from gdjax.compat.optax.twins import named
from gdjax.core.data.hyperparams import is_number
from gdjax.core.engine.numbers import StandIn
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update
from gdjax.core.rule import errors
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, Scalars

__all__ = [
    "InjectStatefulHyperparamsState",
    "StatefulSchedule",
    "WrappedSchedule",
    "WrappedScheduleState",
    "inject_hyperparams",
    "inject_stateful_hyperparams",
]


class InjectStatefulHyperparamsState(NamedTuple):
    """State of `inject_hyperparams`."""

    count: Count
    hyperparams: Scalars  # the values used last; those without a schedule can be set
    hyperparams_states: dict[str, Any]  # of the schedules
    inner_state: Any


class StatefulSchedule(Protocol):
    """A schedule with a state of its own, which gets the extra arguments of `update`."""

    def init(self) -> Any:
        """The initial state."""
        ...

    def update(self, state: Any, **extra_args: Any) -> Any:
        """The next state."""
        ...

    def __call__(self, state: Any, **extra_args: Any) -> Any:
        """The value of the hyperparameter."""
        ...


class WrappedScheduleState(NamedTuple):
    """State of `WrappedSchedule`."""

    count: Count


class WrappedSchedule:
    """A function of the step as a stateful schedule, which counts the steps."""

    def __init__(self, schedule_fn: Callable[[Any], Any]) -> None:
        self.schedule_fn = schedule_fn

    def init(self) -> WrappedScheduleState:
        """Starts at step 0."""
        return WrappedScheduleState(zero_count())

    def update(self, state: WrappedScheduleState, **extra_args: Any) -> WrappedScheduleState:
        """Counts a step."""
        return WrappedScheduleState(increment(state.count))

    def __call__(self, state: WrappedScheduleState, **extra_args: Any) -> Any:
        """The value at the step."""
        return self.schedule_fn(state.count)


def _is_key(value: Any) -> bool:
    return jax.dtypes.issubdtype(getattr(value, "dtype", None), jax.dtypes.extended)


def _as_schedule(value: Any) -> Any:
    """A stateful schedule, if the value of an argument is any schedule; else None."""
    if not callable(value):
        return None
    stateful = callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))
    return value if stateful else WrappedSchedule(value)


@named("optax")
def injected(
    inner_factory: Callable[..., Any],
    arguments: dict[str, Any],
    static_args: tuple[str, ...] = (),
    hyperparam_dtype: Any = None,
):
    """Calls a factory at each step with the hyperparameters of the state."""
    moving, numbers, fixed = {}, {}, {}
    arguments = {**_defaults(inner_factory), **arguments}
    made = getattr(inner_factory, "factory", None)
    for name, value in arguments.items():
        # what a factory of ours says is no number is none: a mask that is a function, a seed
        moves = name not in static_args and (made is None or name in made.ranges)
        if moves and (rule := _as_schedule(value)) is not None:
            moving[name] = rule
        elif moves and is_number(value) and not _is_key(value):
            numbers[name] = value
        else:
            fixed[name] = value

    def known(value: Any) -> Any:
        value = jnp.asarray(value)
        if jnp.issubdtype(value.dtype, jnp.inexact) and hyperparam_dtype is not None:
            return value.astype(hyperparam_dtype)
        return value.astype(value.dtype)  # a strong type, so that a state stays as it came

    def values(states: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        return {k: known(rule(states[k], **extra)) for k, rule in moving.items()}

    def init(params):
        states = {k: rule.init() for k, rule in moving.items()}
        given = {**{k: known(v) for k, v in numbers.items()}, **values(states, {})}
        given = {k: given[k] for k in arguments if k in given}
        inner = inner_factory(**fixed, **given).init(params)
        return InjectStatefulHyperparamsState(zero_count(), given, states, inner)

    def update(updates, state, params=None, **extra):
        given = {k: jnp.asarray(v) for k, v in state.hyperparams.items()}
        given = {k: v.astype(known(numbers[k]).dtype) for k, v in given.items() if k in numbers}
        given.update(values(state.hyperparams_states, extra))
        tx = inner_factory(**fixed, **given)
        updates, inner = call_update(tx, updates, state.inner_state, params, extra)
        states = {k: r.update(state.hyperparams_states[k], **extra) for k, r in moving.items()}
        given = {k: given[k] for k in state.hyperparams}
        state = InjectStatefulHyperparamsState(increment(state.count), given, states, inner)
        return updates, state

    examples = {name: numbers.get(name, StandIn(0.5, moving.get(name))) for name in arguments}
    examples = {name: x for name, x in examples.items() if name in numbers or name in moving}
    inner = inner_factory(**fixed, **examples)
    return Rule(init, update, children=(Child("inner", inner, at="inner_state"),))


def inject_hyperparams(
    inner_factory: Callable[..., Any],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., Any]:
    """Wraps a factory: its hyperparameters are in the state, in the dict `hyperparams`.

    >>> from gdjax.compat import optax
    >>> import jax.numpy as jnp
    >>> tx = optax.inject_hyperparams(optax.sgd)(learning_rate=1.0)
    >>> state = tx.init(jnp.zeros(1))
    >>> state.hyperparams["learning_rate"] = 0.5
    >>> tx.update(jnp.ones(1), state)[0]
    Array([-0.5], dtype=float32)

    Args:
        inner_factory: A function that makes a transformation.
        static_args: Names of arguments that stay out of the state: callables that are no
            schedules, numbers that determine a shape.
        hyperparam_dtype: Dtype of the numbers; float by default.

    Raises:
        ValueError: `static_args` has a name that is no argument.
    """
    static = (static_args,) if isinstance(static_args, str) else tuple(static_args)
    if not callable(inner_factory):
        hint = "Write inject_hyperparams(adam)(learning_rate=1e-3)."
        must = "inner_factory must be a function that makes a transformation"
        errors.fail("optax.inject_hyperparams", must, inner_factory, instead=hint, kind=TypeError)
    signature = inspect.signature(inner_factory)
    if unknown := set(static) - set(signature.parameters):
        must = f"static_args must be arguments of it, {', '.join(signature.parameters)}"
        errors.fail("optax.inject_hyperparams", must, ", ".join(sorted(unknown)))

    @functools.wraps(inner_factory)
    def factory(*args: Any, **kwargs: Any) -> Any:
        arguments = dict(signature.bind(*args, **kwargs).arguments)
        for p in signature.parameters.values():
            if p.kind is p.VAR_KEYWORD:
                arguments.update(arguments.pop(p.name, {}))
            elif p.kind is p.VAR_POSITIONAL and arguments.pop(p.name, ()):
                must = "the arguments of the factory must have names"
                errors.fail("optax.inject_hyperparams", must, f"*{p.name}")
        more = {"static_args": static} if static else {}
        more.update({} if hyperparam_dtype is None else {"hyperparam_dtype": hyperparam_dtype})
        return injected(inner_factory, arguments, **more)

    return factory


def _defaults(factory: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(factory).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


inject_stateful_hyperparams = inject_hyperparams

"""Gradient transformations: pairs of pure functions that remember the call that made them.

The path of a gradient: `tx.step` or `tx.update`, which checks arguments and compiles calls outside
`jit`; `run`, which builds the rule for the current hyperparameters; `chain.update`, stage by stage;
`tree.evolve` in the rule, and there `leaf`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, overload

import jax

from gdjax.core.data.cached import cached
from gdjax.core.data.factory import Factory, Kind
from gdjax.core.data.hyperparams import ARRAYS, is_array
from gdjax.core.data.recipe import Recipe, factory
from gdjax.core.data.schedule import Live, no_scalar, value_at
from gdjax.core.engine.checks import as_rule, check_origin, no_pair, not_injected
from gdjax.core.engine.dispatch import compiled, is_concrete, split
from gdjax.core.engine.extra_args import check_spelling, taken
from gdjax.core.engine.facts import Facts, find_facts
from gdjax.core.engine.numbers import InjectHyperparamsState, StandIn
from gdjax.core.engine.pair import InitUpdate, Params, State
from gdjax.core.engine.rule import Rule, merged
from gdjax.core.rule import errors, leaf, numerics, tree

P = ParamSpec("P")


class GradientTransformation(Recipe, InitUpdate):
    """A gradient transformation: a pair of pure functions `(init, update)` that remembers its call.

    `init(params)` returns the state, `update(updates, state, params=None, **extra)` returns
    `(updates, state)`, and `step(grads, state, params, **extra)` returns `(params, state)`.
    It prints as its call, compares, hashes, pickles, is edited with `replace`, converts to and from
    JSON with `gdjax.spec` and `gdjax.build`, and is a pytree whose leaves are the given numbers.

    Outside `jit`, `update` and `step` are compiled once, with Python numbers compiled in and arrays
    as arguments; inside a trace nothing is added.
    """

    scheduled: dict[str, Any]  # hyperparameters that are schedules or live values
    narrow = False  # whether updates are cast to the dtypes of the gradients

    def __new__(cls, init: Any, update: Any) -> Any:
        """A plain pair of functions, without a call to remember; factories make the others."""
        return InitUpdate(init, update)

    @classmethod
    def _from_arguments(cls, made: Factory, arguments: dict[str, Any]) -> GradientTransformation:
        def init(params):
            return _init(self, params)

        def update(updates, state, params=None, **extra):
            return _enter("update", self, updates, state, params, extra)

        init.__qualname__, update.__qualname__ = f"{made.name}.init", f"{made.name}.update"
        self = tuple.__new__(cls, (init, update))  # pyrefly: ignore
        self.factory, self.given, self.name = made, arguments, made.name
        self.scheduled = {}
        for name, within in made.ranges.items():
            given = arguments.get(name)
            if within.scheduled and (callable(given) or isinstance(given, Live)):
                self.scheduled[name] = given
        return self

    @classmethod
    def _made(cls, made: Factory, arguments: dict[str, Any]) -> GradientTransformation:
        """The result of a call of the factory; inside a running body it was checked before."""
        if NOW.running:
            return cls._from_arguments(made, arguments)
        made.check(arguments)
        self = cls._from_arguments(made, arguments)
        if not NOW.trying:
            self.__dict__["facts"] = _find_and_keep(self)
        return self

    def step(self, grads: Any, state: State, params: Params, **extra: Any) -> tuple[Params, State]:
        """Updates and applies in one call: `(params, state)`.

        Raises:
            ValueError: Gradients and parameters differ in structure or shape.
        """
        return _enter("step", self, grads, state, params, extra)

    def evaluate(self, state: Any, params: Any) -> Any:
        """The parameters to evaluate a model at, which may differ from the trained ones."""
        body, inner = self.build(self.last_values(state)), self.peeled(state)
        if isinstance(body, GradientTransformation):  # an alias
            return body.evaluate(inner, params)
        if body.evaluate is not None:
            return body.evaluate(inner, params)
        for child in body.children:
            if isinstance(child.tx, GradientTransformation):
                own = child.params_of(params)
                params = merged(child.tx.evaluate(child.state_in(inner), own), params)
        return params

    @property
    def extra_args(self) -> dict[str, bool]:
        """The names of the extra arguments of `update`; True for required ones."""
        return self.facts.extra_args

    # For the engine: hyperparameters that change, and the rule for their current values.

    def peeled(self, state: Any) -> Any:
        """The state without the values of hyperparameters."""
        return state.inner_state if self.scheduled else state

    def last_values(self, state: Any) -> dict[str, jax.Array]:
        """The values last used of the hyperparameters that change from step to step."""
        return state.hyperparams if self.scheduled else {}

    def build(self, values: dict[str, Any], *, trying: bool = False) -> Any:
        """Calls the factory's body with current numbers; returns a rule, or the aliased optimizer.

        Nothing traced is kept, so an object made inside or outside a trace may be used in both.
        """
        made, given = self.factory, {**self.given, **values}
        for name in made.ranges:
            if isinstance(given.get(name), ARRAYS):
                if given[name].ndim:
                    no_scalar(self.name, name, given[name])
                given[name] = numerics.weak(given[name])
        before = NOW.trying, NOW.running
        NOW.trying, NOW.running = trying, not trying
        try:
            body = made.invoke(given)
        finally:
            NOW.trying, NOW.running = before
        if type(body) is tuple and len(body) == 2 and callable(body[0]) and callable(body[1]):
            body = Rule(*body)
        return body if isinstance(body, (GradientTransformation, Rule)) else as_rule(made, body)

    def example(self) -> Any:
        """The body with placeholders for schedules and arrays; computes nothing."""
        given, ranges = self.given, self.factory.ranges
        names = [*self.scheduled, *(n for n in ranges if isinstance(given.get(n), ARRAYS))]
        values = {name: StandIn(ranges[name].example, given[name]) for name in names}
        return self.build(values, trying=True)

    @cached
    def facts(self) -> Facts:
        """Its properties for all values of its numbers."""
        return _FACTS.get(jax.tree.structure(self)) or _find_and_keep(self)

    @cached
    def split(self) -> tuple[Any, tuple]:
        """The static part (structure, Python numbers), and the arrays, which are arguments."""
        return split(self, is_array)

    def _replace(self, **fields: Any) -> Any:  # a changed pair no longer corresponds to its call
        return InitUpdate(self.init, self.update)._replace(**fields)


class _Now(threading.local):
    """The context in which this thread calls a factory."""

    trying = False  # a body is called to inspect its structure
    running = False  # a body is called for a step


NOW = _Now()
_FACTS: dict[Any, Facts] = {}  # by structure: jit rebuilds objects that were inspected before


def _find_and_keep(tx: GradientTransformation) -> Facts:
    if len(_FACTS) >= 1000:
        _FACTS.clear()
    return _FACTS.setdefault(jax.tree.structure(tx), find_facts(tx))


def _init(tx: GradientTransformation, params: Any) -> Any:
    """The state before the first step, for parameters or abstract values of them."""
    count, values = numerics.zero_count(), {}
    for name, rule in tx.scheduled.items():
        values[name] = value_at(rule, count, None)
    body = tx.build(values)
    try:
        state = body.init(params)
    except Exception as error:
        errors.rename(error, tx.name, alias=isinstance(body, GradientTransformation))
        raise
    return InjectHyperparamsState(count, values, state) if tx.scheduled else state


def _enter(which: str, tx: Any, updates: Any, state: Any, params: Any, extra: dict) -> Any:
    """The entry of a user's call: compiled by itself, or a part of a program being traced."""
    for x in (leaves := jax.tree.leaves((updates, state, params, extra))):
        if isinstance(x, jax.core.Tracer):
            return _checked(which, tx, updates, state, params, extra)
    static, arrays = tx.split
    if all(map(is_concrete, set(map(type, (*leaves, *arrays))))):
        return compiled(_CHECKED[which], static, arrays, updates, state, params, extra)
    return _checked(which, tx, updates, state, params, extra)


def _checked(which: str, tx: Any, updates: Any, state: Any, params: Any, extra: dict) -> Any:
    """Checks the arguments, once, and runs."""
    if params is not None and not tx.facts.per_example:
        tree.check_like(updates, params, tx.name)
        leaf.check_kinds(updates, params, tx.name)
    if extra:
        check_spelling(tx.name, tx.facts.extra_args, extra)
    try:
        return run(which, tx, updates, state, params, extra)
    except Exception as error:
        check_origin(tx, state, updates if params is None else params, error)
        raise


_CHECKED = {which: functools.partial(_checked, which) for which in ("update", "step")}


def run(which: str, tx: Any, updates: Any, state: Any, params: Any, extra: dict) -> Any:
    """Runs `update` or `step` (`which`) with the rule for the current hyperparameters."""
    values, inner = {}, state
    if tx.scheduled:
        if not isinstance(state, InjectHyperparamsState):
            not_injected(tx, state)
        inner = state.inner_state
        for name, rule in tx.scheduled.items():
            values[name] = value_at(rule, state.count, state.hyperparams[name])
    body = tx.build(values)
    steps = which == "step" and not tx.narrow  # whether the rule's own `step` may be used
    try:
        if isinstance(body, GradientTransformation):  # an alias
            out, inner = run("step" if steps else "update", body, updates, inner, params, extra)
        else:
            code = getattr(body.update, "__code__", None)
            if extra or body.needs or code is None or code.co_kwonlyargcount:
                extra = taken(tx.name, body, extra)
            steps = steps and body.step is not None
            act = body.step if steps else body.update
            pair = act(updates, inner, params, **extra)
            out, inner = pair if isinstance(pair, tuple) and len(pair) == 2 else no_pair(tx, pair)
        if tx.narrow:
            out = tree.as_narrow(out, updates)
        if which == "step" and not steps:
            out = tree.add(params, out)
    except Exception as error:
        errors.rename(error, tx.name, alias=isinstance(body, GradientTransformation))
        raise
    if tx.scheduled:
        inner = InjectHyperparamsState(numerics.increment(state.count), values, inner)
    return out, inner


def name_of(tx: Any) -> str:
    """The name of a transformation's factory, of gdjax or of another library."""
    if isinstance(tx, GradientTransformation):
        return tx.name
    return getattr(tx.update, "__qualname__", type(tx).__name__).split(".")[0]


def call(which: str, tx: Any, updates: Any, state: Any, params: Any, extra: dict[str, Any]) -> Any:
    """Calls `update` or `step` (`which`) of a transformation, of gdjax or of another library."""
    if isinstance(tx, GradientTransformation):
        return run(which, tx, updates, state, params, extra)
    updates, state = tx.update(updates, state, params, **taken(name_of(tx), tx, extra))
    return (updates if which == "update" else tree.add(params, updates)), state


call_update = functools.partial(call, "update")
call_step = functools.partial(call, "step")


def call_evaluate(tx: Any, state: Any, params: Any) -> Any:
    """The parameters to evaluate a model at; params for another library's transformation."""
    return tx.evaluate(state, params) if isinstance(tx, GradientTransformation) else params


def apply_updates(params: Any, updates: Any) -> Any:
    """Params + updates, added in float32 or wider and rounded once to the dtypes of params.

    Leaves whose update is None, float0 or an integer do not change.

    >>> import jax.numpy as jnp
    >>> apply_updates({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([-0.5, 0.0])})
    {'w': Array([0.5, 2. ], dtype=float32)}

    Raises:
        ValueError: The trees differ in structure or shapes; the message names the leaf.
    """
    tree.check_like(updates, params, "apply_updates", ("updates", "params"))
    return tree.add(params, updates)


@overload
def transformation(function: Callable[P, Any], /) -> Callable[P, GradientTransformation]: ...
@overload
def transformation(
    *, kind: Kind
) -> Callable[[Callable[P, Any]], Callable[P, GradientTransformation]]: ...
def transformation(function: Any = None, /, *, kind: Kind = "transformation") -> Any:
    """Decorator that turns a function returning `(init, update)` into a transformation factory.

    The function marks its hyperparameters by annotation (`Hyperparam`, or `NonNegative`,
    `Positive`, `Decay` where their range is known); each may then be a number, an array, a
    schedule or `live(value)`, and the function gets the value of the current step. It may also
    return a `Rule`, which declares more, or another transformation, of which it is then an alias.

    >>> import gdjax as gd
    >>> from gdjax.core.rule import tree
    >>> from gdjax import Hyperparam
    >>> @gd.transformation
    ... def negate(factor: Hyperparam = 1.0):
    ...     def init(params):
    ...         return gd.EmptyState()
    ...     def update(updates, state, params=None, **extra):
    ...         return tree.map(lambda g: -factor * g, updates), state
    ...     return init, update
    >>> negate(factor=2.0)
    negate(factor=2.0)

    Args:
        function: The function.
        kind: "optimizer" (complete, with a learning rate), "wrapper" (of transformations), or
            "transformation".
    """
    if isinstance(function, str):
        hint = f"Write @transformation(kind={function!r})."
        errors.fail("transformation", "kind must be a keyword argument", function, instead=hint)
    if function is None:
        return lambda given: factory(given, GradientTransformation, kind)
    return factory(function, GradientTransformation, kind)

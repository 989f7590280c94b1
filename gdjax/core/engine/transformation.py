"""The pair of pure functions that remembers its call, and how its numbers move."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, overload

import jax
import jax.numpy as jnp

from gdjax.core.data.cached import cached
from gdjax.core.data.compare import is_transformation
from gdjax.core.data.factory import Kind
from gdjax.core.data.hyperparams import is_array, is_number
from gdjax.core.data.recipe import Recipe, factory
from gdjax.core.data.schedule import Live
from gdjax.core.engine.dispatch import can_compile, compiled, split
from gdjax.core.engine.extra_args import extra_names, signature_of, taken_extra
from gdjax.core.engine.pair import InitUpdate, Params, State
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.leaf import defer, force

__all__ = [
    "EmptyState",
    "GradientTransformation",
    "InjectHyperparamsState",
    "Pair",
    "apply_updates",
    "transformation",
]

P = ParamSpec("P")


class EmptyState(NamedTuple):
    """State of a transformation that has none."""


class InjectHyperparamsState(NamedTuple):
    """State of a transformation some of whose hyperparameters move from step to step."""

    count: jax.Array  # [] int32: steps taken
    hyperparams: dict[str, jax.Array]  # the values last used, by argument name
    inner_state: Any  # the state that the transformation has when nothing moves


class Pair(NamedTuple):
    """What the body of a factory returns: `init`, `update` and, where they differ, the others."""

    init: Callable[..., Any]
    update: Callable[..., Any]
    step: Callable[..., Any] | None = None  # update and apply in one, see `GradientTransformation`
    parts: Callable[[Any], list[tuple[str, Any, Any]]] | None = None  # (name, part, its state)
    evaluate: Callable[[Any, Any], Any] | None = None  # (state, params) -> params to evaluate at
    fuses: bool = False  # updates go nowhere but through `tree.evolve` and `tree.map`
    batched: bool = False  # updates come with a leading axis of examples
    named: bool = False  # the names of `parts` are the user's, and stand in paths of the state
    shares: Callable[[Any], list[Any]] | None = None  # params -> those that each of `parts` gets


def apply_updates(params: Any, updates: Any) -> Any:
    """Params + updates, formed in float32 or wider and rounded once to the dtypes of params.

    Leaves whose update is None, float0 or an integer stay as they are.

    >>> import jax.numpy as jnp
    >>> apply_updates({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([-0.5, 0.0])})
    {'w': Array([0.5, 2. ], dtype=float32)}

    Raises:
        ValueError: The trees differ; the message names the leaf.
    """
    tree.check_like(updates, params, "apply_updates")
    return tree.add(params, updates)


class _Machine:
    """The functions that a recipe stands for. They are built anew whenever they are traced.

    Nothing traced is kept, so an object made inside or outside of a trace may be used in both.
    """

    def __init__(self) -> None:
        self.tx: GradientTransformation  # set when the recipe is known

    @property
    def moving(self) -> dict[str, Any]:
        """The hyperparameters that are schedules, functions of the step, or live in the state."""
        made, given = self.tx._factory, self.tx._arguments
        return {
            name: given[name]
            for name, within in made.ranges.items()
            if within.scheduled and (callable(given.get(name)) or isinstance(given.get(name), Live))
        }

    def build(self, values: dict[str, Any]) -> Any:
        """Calls the factory's body with the numbers that hold now."""
        made, given = self.tx._factory, {**self.tx._arguments, **values}
        numbers = {
            name: _weaken(self.tx.name, name, given[name]) for name in made.ranges if name in given
        }
        body = made.invoke({**given, **numbers})
        return body if isinstance(body, GradientTransformation) else Pair(*body)

    def example(self) -> Any:
        """The body with examples in the place of schedules and arrays; computes nothing."""
        made, given = self.tx._factory, self.tx._arguments
        names = [*self.moving, *(name for name in made.ranges if is_array(given.get(name)))]
        return self.build({name: made.ranges[name].example for name in names})

    def init(self, params: Any) -> Any:
        """Makes the state before the first step, for arrays or abstract values of parameters."""
        if not (moving := self.moving):
            return self.build({}).init(params)
        count = numerics.zero_count()
        values = {name: _value(rule, count, None) for name, rule in moving.items()}
        inner = self.build(values).init(params)
        return InjectHyperparamsState(count, values, inner)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        """Turns gradients into updates: `(updates, state)`."""
        if can_compile(self.tx, (updates, state, params, extra)):
            return compiled("update", *self.tx._split, updates, state, params, extra)
        return self.run("update", updates, state, params, extra)

    def run(self, which: str, updates: Any, state: Any, params: Any, extra: dict) -> Any:
        """Updates or steps (`which`) with the functions built for the numbers that hold now."""
        if params is not None and not self.tx.batched:
            tree.check_like(updates, params, self.tx.name)
        return force(self.lazily(which, defer(updates), state, params, extra))

    def lazily(self, which: str, updates: Any, state: Any, params: Any, extra: dict) -> Any:
        """As `run`, with updates that may be deferred, and leave so."""
        moving = self.moving
        if not moving:
            return self.call(self.build({}), which, updates, state, params, extra)
        if not isinstance(state, InjectHyperparamsState):
            errors.fail(
                self.tx.name,
                f"state must come from init of this transformation, whose {', '.join(moving)} "
                "move from step to step (InjectHyperparamsState)",
                type(state).__name__,
            )
        values = {
            name: _value(rule, state.count, state.hyperparams[name])
            for name, rule in moving.items()
        }
        out, inner = self.call(self.build(values), which, updates, state.inner_state, params, extra)
        return out, InjectHyperparamsState(numerics.increment(state.count), values, inner)

    def call(
        self, pair: Any, which: str, updates: Any, state: Any, params: Any, extra: dict
    ) -> Any:
        """Calls `update` or `step` of what was built."""
        if isinstance(pair, GradientTransformation):  # this one is an alias of it
            return pair._machine.lazily(which, updates, state, params, extra)
        if not pair.fuses:
            updates = force(updates, whole=True)
        taken = taken_extra(self.tx.name, pair.update, self.tx._extra_inside(), extra)
        if which == "step" and pair.step is not None:
            return pair.step(force(updates), state, params, **taken)
        updates, state = pair.update(updates, state, params, **taken)
        return (updates if which == "update" else tree.add(params, updates)), state


class GradientTransformation(Recipe, InitUpdate):
    """A pair of pure functions `(init, update)` that remembers the call that made it.

    `init(params)` makes the state, `update(updates, state, params=None, **extra)` returns
    `(updates, state)`, and `step(grads, state, params, **extra)` returns `(params, state)`.
    The pair prints as its call, compares, hashes, pickles, is edited with `replace`, goes through
    JSON with `gdjax.spec` and `gdjax.build`, and is a pytree whose leaves are the numbers given.

    Outside of `jit`, `update` and `step` compile themselves once, Python numbers compiled in and
    arrays as arguments; inside of a trace nothing is added.
    """

    _machine: _Machine

    def __new__(cls) -> GradientTransformation:
        """Makes a pair without a recipe; factories made by `transformation` give it one."""
        machine = _Machine()
        self = InitUpdate.__new__(cls, machine.init, machine.update)
        self._machine = machine
        machine.tx = self
        return self

    def step(self, grads: Any, state: State, params: Params, **extra: Any) -> tuple[Params, State]:
        """Updates and applies in one call: `(params, state)`.

        Raises:
            ValueError: Gradients and parameters differ in structure or shape.
        """
        if can_compile(self, (grads, state, params, extra)):
            return compiled("step", *self._split, grads, state, params, extra)
        return self._machine.run("step", grads, state, params, extra)

    @cached
    def extra_args(self) -> dict[str, bool]:
        """Names of the extra arguments of `update` that are used inside; True for those needed."""
        body = self._machine.example()
        if isinstance(body, GradientTransformation):
            return body.extra_args
        return {**self._extra_inside(), **signature_of(body.update)[0]}

    @cached
    def batched(self) -> bool:
        """Whether the updates that come in have a leading axis of examples."""
        return self._machine.example().batched

    def _extra_inside(self) -> dict[str, bool]:
        """The names that the transformations given to this one take."""
        names: dict[str, bool] = {}
        inside = jax.tree.leaves(self._arguments, is_leaf=is_transformation)
        for part in filter(is_transformation, inside):
            for name, needed in extra_names(part).items():
                names[name] = needed or names.get(name, False)
        return names

    def parts(self, state: Any) -> list[tuple[str, Any, Any]]:
        """The transformations that were given to this one: `(name, transformation, its state)`."""
        if self._machine.moving:
            state = state.inner_state
        body = self._machine.example()
        return body.parts(state) if isinstance(body, Pair) and body.parts else []

    def evaluate(self, state: Any, params: Any) -> Any:
        """The parameters to evaluate a model at, where they are others than those trained."""
        body = self._machine.build(self.moved(state))
        if self._machine.moving:
            state = state.inner_state
        if body.evaluate is not None:  # its own, or that of the transformation it is an alias of
            return body.evaluate(state, params)
        for _, part, inner in body.parts(state) if body.parts else []:
            if isinstance(part, GradientTransformation):
                params = part.evaluate(inner, params)
        return params

    def moved(self, state: Any) -> dict[str, jax.Array]:
        """The values last used of those hyperparameters that move from step to step."""
        return state.hyperparams if self._machine.moving else {}

    def _try(self) -> None:
        self.extra_args  # noqa: B018 - builds the body, which judges what it was given

    @cached
    def _split(self) -> tuple[Any, tuple]:
        """What is compiled in (structure, Python numbers), and the arrays, which are arguments."""
        return split(self, is_array)

    def _replace(self, **fields: Any) -> Any:  # a changed pair no longer is what its call says
        return InitUpdate(self.init, self.update)._replace(**fields)


def _weaken(where: str, name: str, value: Any) -> Any:
    if not is_array(value) or not is_number(value):
        return value
    if jnp.ndim(value) != 0:
        must = f"{name} must be a scalar when it is used"
        errors.fail(where, must, f"shape {jnp.shape(value)}", instead="Sweep it with jax.vmap.")
    return numerics.weak(value)


def _value(rule: Any, count: jax.Array, last: jax.Array | None) -> jax.Array:
    """The value that holds at a step: a strongly typed scalar, as it is kept in the state."""
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


@overload
def transformation(function: Callable[P, Any], /) -> Callable[P, GradientTransformation]: ...
@overload
def transformation(
    *, kind: Kind
) -> Callable[[Callable[P, Any]], Callable[P, GradientTransformation]]: ...
def transformation(function: Any = None, /, *, kind: Kind = "transformation") -> Any:
    """Makes a factory of gradient transformations of a function that returns `(init, update)`.

    The function names its hyperparameters by annotation (`Hyperparam`, or `NonNegative`,
    `Positive`, `Decay` where their range is known); each may then be a number, an array, a
    schedule or `live(value)`, and the function sees the number of the step it is at. It may also
    return another transformation, of which it is then an alias, or a third function `step`.

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
        kind: What it is in the catalogue: `"optimizer"`, a whole one with its learning rate;
            `"wrapper"`, which takes transformations; or `"transformation"`. Written
            `@transformation(kind="optimizer")`.
    """
    if function is None:
        return functools.partial(factory, make=GradientTransformation, kind=kind)
    if isinstance(function, str):
        hint = f"Write @transformation(kind={function!r})."
        errors.fail("transformation", "kind must be given by name", function, instead=hint)
    return factory(function, GradientTransformation, kind)

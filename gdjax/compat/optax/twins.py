"""Twins of gdjax's factories, which behave like those of optax.

A twin computes what its original does, with three differences: its updates have the dtype of the
gradients, its hyperparameters have no ranges, and its state has the classes and fields of optax's.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

from gdjax.compat import namespacing
from gdjax.compat.optax.spellings import SPELLINGS
from gdjax.compat.optax.types import ScalarOrSchedule
from gdjax.core.data.factory import Factory
from gdjax.core.data.hyperparams import Range
from gdjax.core.data.recipe import CATALOGUE, factory
from gdjax.core.data.schedule import Live
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Rule
from gdjax.core.engine.transformation import NOW, GradientTransformation
from gdjax.core.rule.numerics import weak

__all__ = ["Twin", "follows", "invoke", "kept", "named", "twin", "twin_of"]

# What stands for a stage of gdjax in what consists of several: another function, or the same rule
# in another form, made of it and of the arguments given.
STAGES: dict[Factory, Callable[..., Any]] = {}
FORMS: dict[Factory, Callable[[Rule, dict[str, Any]], Rule]] = {}
# The field of the state that counts the steps for schedules, where optax has no other count.
CLOCKS: dict[Factory, str] = {}


class Twin(GradientTransformation):
    """A transformation with the conventions of optax."""

    narrow = True

    @classmethod
    def _from_arguments(cls, made: Any, arguments: dict[str, Any]) -> Any:
        """Passes a schedule of an alias of a chain on to its stage that takes it."""
        self = super()._from_arguments(made, arguments)
        if self.scheduled:
            if "hands_on" not in made.__dict__:
                made.hands_on = isinstance(self.example(), GradientTransformation)
            if made.hands_on:
                self.scheduled = {k: v for k, v in self.scheduled.items() if isinstance(v, Live)}
        return self


def twin(
    original: Any,
    name: str = "",
    module: str = "gdjax.compat.optax",
    *,
    stage: bool = False,
    hands_on: bool | None = None,
) -> Any:
    """Decorator of functions that replace the functions of optax of the same name.

    The numbers among the arguments are those of gdjax's factory, without its ranges.

    Args:
        original: A factory of gdjax.
        name: Its name in optax; that of the function by default.
        module: Where it is found.
        stage: Whether it also stands for the original in what gdjax makes of several stages; it
            takes the arguments of the original.
        hands_on: Whether schedules are handed on to the function; by default those of what stands
            for a chain are.
    """
    made = original.factory

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        called = name or function.__name__
        theirs = SPELLINGS.get(called, {})
        rates = {theirs.get(n, n) for n in made.roles.get("learning rate", ())}
        signature = inspect.signature(function)
        parameters = [
            p.replace(annotation=ScalarOrSchedule) if p.name in rates else p
            for p in signature.parameters.values()
        ]
        signature = signature.replace(parameters=parameters)  # code for optax looks whether one may

        @functools.wraps(function)
        def body(*args: Any, **kwargs: Any) -> Any:
            before, NOW.running = NOW.running, True  # nor are the arguments inside checked
            try:
                return _as_there(function(*args, **kwargs))
            finally:
                NOW.running = before

        space = "optax" + module.removeprefix("gdjax.compat.optax")
        body.__name__, body.__qualname__, body.__module__ = f"{space}.{called}", called, module
        body.__signature__ = signature  # type: ignore[attr-defined]
        CATALOGUE.pop(body.__name__, None)  # a module that is loaded again
        call = factory(body, Twin, made.kind)
        call.__name__ = called
        own = call.factory  # type: ignore[attr-defined]
        own.module, known = "optax", set(signature.parameters)
        own.hints = {theirs.get(n, n): h for n, h in made.hints.items()}
        own.ranges = {theirs.get(n, n): _wide(r) for n, r in made.ranges.items()}
        own.containers = {theirs.get(n, n) for n in made.containers}
        for found in (own.hints, own.ranges):
            for unknown in set(found) - known:
                del found[unknown]
        if hands_on is not None:
            own.hands_on = hands_on
        if stage:
            STAGES[made] = call
        return call

    return decorate


def twin_of(name: str, original: Any, module: str) -> Any:
    """The twin of a factory of gdjax that differs only in optax's spelling; always the same one.

    Args:
        name: Its name in optax.
        original: The factory of gdjax.
        module: Where it is found by that name, which is what `pickle` writes.
    """
    with _MAKING:
        return _twin_of(name, original, module)


_MAKING = threading.RLock()  # two that are made at once would not be equal


@functools.cache
def _twin_of(name: str, original: Any, module: str) -> Any:
    made, theirs = original.factory, SPELLINGS.get(name, {})
    own = made.signature
    parameters = [p.replace(name=theirs.get(n, n)) for n, p in own.parameters.items()]
    signature = own.replace(parameters=parameters)
    ours = {new: old for old, new in theirs.items()}

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        return invoke(original, {ours.get(k, k): value for k, value in given.items()})

    function.__signature__ = signature  # type: ignore[attr-defined]
    return twin(original, name, module, hands_on=True if made in CLOCKS else None)(function)


def _wide(within: Range) -> Range:
    return Range(scheduled=within.scheduled, role=within.role, uphill=within.uphill)


def invoke(original: Any, arguments: dict[str, Any]) -> Any:
    """The transformation of a factory of gdjax, in the form of optax."""
    made = original.factory
    moving = {k: v for k, v in arguments.items() if follows(v)} if made in CLOCKS else {}
    if moving:
        return _clocked(original, {**arguments}, moving, CLOCKS[made])
    body = made.invoke(arguments)
    if made not in FORMS:
        return body
    return FORMS[made](body if isinstance(body, Rule) else Rule(*body), arguments)


def follows(value: Any) -> bool:
    """Whether a hyperparameter is a function of the step."""
    return callable(value) and not isinstance(value, Live)


def _clocked(original: Any, arguments: dict[str, Any], moving: dict[str, Any], count: str) -> Rule:
    """A rule whose schedules are read at the count of its own state."""

    def at(step: Any) -> Rule:
        body = invoke(original, arguments | {k: weak(f(step)) for k, f in moving.items()})
        return body if isinstance(body, Rule) else Rule(*body)

    rule = at(0)

    @functools.wraps(rule.update)
    def update(updates, state, params=None, **extra):
        return at(getattr(state, count)).update(updates, state, params, **extra)

    return rule._replace(update=update, step=None)


def kept(
    rule: Rule,
    there: Callable[[Any], Any],
    back: Callable[[Any, Any], Any],
) -> Rule:
    """A rule whose state is kept in another form.

    Args:
        rule: The rule.
        there: Makes of its state what is kept.
        back: Makes of what is kept, and of parameters or updates, its state.
    """

    @functools.wraps(rule.update)  # extra arguments are found in its signature
    def update(updates, state, params=None, **extra):
        like = updates if params is None else params
        updates, state = rule.update(updates, back(state, like), params, **extra)
        return updates, there(state)

    return rule._replace(init=lambda params: there(rule.init(params)), update=update, step=None)


def _as_there(body: Any) -> Any:
    """What a function of gdjax has made, of stages that are as optax has them."""
    if not isinstance(body, GradientTransformation) or isinstance(body, Twin):
        return body
    if body.made_by(chain):
        parts = map(_as_there, body.arguments["transformations"])
        named = {k: _as_there(v) for k, v in body.arguments["named"].items()}
        return chain(*parts, **named)
    make = STAGES.get(body.factory)
    if body.factory in FORMS or body.factory in CLOCKS:
        make = twin_of(body.name, body.factory.call, "gdjax.compat.optax.stages")
    if make is None:
        inside = body.factory.invoke(body.given)
        if isinstance(inside, GradientTransformation):  # it stands for another
            return _as_there(inside)
    within = {k: _as_there(v) for k, v in body.given.items()}
    if make is not None:
        theirs = SPELLINGS.get(body.name, {})
        return make(**{theirs.get(k, k): v for k, v in within.items()})
    return body if within == body.given else body.factory.call(**within)


def _of_optax(function: Callable[..., Any]) -> Callable[..., Any]:
    return factory(function, Twin, "transformation")


named = functools.partial(namespacing.named, make=_of_optax)

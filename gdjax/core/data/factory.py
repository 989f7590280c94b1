"""Decorated factory functions: name, signature, and ranges of their numbers."""

from __future__ import annotations
import __future__

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from gdjax.core.data import renamed
from gdjax.core.data.cached import cached
from gdjax.core.data.compare import Remembers, show
from gdjax.core.data.hyperparams import (
    Range,
    holds_many,
    is_array,
    is_known,
    is_number,
    range_in,
    role_of,
)
from gdjax.core.rule import errors

_PLAIN = (inspect.Parameter.empty, float, int, "float", "int")

Kind = Literal["optimizer", "wrapper", "transformation", "schedule", "rule"]


class Factory:
    """A decorated function: its name, its signature, and which of its arguments are numbers."""

    def __init__(self, function: Callable[..., Any], make: type, kind: Kind) -> None:
        """Remembers `function`.

        Args:
            function: The function that was decorated.
            make: The class of the objects that its calls return.
            kind: Its kind in the catalogue.

        Raises:
            ValueError: Unknown kind.
        """
        if kind not in get_args(Kind):
            must = f"kind must be one of {', '.join(map(repr, get_args(Kind)))}"
            errors.fail(getattr(function, "__name__", "factory"), must, repr(kind))
        self.function, self.make, self.kind = function, make, kind
        self.name, self.module, self.qualname = (
            function.__name__,
            function.__module__,
            function.__qualname__,
        )
        # How configuration files and the catalogue call it.
        self.key = self.name if self.is_ours else f"{self.module}:{self.qualname}"
        self.call: Callable[..., Any] = function  # the decorated function, set by `factory`
        _unquote(function)

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to gdjax, not to a user or another library."""
        return self.module.split(".")[0] == "gdjax"

    @cached
    def signature(self) -> inspect.Signature:
        """Parameters and defaults."""
        return inspect.signature(self.function)

    @cached
    def hints(self) -> dict[str, Any]:
        """The annotations, evaluated."""
        try:
            return typing.get_type_hints(self.function, include_extras=True)
        except NameError as error:
            must = "annotations must be names defined in the module of the function"
            errors.fail(self.name, must, str(error), instead="Import them at its top.")

    @cached
    def ranges(self) -> dict[str, Range]:
        """The arguments that are numbers, with their ranges."""
        found = {name: range_in(self.hints.get(name)) for name in self.signature.parameters}
        return {name: r for name, r in found.items() if r is not None}

    @cached
    def variadic(self) -> bool:
        """Whether it takes any number of arguments: `*args` or `**kwargs`."""
        kinds = {p.kind for p in self.signature.parameters.values()}
        return bool(kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})

    @cached
    def roles(self) -> dict[str, list[str]]:
        """The arguments that have a role, by role."""
        found: dict[str, list[str]] = {}
        for name, hint in self.hints.items():
            if role := role_of(hint):
                found.setdefault(role, []).append(name)
        for name, within in self.ranges.items():
            found.setdefault(within.role, []).append(name)
        return found

    @cached
    def containers(self) -> set[str]:
        """The arguments that are lists or dicts of numbers."""
        return {name for name in self.ranges if holds_many(self.hints[name])}

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The given arguments by name; a wrong name raises with the nearest one."""
        try:
            given = dict(self.signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            names = list(self.signature.parameters)
            raise renamed.misfit(self.name, str(self), error, kwargs, names) from None
        for name, value in given.items():
            if name in self.containers:
                known = is_array(value) and is_known(value) and np.ndim(value)
                given[name] = np.asarray(value).tolist() if known else _plain(value)
            elif isinstance(value, np.number) and name not in self.ranges:
                given[name] = value.item()  # a Python number, since it is not traced
        return given

    def __str__(self) -> str:
        """The call with its defaults, as one would type it."""
        return call_text(self.name, self.signature)

    def invoke(self, arguments: Mapping[str, Any]) -> Any:
        """Calls the undecorated function with named arguments."""
        if not self.variadic:
            return self.function(**arguments)
        bound = inspect.BoundArguments(self.signature, dict(arguments))  # type: ignore[arg-type]
        return self.function(*bound.args, **bound.kwargs)

    def defaults(self) -> dict[str, Any]:
        """The default values of arguments."""
        kinds: dict[Any, Any] = {
            inspect.Parameter.VAR_POSITIONAL: (),
            inspect.Parameter.VAR_KEYWORD: {},
        }
        return {
            p.name: kinds.get(p.kind, p.default)
            for p in self.signature.parameters.values()
            if p.kind in kinds or p.default is not p.empty
        }

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Checks the ranges of concrete numbers; traced ones are not checked."""
        for name, value in arguments.items():
            if name in self.ranges:
                try:
                    self._judge(name, self.ranges[name], value, top=True)
                except ValueError as error:
                    if other := self._swapped(name, arguments):
                        error.args = (f"{error.args[0]} Are {name} and {other} swapped?",)
                    raise
            elif self.signature.parameters[name].annotation in _PLAIN:
                self._judge_plain(name, value)

    def _swapped(self, length: str, arguments: Mapping[str, Any]) -> str | None:
        """An argument that may have been swapped with a wrong number of steps."""
        number = lambda name: isinstance(arguments[name], (int, float))
        if not self.ranges[length].whole or not number(length):
            return None
        for name in filter(number, arguments):
            within, value = self.ranges.get(name), arguments[name]
            if within and not within.whole and value > 1 and self.ranges[length].holds(value):
                return name
        return None

    def _judge_plain(self, name: str, value: Any) -> None:
        """Raises if an argument annotated as a plain number, or not at all, is a schedule."""
        plain = self.signature.parameters[name].annotation is not inspect.Parameter.empty
        if getattr(value, "stands_for_a_number", False) or (plain and is_array(value)):
            must = f"{name} must be a constant number"
            hint = f"To allow arrays and schedules, annotate it: {name}: gdjax.Hyperparam."
            errors.fail(self.name, must, show(value), instead=hint, kind=TypeError)

    def _judge(self, name: str, within: Range, value: Any, top: bool = False) -> None:
        kinds = getattr(value, "stands_for_a_number", False)  # a schedule, a live value
        many = not top or name in self.containers
        if value is None and self._may_be_none(name):
            return
        if many and isinstance(value, (list, tuple, dict)) and not isinstance(value, Remembers):
            for part in value.values() if isinstance(value, dict) else value:
                self._judge(name, within, part)
        elif within.scheduled and (kinds or callable(value)):
            if "value" in (inside := getattr(value, "given", {})):  # the value of `live` is known
                self._judge(name, within, inside["value"])
        elif not is_number(value):
            kind = "a number, an array or a schedule" if within.scheduled else "a number"
            errors.fail(self.name, f"{name} must be {kind}", show(value), kind=TypeError)
        elif is_known(value) and not within.holds(value):
            errors.fail(self.name, f"{name} must lie in {within}", value)

    def _may_be_none(self, name: str) -> bool:
        parameter = self.signature.parameters[name]
        return parameter.default is None or type(None) in typing.get_args(self.hints.get(name))


def _plain(value: Any) -> Any:
    """Numbers in Python's containers, from any mapping or sequence."""
    if isinstance(value, Mapping):
        return {key: _plain(x) for key, x in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, Remembers)):
        return (tuple if type(value) is tuple else list)(map(_plain, value))
    return value


def call_text(name: str, signature: inspect.Signature) -> str:
    """A call with the defaults of its arguments, without annotations."""
    bare = [
        p.replace(annotation=p.empty, default=p.default if p.default is p.empty else _Shown(p))
        for p in signature.parameters.values()
    ]
    return f"{name}{inspect.Signature(bare)}"


class _Shown:
    """The repr of a default value in a call."""

    def __init__(self, parameter: inspect.Parameter) -> None:
        self.text = show(parameter.default)

    def __repr__(self) -> str:
        return self.text


class _Unquoted(str):
    """An annotation that prints without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _unquote(function: Callable[..., Any]) -> None:
    """Makes `help` print `b1: Decay`, not 'Decay', under `from __future__ import annotations`."""
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & __future__.annotations.compiler_flag:
        hints = function.__annotations__
        hints.update({name: _Unquoted(text) for name, text in hints.items()})

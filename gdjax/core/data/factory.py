"""A function whose calls are remembered: its name, its signature, and what its numbers must be."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from gdjax.core.data import renamed
from gdjax.core.data.compare import Remembers, show
from gdjax.core.data.hyperparams import Range, holds_many, is_known, is_number, range_in
from gdjax.core.rule import errors

__all__ = ["Factory"]


class Factory:
    """A decorated function: its name, its signature, and which of its arguments are numbers."""

    def __init__(self, function: Callable[..., Any], make: type) -> None:
        """Remembers `function`; `make` is the class of the objects that calls of it give."""
        self.function, self.make = function, make
        self.name, self.module, self.qualname = (
            function.__name__,
            function.__module__,
            function.__qualname__,
        )
        self.call: Callable[..., Any] = function  # the decorated function, set by `factory`

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """Parameters and defaults."""
        return inspect.signature(self.function)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """The annotations, looked up."""
        try:
            return typing.get_type_hints(self.function, include_extras=True)
        except NameError as error:
            must = "annotations must be names that the module of the function knows"
            errors.fail(self.name, must, str(error), instead="Import them at its top.")

    @functools.cached_property
    def ranges(self) -> dict[str, Range]:
        """The arguments that hold numbers, and where these must lie."""
        found = {name: range_in(self.hints.get(name)) for name in self.signature.parameters}
        return {name: r for name, r in found.items() if r is not None}

    @functools.cached_property
    def containers(self) -> set[str]:
        """Those of them that hold several numbers, in lists or dicts."""
        return {name for name in self.ranges if holds_many(self.hints[name])}

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Names the given arguments; a wrong one raises with the nearest name."""
        try:
            return dict(self.signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise renamed.misfit(self.name, error, kwargs, self.signature) from None

    def invoke(self, arguments: Mapping[str, Any]) -> Any:
        """Calls the undecorated function with named arguments."""
        bound = inspect.BoundArguments(self.signature, dict(arguments))  # type: ignore[arg-type]
        return self.function(*bound.args, **bound.kwargs)

    def defaults(self) -> dict[str, Any]:
        """The values of the arguments that need not be given."""
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
        """Judges the numbers that are known; traced ones are not judged."""
        for name, within in self.ranges.items():
            if name in arguments:
                self._judge(name, within, arguments[name], top=True)

    def _judge(self, name: str, within: Range, value: Any, top: bool = False) -> None:
        kinds = getattr(value, "stands_for_a_number", False)  # a schedule, a live value
        many = not top or name in self.containers
        if value is None and self._may_be_none(name):
            return
        if many and isinstance(value, (list, tuple, dict)) and not isinstance(value, Remembers):
            for part in value.values() if isinstance(value, dict) else value:
                self._judge(name, within, part)
        elif within.scheduled and (kinds or callable(value)):
            if "value" in (inside := getattr(value, "_arguments", {})):  # what lives is known
                self._judge(name, within, inside["value"])
        elif not is_number(value):
            kind = "a number, an array or a schedule" if within.scheduled else "a number"
            errors.fail(self.name, f"{name} must be {kind}", show(value), kind=TypeError)
        elif is_known(value) and not within.holds(value):
            errors.fail(self.name, f"{name} must lie in {within}", value)

    def _may_be_none(self, name: str) -> bool:
        parameter = self.signature.parameters[name]
        return parameter.default is None or type(None) in typing.get_args(self.hints.get(name))

"""Objects that remember the call that made them, so that they print, compare, pickle and edit.

A `Recipe` is a factory together with the arguments **given** in the call. Its numbers are the
leaves of a pytree; everything else in it is static. What an object does with its recipe (build a
pair of functions, evaluate a schedule) is the business of its class.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from gdjax.core import errors
from gdjax.core.ranges import Range, is_known, is_number, range_in
from gdjax.core.values import Remembers, freeze, show

__all__ = [
    "CATALOGUE",
    "Factory",
    "Recipe",
    "factory",
]


class Factory:
    """A decorated function: its name, its signature, and which of its arguments are numbers."""

    def __init__(self, function: Callable[..., Any], make: type[Recipe]) -> None:
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
    def ranges(self) -> dict[str, Range]:
        """The arguments that hold numbers, and where these must lie."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        found = {name: range_in(hints.get(name)) for name in self.signature.parameters}
        return {name: r for name, r in found.items() if r is not None}

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Names the given arguments; a wrong one raises with the nearest name."""
        try:
            return dict(self.signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            names = list(self.signature.parameters)
            wrong = [k for k in kwargs if k not in names]
            hint = (
                errors.nearest(wrong[0], names) if wrong else f"Write {self.name}{self.signature}."
            )
            raise TypeError(f"{self.name}: {error}. {hint}") from None

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
            for value in jax.tree.leaves(arguments.get(name), is_leaf=_is_recipe):
                if within.scheduled and (isinstance(value, Recipe) or callable(value)):
                    continue
                if not is_number(value):
                    kinds = "a number, an array or a schedule" if within.scheduled else "a number"
                    errors.fail(self.name, f"{name} must be {kinds}", value, kind=TypeError)
                if is_known(value) and not within.holds(value):
                    errors.fail(self.name, f"{name} must lie in {within}", value)


CATALOGUE: dict[str, Factory] = {}


def factory(function: Callable[..., Any], make: type[Recipe]) -> Callable[..., Any]:
    """Turns a function into a factory of `make` objects, and enters it into the catalogue.

    A function defined twice (a notebook cell that is run again) replaces itself.

    Raises:
        ValueError: Another function of the same name is in the catalogue.
    """
    made = Factory(function, make)
    old = CATALOGUE.get(made.name)
    if old is not None and (old.module, old.qualname) != (made.module, made.qualname):
        errors.fail(
            made.name,
            f"a factory's name must be its own; {old.module}.{old.qualname} has it",
            f"{made.module}.{made.qualname}",
        )

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        arguments = made.bind(args, kwargs)
        made.check(arguments)
        instance = make._from_arguments(made, arguments)
        instance._try()
        return instance

    made.call = call
    call.factory = made  # type: ignore[attr-defined]
    CATALOGUE[made.name] = made
    return call


class Recipe(Remembers):
    """An object that remembers the call that made it. Immutable; a pytree of its numbers."""

    _factory: Factory
    _arguments: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Registers every kind of recipe as a pytree node."""
        super().__init_subclass__(**kwargs)
        jax.tree_util.register_pytree_with_keys(
            cls, Recipe._flatten_with_keys, Recipe._unflatten, Recipe._flatten
        )

    @classmethod
    def _from_arguments(cls, made: Factory, arguments: dict[str, Any]) -> Any:
        self = cls.__new__(cls)
        self._factory, self._arguments = made, arguments
        return self

    def _try(self) -> None:
        """Builds once what the call describes, so that what is wrong raises while making it."""

    @property
    def name(self) -> str:
        """The name of the factory."""
        return self._factory.name

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, defaults filled in."""
        given = {**self._factory.defaults(), **self._arguments}
        return {name: given[name] for name in self._factory.signature.parameters if name in given}

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of those arguments that are hyperparameters."""
        return tuple(self._factory.ranges)

    def replace(self, **changes: Any) -> typing.Self:
        """Makes the same object with other arguments.

        Raises:
            TypeError: A name that the factory does not have; the message says the nearest one.
        """
        arguments = dict(self._arguments)
        for name, kind in ((p.name, p.kind) for p in self._factory.signature.parameters.values()):
            if kind is inspect.Parameter.VAR_KEYWORD:  # the parts of a named chain
                known = {k: changes.pop(k) for k in list(changes) if k in arguments.get(name, {})}
                arguments[name] = {**arguments.get(name, {}), **known}
            elif name in changes:
                arguments[name] = changes.pop(name)
        if changes:
            names = [*self._factory.signature.parameters]
            hint = errors.nearest(next(iter(changes)), names)
            must = f"replace takes {', '.join(names) or 'nothing'}"
            errors.fail(self.name, must, ", ".join(changes), instead=hint, kind=TypeError)
        bound = inspect.BoundArguments(self._factory.signature, arguments)  # type: ignore[arg-type]
        return self._factory.call(*bound.args, **bound.kwargs)

    # What makes it data.

    def __repr__(self) -> str:
        """Writes the call that made it."""
        parts = []
        for p in self._factory.signature.parameters.values():
            if p.name not in self._arguments:
                continue
            value = self._arguments[p.name]
            if p.kind is p.VAR_POSITIONAL:
                parts += [show(v) for v in value]
            elif p.kind is p.VAR_KEYWORD:
                parts += [f"{k}={show(v)}" for k, v in value.items()]
            else:
                parts.append(f"{p.name}={show(value)}")
        return f"{self.name}({', '.join(parts)})"

    @functools.cached_property
    def _key(self) -> tuple:
        return (self._factory, freeze(self.arguments))

    def __eq__(self, other: object) -> bool:
        """Equal are two of one factory whose arguments, defaults filled in, are equal."""
        return self is other or (isinstance(other, Recipe) and self._key == other._key)

    def __ne__(self, other: object) -> bool:
        """The opposite; a tuple would compare its items."""
        return not self == other

    def __hash__(self) -> int:
        """Agrees with `==`."""
        return hash(self._key)

    def __reduce__(self) -> tuple:
        """Pickles the factory by reference and the arguments by value."""
        return _rebuild, (self._factory.call, self._arguments)

    # The pytree: numbers given in the call, and recipes inside, are children.

    @functools.cached_property
    def _flat(self) -> tuple[tuple, _Structure, tuple[str, ...]]:
        children, labels, static, shapes = [], [], [], []
        for name, value in self._arguments.items():
            numeric = name in self._factory.ranges
            leaves, treedef = jax.tree_util.tree_flatten_with_path(value, is_leaf=_is_recipe)
            shapes.append((name, treedef))
            for path, leaf in leaves:
                if isinstance(leaf, Recipe) or (numeric and is_number(leaf)):
                    children.append(leaf)
                    labels.append(self._label(name, path))
                    static.append(_HOLE)
                else:
                    static.append(leaf)
        return tuple(children), _Structure(self._factory, shapes, static), tuple(labels)

    def _label(self, name: str, path: tuple) -> str:
        kind = self._factory.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:  # the parts of a named chain
            return jax.tree_util.keystr(path, simple=True, separator=".")
        return name + jax.tree_util.keystr(path)

    def _flatten(self) -> tuple[tuple, _Structure]:
        return self._flat[:2]

    def _flatten_with_keys(self) -> tuple[tuple, _Structure]:
        children, structure, labels = self._flat
        return tuple(zip(map(jax.tree_util.GetAttrKey, labels), children)), structure

    @staticmethod
    def _unflatten(structure: _Structure, children: Any) -> Any:
        # Children may be anything (tracers, None, object()): nothing is judged or built here.
        made = structure.factory
        return made.make._from_arguments(made, structure.fill(iter(children)))


class _Structure:
    """What is left of a recipe when its children are taken out."""

    def __init__(self, made: Factory, shapes: list, static: list) -> None:
        self.factory, self.shapes, self.static = made, shapes, static
        self.key = (made, tuple(shapes), freeze(static))
        self.hash = hash(self.key)

    def fill(self, children: Iterator) -> dict[str, Any]:
        leaves = iter([next(children) if leaf is _HOLE else leaf for leaf in self.static])
        return {
            name: treedef.unflatten([next(leaves) for _ in range(treedef.num_leaves)])
            for name, treedef in self.shapes
        }

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _Structure) and self.key == other.key)

    def __hash__(self) -> int:
        return self.hash

    def __repr__(self) -> str:
        return self.factory.name


class _Hole:
    def __repr__(self) -> str:
        return "*"


_HOLE = _Hole()


def _is_recipe(value: Any) -> bool:
    return isinstance(value, Recipe)


def _rebuild(call: Any, arguments: dict[str, Any]) -> Any:
    made = call.factory
    return made.make._from_arguments(made, arguments)

"""Recipes: objects that remember the call that made them, and print, compare, pickle and edit.

A `Recipe` is a factory together with the arguments **given** in the call. Its numbers are the
leaves of a pytree; everything else in it is static. What it is used for (a pair of functions, a
schedule) is defined by its subclasses.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
from collections.abc import Callable
from typing import Any

import jax

from gdjax.core.data import exports, renamed
from gdjax.core.data.cached import cached
from gdjax.core.data.compare import Remembers, freeze, show
from gdjax.core.data.factory import Factory, Kind
from gdjax.core.data.hyperparams import is_number
from gdjax.core.rule import errors

# The loaded factories: those of gdjax by name, those of users and others by `module:name`.
CATALOGUE: dict[str, Factory] = {}


def factories() -> dict[str, Factory]:
    """All factories: `CATALOGUE` after loading every file of gdjax that defines one."""
    for module in sorted({*exports.homes("gdjax").values(), "gdjax.sharding"}):
        importlib.import_module(module)
    return CATALOGUE


def factory(function: Callable[..., Any], make: type[Recipe], kind: Kind) -> Callable[..., Any]:
    """Turns a function into a factory of `make` objects, and adds it to the catalogue.

    A function defined twice (a notebook cell that is run again) replaces itself.

    Raises:
        ValueError: Two functions of gdjax have one name. Users may reuse names of gdjax.
    """
    made = Factory(function, make, kind)
    old = CATALOGUE.get(made.key)
    if old is not None and (old.module, old.qualname) != (made.module, made.qualname):
        must = f"names of factories of gdjax must be distinct, and {old.module} has this one"
        errors.fail(made.name, must, made.module, instead="Rename one of them.")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return make._made(made, made.bind(args, kwargs))

    made.call = call
    call.factory = made  # type: ignore[attr-defined]
    CATALOGUE[made.key] = made
    return call


class Recipe(Remembers):
    """An object that remembers the call that made it; immutable, a pytree of its numbers."""

    name: str  # of the factory
    factory: Factory
    given: dict[str, Any]  # the arguments given in the call, by name

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Registers every kind of recipe as a pytree node."""
        super().__init_subclass__(**kwargs)
        jax.tree_util.register_pytree_with_keys(
            cls, Recipe._flatten_with_keys, Recipe._unflatten, Recipe._flatten
        )

    @classmethod
    def _from_arguments(cls, made: Factory, arguments: dict[str, Any]) -> Any:
        self = cls.__new__(cls)
        self.factory, self.given, self.name = made, arguments, made.name
        return self

    @classmethod
    def _made(cls, made: Factory, arguments: dict[str, Any]) -> Any:
        """The result of a call of the factory, with arguments checked and the body tried."""
        made.check(arguments)
        self = cls._from_arguments(made, arguments)
        self._try()
        return self

    def _try(self) -> None:
        """Builds the object once, so that errors are raised when it is made."""

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, with defaults."""
        given = {**self.factory.defaults(), **self.given}
        return {name: given[name] for name in self.factory.signature.parameters if name in given}

    def made_by(self, call: Callable[..., Any]) -> bool:
        """Whether it was made by a decorated function: `tx.made_by(chain)`."""
        return self.factory is call.factory  # type: ignore[attr-defined]

    def having(self, role: str) -> list[str]:
        """The arguments with a role, such as "learning rate", "weight decay", "mask"."""
        return self.factory.roles.get(role, [])

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of the arguments that are hyperparameters."""
        return tuple(self.factory.ranges)

    def replace(self, **changes: Any) -> typing.Self:
        """The same object with other arguments, of its own or of the only part that has them.

        >>> import gdjax as gd
        >>> gd.chain(gd.clip(1.0), gd.sgd(0.1)).replace(learning_rate=0.2)
        chain(clip(max_delta=1.0), sgd(learning_rate=0.2))

        Raises:
            TypeError: Neither the factory nor exactly one part has an argument of that name; the
                message has the nearest one.
        """
        arguments = dict(self.given)
        for name, kind in ((p.name, p.kind) for p in self.factory.signature.parameters.values()):
            if kind is inspect.Parameter.VAR_KEYWORD:  # the parts of a named chain
                known = {k: changes.pop(k) for k in list(changes) if k in arguments.get(name, {})}
                arguments[name] = {**arguments.get(name, {}), **known}
            elif name in changes:
                arguments[name] = changes.pop(name)
        for name in list(changes):
            inside = [(k, e) for k, v in arguments.items() for e in _edits(v, name, changes[name])]
            if len(inside) == 1:
                arguments.update(inside)
                del changes[name]
            elif inside:
                must = f"{name} must be an argument of one part"
                hint, got = "Call replace on that part.", f"{len(inside)} parts that have it"
                errors.fail(self.name, must, got, instead=hint, kind=TypeError)
        if changes:
            parameters = self.factory.signature.parameters.values()
            named = [arguments.get(p.name, {}) for p in parameters if p.kind is p.VAR_KEYWORD]
            names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
            names = [*(n for stages in named for n in stages), *names]
            wrong = next(iter(changes))
            hint = renamed.argument(wrong, names) or errors.nearest(wrong, names)
            must = "replace takes arguments of the factory, or of one of its parts"
            errors.fail(self.name, must, ", ".join(changes), instead=hint, kind=TypeError)
        return self._with(arguments)

    def _with(self, arguments: dict[str, Any]) -> typing.Self:
        bound = inspect.BoundArguments(self.factory.signature, arguments)  # type: ignore[arg-type]
        return self.factory.call(*bound.args, **bound.kwargs)

    # Printing, comparison, pickling.

    def __repr__(self) -> str:
        """The call that made it."""
        parts = []
        for p in self.factory.signature.parameters.values():
            if p.name not in self.given:
                continue
            value = self.given[p.name]
            if p.kind is p.VAR_POSITIONAL:
                parts += [show(v) for v in value]
            elif p.kind is p.VAR_KEYWORD:
                plain = {k: v for k, v in value.items() if k.isidentifier()}
                other = {k: v for k, v in value.items() if k not in plain}
                parts += [f"{k}={show(v)}" for k, v in plain.items()]
                parts += [f"**{show(other)}"] if other else []
            else:
                parts.append(f"{p.name}={show(value)}")
        return f"{self.name}({', '.join(parts)})"

    @cached
    def _key(self) -> tuple:
        return (self.factory, freeze(self.arguments))

    def __eq__(self, other: object) -> bool:
        """Whether both have the same factory and equal arguments, defaults included."""
        return self is other or (isinstance(other, Recipe) and self._key == other._key)

    def __ne__(self, other: object) -> bool:
        """The negation of `==`; a tuple would compare its items."""
        return not self == other

    def __hash__(self) -> int:
        """Consistent with `==`."""
        return hash(self._key)

    def __reduce__(self) -> tuple:
        """Pickles the factory by reference and the arguments by value."""
        return _rebuild, (self.factory.call, self.given)

    # The pytree: numbers given in the call, and recipes inside, are children.

    @cached
    def _flat(self) -> tuple[tuple, _Structure, tuple[str, ...]]:
        children: list[Any] = []
        labels: list[str] = []

        def take(value: Any, numeric: bool, label: str) -> Any:
            """Replaces the children in an argument by holes; not by jax.tree, which sorts dicts."""
            if isinstance(value, Recipe) or (numeric and is_number(value)):
                children.append(value)
                labels.append(label)
                return _HOLE
            if type(value) in (list, tuple):
                return type(value)(take(v, numeric, f"{label}[{i}]") for i, v in enumerate(value))
            if type(value) is dict:
                return {k: take(v, numeric, f"{label}[{k!r}]") for k, v in value.items()}
            return value

        rest: dict[str, Any] = {}
        for name, value in self.given.items():
            numeric = name in self.factory.ranges
            if self.factory.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                rest[name] = {k: take(v, numeric, k) for k, v in value.items()}  # named stages
            else:
                rest[name] = take(value, numeric, name)
        return tuple(children), _Structure(self.factory, rest, tuple(labels)), tuple(labels)

    def _flatten(self) -> tuple[tuple, _Structure]:
        return self._flat[:2]

    def _flatten_with_keys(self) -> tuple[tuple, _Structure]:
        children, structure, labels = self._flat
        return tuple(zip(map(jax.tree_util.GetAttrKey, labels), children)), structure

    @staticmethod
    def _unflatten(structure: _Structure, children: Any) -> Any:
        # Children may be anything (tracers, None, object()): nothing is checked or built here, and
        # a child remains a child, whatever its value.
        children = tuple(children)
        self = structure.factory.make._from_arguments(structure.factory, structure.fill(children))
        self.__dict__["_flat"] = children, structure, structure.labels
        return self


class _Structure:
    """The static part of a recipe, without its children."""

    def __init__(self, made: Factory, rest: dict[str, Any], labels: tuple[str, ...]) -> None:
        self.factory, self.rest, self.labels = made, rest, labels
        self.key = (made, freeze(rest))
        self.hash = hash(self.key)

    def fill(self, children: tuple) -> dict[str, Any]:
        left = iter(children)

        def put(value: Any) -> Any:
            if value is _HOLE:
                return next(left)
            if type(value) in (list, tuple):
                return type(value)(map(put, value))
            if type(value) is dict:
                return {k: put(v) for k, v in value.items()}
            return value

        return put(self.rest)

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


def _rebuild(call: Any, arguments: dict[str, Any]) -> Any:
    made = call.factory
    return made.make._from_arguments(made, arguments)


def _edits(value: Any, name: str, new: Any) -> list[Any]:
    """Copies of a value with an argument changed, one for each recipe inside that has it."""
    if isinstance(value, Recipe):
        own = value.factory.signature.parameters.get(name)
        if own is not None and own.kind not in (own.VAR_POSITIONAL, own.VAR_KEYWORD):
            return [value.replace(**{name: new})]
        inside = [(k, e) for k, v in value.given.items() for e in _edits(v, name, new)]
        return [value._with({**value.given, k: e}) for k, e in inside]
    if isinstance(value, dict):
        return [{**value, k: e} for k, v in value.items() for e in _edits(v, name, new)]
    if type(value) in (list, tuple):
        every = enumerate(value)
        inside = [(i, e) for i, v in every for e in _edits(v, name, new)]
        return [type(value)([*value[:i], e, *value[i + 1 :]]) for i, e in inside]
    return []

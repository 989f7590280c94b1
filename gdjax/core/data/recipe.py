"""Objects that remember the call that made them, so that they print, compare, pickle and edit.

A `Recipe` is a factory together with the arguments **given** in the call. Its numbers are the
leaves of a pytree; everything else in it is static. What an object does with its recipe (build a
pair of functions, evaluate a schedule) is the business of its class.
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

# The factories that are loaded: those of gdjax by name, those of users and others by `module:name`.
CATALOGUE: dict[str, Factory] = {}


def factories() -> dict[str, Factory]:
    """All factories: `CATALOGUE`, after all files of gdjax that define some were loaded."""
    for module in sorted({*exports.homes("gdjax").values(), "gdjax.sharding"}):
        importlib.import_module(module)
    return CATALOGUE


def factory(function: Callable[..., Any], make: type[Recipe], kind: Kind) -> Callable[..., Any]:
    """Turns a function into a factory of `make` objects, and enters it into the catalogue.

    A function defined twice (a notebook cell that is run again) replaces itself.

    Raises:
        ValueError: Two functions of gdjax have one name. Those of users may be called as ours are.
    """
    made = Factory(function, make, kind)
    old = CATALOGUE.get(made.key)
    if old is not None and (old.module, old.qualname) != (made.module, made.qualname):
        must = f"names of factories must differ inside of gdjax; {old.module} has this one"
        errors.fail(made.name, must, made.module, instead="Rename one of them.")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return make._made(made, made.bind(args, kwargs))

    made.call = call
    call.factory = made  # type: ignore[attr-defined]
    CATALOGUE[made.key] = made
    return call


class Recipe(Remembers):
    """An object that remembers the call that made it. Immutable; a pytree of its numbers."""

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
        """What a call of the factory gives: judged, and tried where that is possible."""
        made.check(arguments)
        self = cls._from_arguments(made, arguments)
        self._try()
        return self

    def _try(self) -> None:
        """Builds once what the call describes, so that what is wrong raises while making it."""

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, defaults filled in."""
        given = {**self.factory.defaults(), **self.given}
        return {name: given[name] for name in self.factory.signature.parameters if name in given}

    def made_by(self, call: Callable[..., Any]) -> bool:
        """Whether a decorated function made it: `tx.made_by(chain)`."""
        return self.factory is call.factory  # type: ignore[attr-defined]

    def having(self, role: str) -> list[str]:
        """The arguments that have a role: "learning rate", "weight decay", "mask"."""
        return self.factory.roles.get(role, [])

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of those arguments that are hyperparameters."""
        return tuple(self.factory.ranges)

    def replace(self, **changes: Any) -> typing.Self:
        """Makes the same object with other arguments, of its own or of the one part that has them.

        >>> import gdjax as gd
        >>> gd.chain(gd.clip(1.0), gd.sgd(0.1)).replace(learning_rate=0.2)
        chain(clip(max_delta=1.0), sgd(learning_rate=0.2))

        Raises:
            TypeError: A name that neither the factory nor one part has; the message says the
                nearest one.
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
                hint = "Write replace of that part."
                errors.fail(self.name, must, f"{len(inside)}", instead=hint, kind=TypeError)
        if changes:
            parameters = self.factory.signature.parameters.values()
            named = [arguments.get(p.name, {}) for p in parameters if p.kind is p.VAR_KEYWORD]
            names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
            names = [*(n for stages in named for n in stages), *names]
            wrong = next(iter(changes))
            hint = renamed.argument(wrong, names) or errors.nearest(wrong, names)
            must = f"replace takes {', '.join(names) or 'nothing'}"
            errors.fail(self.name, must, ", ".join(changes), instead=hint, kind=TypeError)
        return self._with(arguments)

    def _with(self, arguments: dict[str, Any]) -> typing.Self:
        bound = inspect.BoundArguments(self.factory.signature, arguments)  # type: ignore[arg-type]
        return self.factory.call(*bound.args, **bound.kwargs)

    # What makes it data.

    def __repr__(self) -> str:
        """Writes the call that made it."""
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
        return _rebuild, (self.factory.call, self.given)

    # The pytree: numbers given in the call, and recipes inside, are children.

    @cached
    def _flat(self) -> tuple[tuple, _Structure, tuple[str, ...]]:
        children: list[Any] = []
        labels: list[str] = []

        def take(value: Any, numeric: bool, label: str) -> Any:
            """Takes the children out of an argument; not by jax.tree, which sorts dicts."""
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
        # Children may be anything (tracers, None, object()): nothing is judged or built here, and
        # what was a child stays one, whatever it is now.
        children = tuple(children)
        self = structure.factory.make._from_arguments(structure.factory, structure.fill(children))
        self.__dict__["_flat"] = children, structure, structure.labels
        return self


class _Structure:
    """What is left of a recipe when its children are taken out."""

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
    """A value with one argument of a recipe in it changed; as many as have one of that name."""
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

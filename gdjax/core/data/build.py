"""Optimizers and schedules from plain data, as `spec` writes them; data run no code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from gdjax.core.data import exports
from gdjax.core.data.factory import Factory
from gdjax.core.data.recipe import CATALOGUE, factories
from gdjax.core.data.spec import path_of
from gdjax.core.rule import errors

_DEEPEST = 100  # levels of data inside of data
_SPACES = ("optax", "optax.contrib", "torch")  # of gdjax.compat, where names are looked up
_HOMES = ("losses", "optimizers", "params", "transforms", "wrappers")  # of functions of arrays


def build(data: Any, functions: Iterable[Callable[..., Any]] = ()) -> Any:
    """Makes a transformation or a schedule from plain data, as written by `spec`.

    >>> import gdjax as gd
    >>> gd.build({"chain": [{"clip": {"max_delta": 1.0}}, {"sgd": {"learning_rate": 0.1}}]})
    chain(clip(max_delta=1.0), sgd(learning_rate=0.1))

    Data of strangers run no code: they can name factories, functions of gdjax, and `functions`,
    nothing else. Nothing is imported; the modules of factories outside gdjax must be imported
    already.

    Args:
        data: The result of `spec`, also after JSON or YAML.
        functions: Functions that the data may name beside those of gdjax: schedules, masks.

    Raises:
        ValueError: No factory has that name, an argument is out of range, or the data are of
            another form; the message has the factory, and the nearest name.
        TypeError: The data are text, or an argument has another type.
    """
    if isinstance(data, (str, bytes)):
        hint = "Write json.loads(text), or gdjax.lab.catalogue.read(text) for a call."
        must = "data must be a dict, as returned by spec"
        errors.fail("build", must, repr(data), instead=hint, kind=TypeError)
    return _Reader(functions).value(data)


class _Reader:
    """Plain data and the functions that they may name."""

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        self.functions = {path_of(function): function for function in functions}
        self.depth = 0

    def value(self, data: Any) -> Any:
        """The value that data stand for."""
        many = isinstance(data, Sequence) and not isinstance(data, (str, bytes))
        if not many and not isinstance(data, Mapping):
            return data
        if self.depth == _DEEPEST:
            must = f"data must be nested at most {_DEEPEST} levels deep"
            errors.fail("build", must, "deeper ones")
        self.depth += 1
        try:  # also the mappings and sequences of YAML and OmegaConf
            return [*map(self.value, data)] if many else self.call(data)
        finally:
            self.depth -= 1

    def call(self, data: Any) -> Any:
        """The result of a call, or a value that JSON cannot represent."""
        keys = list(map(str, data))
        if len(keys) != 1 and "array" not in keys:
            must = "a call must be a dict of one key, the factory's name"
            errors.fail("build", must, data, instead='Write {"adamw": {"learning_rate": 0.001}}.')
        name, given = ("array", data) if "array" in keys else (keys[0], next(iter(data.values())))
        if name not in self.tags:
            return self.made(_factory(name), name, given)
        try:
            return self.tags[name](self, given)
        except Exception as error:
            if hasattr(error, "where"):
                raise
            must = f"{name!r} must stand before a value as spec writes it"
            self.refuse(must, given, error)

    def made(self, factory: Factory, name: str, given: Any) -> Any:
        """The result of a call of a factory."""
        if isinstance(given, (str, bytes)) or not isinstance(given, (Sequence, Mapping)):
            errors.fail("build", f"the arguments of {name} must be a dict or a list", given)
        args, named = self.arguments(factory, given)
        try:
            return factory.call(*args, **named)
        except Exception as error:
            if hasattr(error, "where") or str(error).startswith(f"{factory.name}: "):
                raise
            self.refuse(f"{name} must have arguments as it says, {factory}", given, error)

    def arguments(self, factory: Factory, given: Any) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a call by position and by name."""
        if isinstance(given, Sequence):
            return [*map(self.value, given)], {}
        if len({*map(str, given)}) != len(given):
            errors.fail("build", f"the arguments of {factory.name} must have one name each", given)
        given = {str(k): v for k, v in given.items()}
        parameters = factory.signature.parameters.values()
        many = next((f"*{p.name}" for p in parameters if p.kind is p.VAR_POSITIONAL), "")
        if many not in given:
            return [], {k: self.value(v) for k, v in given.items()}
        values = given.pop(many)
        if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
            errors.fail("build", f"{many!r} of {factory.name} must be a list", values)
        # arguments before *args have to be given by position
        lead = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name in given]
        args = [self.value(given.pop(name)) for name in lead] + [*map(self.value, values)]
        return args, {k: self.value(v) for k, v in given.items()}

    def refuse(self, must: str, given: Any, error: Exception) -> NoReturn:
        """Raises an error of documented type in place of one from the inside of a factory."""
        kind = TypeError if isinstance(error, (TypeError, AttributeError)) else ValueError
        why = f"{type(error).__name__}: {errors.shorten(str(error))}."
        try:
            errors.fail("build", must, given, instead=why, kind=kind)
        except kind as ours:
            raise ours from error

    # Values that JSON cannot represent, by their key; none of these is the name of a factory.

    def array(self, data: Any) -> Any:
        """An array, as lists of numbers; infinities and NaN are text."""
        dtype = _dtype(data["dtype"])
        if len(data) != 2:
            raise ValueError("another key")
        data = data["array"]
        if dtype.kind == "c":
            real, imag = (np.asarray(x, float) for x in data)
            data = real + 1j * imag
        array = np.asarray(data, float if dtype.kind not in "biufc" else dtype).astype(dtype)
        narrowed = jax.dtypes.canonicalize_dtype(dtype) != dtype  # float64 without x64
        return array if narrowed else jnp.asarray(array)

    def pairs(self, given: Any) -> dict[Any, Any]:
        """A dict, as a list of its items."""
        items = [(self.value(k), self.value(v)) for k, v in _list(given)]
        found = dict(items)
        if len(found) != len(items):
            raise ValueError("a key that stands twice")
        return found

    def function(self, path: Any) -> Any:
        """A function, by module:name. No attribute is read but public ones of gdjax."""
        found = self.functions.get(path)
        found = _public(path) if found is None and isinstance(path, str) else found
        if found is None:
            must = "a function must be one of gdjax, or among `functions`"
            hint = f"Write build(data, functions=[{str(path).rpartition(':')[2]}])."
            errors.fail("build", must, path, instead=hint)
        return found

    tags: dict[str, Any] = {
        "array": array,
        "complex": lambda self, given: complex(*map(float, _list(given))),
        "dict": pairs,
        "dtype": lambda self, given: _dtype(given),
        "float": lambda self, given: float(given),
        "function": function,
        "partition_spec": lambda self, given: PartitionSpec(*self.value(_list(given))),
        "tuple": lambda self, given: tuple(self.value(_list(given))),
    }


def _list(given: Any) -> Any:
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise TypeError("it must be a list")
    return given


def _dtype(name: Any) -> np.dtype:
    """The dtype of numbers of a name; no objects, no texts, no records."""
    dtype = jnp.dtype(name) if isinstance(name, str) and name.isidentifier() else None
    if dtype is None or not (dtype.kind == "b" or jnp.issubdtype(dtype, jnp.number)):
        errors.fail("build", "a dtype must be the name of one of numbers", repr(name))
    return dtype


def _factory(key: str) -> Factory:
    """The factory with a name, or with `module:name` if it is not one of gdjax."""
    if key in CATALOGUE:
        return CATALOGUE[key]
    if key in (known := factories()):
        return known[key]
    if (made := _of_compat(key)) is not None:
        return made
    module, colon, name = key.partition(":")
    if not colon:
        others = [k for k in known if k.endswith(f":{key}")]
        must = "the key must be the name of a factory of gdjax, or module:name of another"
        hint = f"Write {others[0]!r}." if others else errors.nearest(key, known)
    elif module not in sys.modules:
        must, hint = "the module of a factory must be imported", f"Write import {module} first."
    else:
        must = f"the factory must be defined in {module}"
        names = [k.partition(":")[2] for k in known if k.startswith(f"{module}:")]
        hint = errors.nearest(name, names) or "No factory is defined there."
    errors.fail("build", must, key, instead=hint)


def _of_compat(key: str) -> Factory | None:
    """A factory of another library's namespace, such as `optax.adam`, made on demand."""
    space, _, name = key.rpartition(".")
    if space not in _SPACES or not name.isidentifier() or name.startswith("_"):
        return None
    module = importlib.import_module(f"gdjax.compat.{space}")
    made = CATALOGUE.get(key) or getattr(getattr(module, name, None), "factory", None)
    return made if isinstance(made, Factory) else None


def _public(path: str) -> Any:
    """A public function of gdjax, or a factory of anyone; None if there is none at this path."""
    module, _, name = path.partition(":")
    found = [made.call for made in list(CATALOGUE.values())]
    if module == exports.homes("gdjax").get(name) and module.split(".")[1] in _HOMES:
        found.append(getattr(importlib.import_module(module), name))
    if module.startswith("gdjax.compat.") and name.isidentifier() and not name.startswith("_"):
        spaces = [importlib.import_module(f"gdjax.compat.{space}") for space in _SPACES]
        found += [getattr(space, name, None) for space in spaces]
    return next((one for one in found if callable(one) and path_of(one) == path), None)

"""Optimizers and schedules as plain data for configuration files: `spec` writes, `build` reads.

A call is a dict of one key, the factory's name: `{"adamw": {"learning_rate": 0.001}}`, with a list
in place of the inner dict where the arguments have no names: `{"chain": [...]}`. A factory of
another module is written with its module, `{"mylib:adamw": ...}`; a name alone is one of gdjax.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from gdjax.core.data.compare import as_dtype, show
from gdjax.core.data.factory import Factory
from gdjax.core.data.hyperparams import is_array, is_known
from gdjax.core.data.recipe import CATALOGUE, Recipe, factories
from gdjax.core.rule import errors

# Keys for values that JSON cannot represent; none of these is the name of a factory.
_TAGS = ("array", "complex", "dict", "dtype", "float", "function", "partition_spec", "tuple")


def spec(value: Any) -> Any:
    """Converts a transformation or a schedule to dicts, lists, numbers and strings (for JSON).

    >>> import gdjax as gd
    >>> gd.spec(gd.adam(gd.linear_to_zero(1e-3, 100)))
    {'adam': {'learning_rate': {'linear_to_zero': {'init_value': 0.001, 'total_steps': 100}}}}

    Raises:
        TypeError: An argument cannot be converted: a lambda, or another library's transformation.
    """
    if isinstance(value, Recipe):
        return {value.factory.key: _arguments(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)) and not is_array(value):
        return value
    if isinstance(value, complex):
        return {"complex": _finite([value.real, value.imag])}
    if isinstance(value, list):
        return [spec(v) for v in value]
    if isinstance(value, PartitionSpec):
        return {"partition_spec": [spec(v) for v in value]}
    if type(value) is tuple:
        return {"tuple": [spec(v) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[spec(k), spec(v)] for k, v in value.items()]}
    if is_array(value) and is_known(value):
        return _array(value)
    if (dtype := as_dtype(value)) is not None:
        return {"dtype": dtype.name}
    path = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
    if callable(value) and _find(path) is value:
        return {"function": path}
    must = "arguments must be numbers, arrays, strings, objects of gdjax or named functions"
    hint = "Define the function at the top level of a module."
    if hasattr(value, "update"):
        hint = "Transformations of other libraries do not know the call that made them."
    errors.fail("spec", must, show(value), instead=hint, kind=TypeError)


def _array(value: Any) -> dict[str, Any]:
    data, dtype = np.asarray(value), str(value.dtype)
    if data.dtype.kind == "c":
        return {"array": _finite([data.real.tolist(), data.imag.tolist()]), "dtype": dtype}
    if data.dtype.kind not in "biuf":  # bfloat16, float8
        data = data.astype(np.float32)
    return {"array": _finite(data.tolist()), "dtype": dtype}


def _finite(data: Any) -> Any:
    """Numbers in lists, with infinities and NaN as text, which JSON cannot represent."""
    if isinstance(data, list):
        return [_finite(x) for x in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data


def _read_array(data: Any, dtype: Any) -> Any:
    dtype = jnp.dtype(dtype)
    if dtype.kind == "c":
        real, imag = (np.asarray(x, float) for x in data)
        data = real + 1j * imag
    array = np.asarray(data, float if dtype.kind not in "biufc" else dtype).astype(dtype)
    narrowed = jax.dtypes.canonicalize_dtype(dtype) != dtype  # float64 without x64
    return array if narrowed else jnp.asarray(array)


def _arguments(value: Recipe) -> Any:
    parameters = value.factory.signature.parameters
    written: dict[str, Any] = {}
    for name, given in value.given.items():
        if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            if len(value.given) == 1:
                return [spec(v) for v in given]
            written["*" + name] = [spec(v) for v in given]
        elif parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            written.update({k: spec(v) for k, v in given.items()})
        else:
            written[name] = spec(given)
    return written


def build(data: Any) -> Any:
    """Makes a transformation or a schedule from plain data, as written by `spec`.

    >>> import gdjax as gd
    >>> gd.build({"chain": [{"clip": {"max_delta": 1.0}}, {"sgd": {"learning_rate": 0.1}}]})
    chain(clip(max_delta=1.0), sgd(learning_rate=0.1))

    Nothing is imported: the modules of factories outside gdjax must be imported already.

    Raises:
        ValueError: No factory has that name, or an argument is out of range; the message has the
            nearest name.
        TypeError: The data are text.
    """
    if isinstance(data, str):
        hint = "Write json.loads(text), or gdjax.lab.catalogue.read(text) for a call."
        must = "data must be a dict, as returned by spec"
        errors.fail("build", must, repr(data), instead=hint, kind=TypeError)
    return _build(data)


def _build(data: Any) -> Any:
    if isinstance(data, Mapping):  # also those of YAML and OmegaConf
        return _call({str(k): v for k, v in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return [_build(v) for v in data]
    return data


def _call(data: dict[str, Any]) -> Any:
    if "array" in data:
        return _read_array(data["array"], data["dtype"])
    if len(data) != 1:
        must = "a call must be a dict of one key, the factory's name"
        errors.fail("build", must, data, instead='Write {"adamw": {"learning_rate": 0.001}}.')
    ((name, given),) = data.items()
    if name in _TAGS:
        return _tagged(name, given)
    made = _factory(str(name))
    if isinstance(given, Sequence) and not isinstance(given, str):
        return made.call(*map(_build, given))
    if not isinstance(given, Mapping):
        errors.fail("build", f"the arguments of {name} must be a dict or a list", given)
    args = [_build(v) for k, values in given.items() if k.startswith("*") for v in values]
    lead = []
    if args:  # arguments before *args have to be given by position
        parameters = made.signature.parameters.values()
        lead = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name in given]
    named = {k: _build(v) for k, v in given.items() if not k.startswith("*") and k not in lead}
    return made.call(*(_build(given[k]) for k in lead), *args, **named)


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
    space, dot, name = key.rpartition(".")
    try:
        module = importlib.import_module(f"gdjax.compat.{space}") if dot else None
    except ImportError:
        return None
    return getattr(getattr(module, name, None), "factory", None)


def _tagged(name: str, given: Any) -> Any:
    if name == "complex":
        return complex(*map(float, given))
    if name == "float":
        return float(given)
    if name == "partition_spec":
        return PartitionSpec(*map(_build, given))
    if name == "tuple":
        return tuple(_build(v) for v in given)
    if name == "dict":
        return {_build(k): _build(v) for k, v in given}
    if name == "dtype":
        return jnp.dtype(given)
    found = _find(given)
    if found is None:
        must = "a function must be written as module:name, of a module that is imported"
        errors.fail("build", must, given, instead="Import the module first.")
    return found


def _find(path: str) -> Any:
    """A function of an imported module, by module:name: a configuration file imports nothing."""
    module, _, qualname = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found

"""Recipes as plain data for configuration files: `spec` writes it, `build` reads it.

A call is a dict of one key, the factory's name: `{"adamw": {"learning_rate": 0.001}}`, or with a
list in place of the dict where the arguments have no names: `{"chain": [...]}`. A factory that is
not of gdjax stands with its module, `{"mylib:adamw": ...}`: a name alone means one of gdjax.
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

# How values are written that JSON has no word for; none of these names a factory.
_TAGS = ("array", "complex", "dict", "dtype", "float", "function", "partition_spec", "tuple")


def spec(value: Any) -> Any:
    """Writes a transformation or a schedule as dicts, lists, numbers and strings.

    >>> import gdjax as gd
    >>> gd.spec(gd.adam(gd.linear_to_zero(1e-3, 100)))
    {'adam': {'learning_rate': {'linear_to_zero': {'init_value': 0.001, 'total_steps': 100}}}}

    Raises:
        TypeError: An argument cannot be written: a lambda, or another library's transformation.
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
    must = "arguments must be numbers, arrays, strings, recipes or functions with a name"
    hint = "Define the function at the top level of a module."
    if hasattr(value, "update"):
        hint = "The transformations of other libraries do not remember their call."
    errors.fail("spec", must, show(value), instead=hint, kind=TypeError)


def _array(value: Any) -> dict[str, Any]:
    data, dtype = np.asarray(value), str(value.dtype)
    if data.dtype.kind == "c":
        return {"array": _finite([data.real.tolist(), data.imag.tolist()]), "dtype": dtype}
    if data.dtype.kind not in "biuf":  # bfloat16 and its kin
        data = data.astype(np.float32)
    return {"array": _finite(data.tolist()), "dtype": dtype}


def _finite(data: Any) -> Any:
    """Numbers in lists, with those as text that JSON has no word for: "inf", "nan"."""
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
    """Makes what `spec` has written.

    >>> import gdjax as gd
    >>> gd.build({"chain": [{"clip": {"max_delta": 1.0}}, {"sgd": {"learning_rate": 0.1}}]})
    chain(clip(max_delta=1.0), sgd(learning_rate=0.1))

    Nothing is imported: the modules of factories that are not of gdjax must be already.

    Raises:
        ValueError: No factory has that name, or an argument is wrong; the message says the nearest.
        TypeError: The data are text.
    """
    if isinstance(data, str):
        hint = "Write json.loads(text), or gdjax.lab.catalogue.read(text) for a call."
        errors.fail("build", "data must be what spec gives", data, instead=hint, kind=TypeError)
    return _build(data)


def _build(data: Any) -> Any:
    if isinstance(data, Mapping):  # as those of YAML and OmegaConf are, too
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
    if args:  # what stands before *args has to be given by position
        parameters = made.signature.parameters.values()
        lead = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name in given]
    named = {k: _build(v) for k, v in given.items() if not k.startswith("*") and k not in lead}
    return made.call(*(_build(given[k]) for k in lead), *args, **named)


def _factory(key: str) -> Factory:
    """Looks a factory up by its name, or by `module:name` where it is not of gdjax."""
    if key in CATALOGUE:
        return CATALOGUE[key]
    if key in (known := factories()):
        return known[key]
    if (made := _of_compat(key)) is not None:
        return made
    module, colon, name = key.partition(":")
    if not colon:
        others = [k for k in known if k.endswith(f":{key}")]
        must = "the key must be a factory of gdjax, or module:name of another"
        hint = f"Write {others[0]!r}." if others else errors.nearest(key, known)
    elif module not in sys.modules:
        must, hint = "the module of a factory must be imported", f"Write import {module} first."
    else:
        must = f"the factory must be defined in {module}"
        names = [k.partition(":")[2] for k in known if k.startswith(f"{module}:")]
        hint = errors.nearest(name, names) or "No factory is defined there."
    errors.fail("build", must, key, instead=hint)


def _of_compat(key: str) -> Factory | None:
    """A factory of another library's namespace, as `optax.adam`: made when it is asked for."""
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
        must = "a function must be named module:name, of a module that is imported"
        errors.fail("build", must, given, instead="Import the module first.")
    return found


def _find(path: str) -> Any:
    """Looks a function up in the modules already imported: a file's text imports nothing."""
    module, _, qualname = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found

"""Optimizers and schedules as plain data for configuration files; `build` reads them.

A call is a dict of one key, the factory's name: `{"adamw": {"learning_rate": 0.001}}`, with a list
in place of the inner dict where the arguments have no names: `{"chain": [...]}`. A factory of
another module is written with its module, `{"mylib:adamw": ...}`; a name alone is one of gdjax.
"""

from __future__ import annotations

import inspect
import math
import sys
from typing import Any

import numpy as np
from jax.sharding import PartitionSpec

from gdjax.core.data.compare import as_dtype, show
from gdjax.core.data.hyperparams import is_array, is_known
from gdjax.core.data.recipe import Recipe
from gdjax.core.rule import errors


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
    if callable(value) and _is_at(path := path_of(value), value):
        return {"function": path}
    must = "arguments must be numbers, arrays, strings, objects of gdjax or named functions"
    hint = "Define the function at the top level of a module."
    if hasattr(value, "update"):
        hint = "Transformations of other libraries do not know the call that made them."
    errors.fail("spec", must, show(value), instead=hint, kind=TypeError)


def path_of(function: Any) -> str:
    """Where a function is defined, as `module:name`."""
    return f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"


def _is_at(path: str, value: Any) -> bool:
    """Whether a value is what its path leads to: no lambda, nothing inside of a function."""
    module, _, name = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


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

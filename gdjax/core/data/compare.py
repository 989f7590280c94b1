"""Comparing and printing the arguments of a call, of any type."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from gdjax.core.data.hyperparams import is_array
from gdjax.core.rule import errors


class Remembers:
    """Base class of objects with an equality and a repr of their own, though some are tuples."""


class _Identity:
    """Compares by identity: for values of unknown type that are not hashable."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def is_transformation(value: Any) -> bool:
    """Whether a value is a gradient transformation, of gdjax or of another library."""
    return hasattr(value, "init") and hasattr(value, "update")


def as_dtype(value: Any) -> np.dtype | None:
    """The dtype, if a value is one (`jnp.float32`, `np.dtype("int8")`); else None."""
    if isinstance(value, np.dtype):
        return value
    if isinstance(value, type) and issubclass(value, np.generic):
        return np.dtype(value)
    named = getattr(value, "dtype", None)  # jnp.float32 is an object with a dtype
    return named if isinstance(named, np.dtype) and not is_array(value) else None


def freeze(value: Any) -> Any:
    """A hashable key, equal for equal values; a list equals a tuple."""
    if isinstance(value, jax.core.Tracer):
        return _Identity(value)
    if is_array(value):
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            with jax.ensure_compile_time_eval():  # also while something else is traced
                value = jax.random.key_data(value)
        data = np.asarray(value)
        return ("array", data.shape, data.dtype.name, data.tobytes())
    if isinstance(value, float) and math.isnan(value):
        return ("nan",)
    if isinstance(value, (list, tuple)) and not isinstance(value, Remembers):
        return ("sequence", tuple(map(freeze, value)))
    if isinstance(value, dict):
        return ("dict", tuple((k, freeze(v)) for k, v in value.items()))
    if (dtype := as_dtype(value)) is not None:
        return ("dtype", dtype.name)
    try:
        hash(value)
    except TypeError:
        return _Identity(value)
    return value


def show(value: Any) -> str:
    """An argument as one would type it; functions and arrays abbreviated."""
    if isinstance(value, Remembers) or value is None or isinstance(value, (bool, str)):
        return repr(value)
    if isinstance(value, jax.core.Tracer):
        return f"<traced {value.aval.str_short()}>"
    if is_array(value):
        data = np.asarray(value) if value.dtype.kind in "biufc" else value
        if value.ndim == 0:
            return f"array({data.item():.8g})" if data.dtype.kind == "f" else f"array({data})"
        return (
            f"array({np.array2string(np.asarray(data), precision=4, separator=', ', threshold=6)})"
        )
    if is_transformation(value):  # of another library
        made_by = getattr(value.update, "__qualname__", type(value).__name__)
        return f"<{made_by.split('.')[0]} of {getattr(value.update, '__module__', '?')}>"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(show, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {show(v)}" for k, v in value.items()) + "}"
    if (dtype := as_dtype(value)) is not None:
        return dtype.name
    if callable(value) and hasattr(value, "__qualname__"):
        return f"<{value.__qualname__.split('.')[-1].strip('<>')}>"
    return errors.shorten(value)

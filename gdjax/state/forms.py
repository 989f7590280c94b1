"""Forms of saved arrays: shapes, dtypes and formats, and how an array takes the form of another."""

from __future__ import annotations

__all__ = ["as_known", "data_of", "described", "fitted", "form_of", "is_form", "is_key"]

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.lowbit.quantized import Format, is_quantized
from gdjax.core.mesh import memory


def is_form(form: Any) -> bool:
    """Whether data are the form of a quantized array."""
    if type(form) is not dict or form.keys() != {*Format._fields, "shape"}:
        return False
    shape, block = form["shape"], form["block"]
    lists = type(shape) is type(block) is list and len(block) <= len(shape)
    texts = all(isinstance(form[key], str) for key in ("format", "dtype"))
    least = lambda low, sides: all(type(n) is int and n >= low for n in sides)
    return lists and texts and least(0, shape) and least(1, block)


def form_of(x: Any) -> dict[str, Any]:
    """The form of an array as JSON: shape and dtype, and the format of a quantized one."""
    if is_quantized(x):
        return x.form
    dtype = jax.random.key_data(x).dtype if is_key(x) else x.dtype
    shape = jnp.shape(jax.random.key_data(x)) if is_key(x) else jnp.shape(x)
    return {"shape": list(shape), "dtype": str(np.dtype(dtype))}


def described(form: dict[str, Any]) -> str:
    """A form for messages."""
    size = f" {tuple(form['shape'])}" if form["shape"] else ""
    return f"{form.get('format', form['dtype'])}{size}"


def is_key(x: Any) -> bool:
    """Whether an array holds keys of random numbers."""
    return hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def data_of(x: Any) -> Any:
    """The array itself, or the integers of keys."""
    return jax.random.key_data(x) if is_key(x) else x


def fitted(old: Any, leaf: Any, same: bool) -> Any:
    """The saved array in the form and placement of the array of `init`; None if impossible."""
    if same and is_quantized(leaf):
        return jax.tree.map(_placed, old, leaf)
    old = memory.near(old)
    value = old.value() if is_quantized(old) else old
    if is_quantized(leaf):
        fits = tuple(leaf.form["shape"]) == jnp.shape(value) and _is_float(value)
        return jax.tree.map(_placed, leaf.requantize(jnp.asarray(value)), leaf) if fits else None
    if is_key(leaf):
        data = jax.random.key_data(leaf)
        fits = (jnp.shape(value), value.dtype) == (data.shape, data.dtype)
        impl = jax.random.key_impl(leaf)
        return jax.random.wrap_key_data(jnp.asarray(value), impl=impl) if fits else None
    if jnp.shape(value) != jnp.shape(leaf):
        return None
    dtype = np.dtype(leaf.dtype)
    if value.dtype != dtype and not (_is_float(value) and _is_float(leaf)):
        return None
    if jnp.iscomplexobj(value) and not jnp.iscomplexobj(leaf):  # half of it would be lost
        return None
    return _placed(value if value.dtype == dtype else jnp.asarray(value).astype(dtype), leaf)


def as_known(value: Any, leaf: Any) -> Any:
    """Arrays from NumPy's files, which do not have bfloat16 and other dtypes of ml_dtypes."""
    if is_quantized(value) or is_quantized(leaf) or is_key(value) or is_key(leaf):
        return value
    theirs, ours = value.dtype, np.dtype(leaf.dtype)
    raw = (theirs.kind, theirs.fields, theirs.type) == ("V", None, np.void)
    same = theirs.itemsize == ours.itemsize and ours.isbuiltin == 2  # registered by ml_dtypes
    return np.asarray(value).view(ours) if raw and same else value


def _is_float(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.inexact)


def _placed(value: Any, leaf: Any) -> Any:
    """The array with the placement of the array that it replaces."""
    if isinstance(leaf, jax.core.Tracer) or isinstance(value, jax.core.Tracer):
        return memory.lying_as(jnp.asarray(value), leaf)
    if isinstance(leaf, jax.Array) and leaf.committed:
        return jax.device_put(value, leaf.sharding)
    return jnp.array(value)  # a buffer of its own, which may be donated

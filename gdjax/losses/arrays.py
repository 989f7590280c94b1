"""Shared helpers of losses: casting and broadcasting, axes, masks, and 0·∞ = 0."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.rule import errors, numerics

__all__ = ["axes_of", "direction", "floats", "log_softmax", "mask_of", "paired", "weigh"]


def floats(where: str, **arrays: Any) -> list[jax.Array]:
    """Widens arrays to one real dtype, float32 at least; the first must be floating-point.

    Raises:
        TypeError: The first is an array of integers, or one of them is complex.
    """
    values = [jnp.asarray(x) for x in arrays.values()]
    for i, (name, x) in enumerate(zip(arrays, values)):
        real = jnp.issubdtype(x.dtype, jnp.floating)
        if not real and (i == 0 or jnp.issubdtype(x.dtype, jnp.complexfloating)):
            must = f"{name} must be real floating-point numbers"
            errors.fail(where, must, x.dtype.name, kind=TypeError)
    strong = [x for x in values if not x.weak_type and jnp.issubdtype(x.dtype, jnp.floating)]
    dtype = np.result_type(np.float32, *(numerics.wide_dtype(x.dtype) for x in strong))
    return [x.astype(dtype) for x in values]


def paired(where: str, **arrays: Any) -> list[jax.Array]:
    """Widens arrays as `floats` does and broadcasts them to the shape of the largest of them.

    One of them must have the shape of the result: [8] and [8, 1] would broadcast to all pairs,
    [8, 8], which is never meant in a loss.

    Raises:
        ValueError: The shapes are not compatible.
    """
    values = floats(where, **arrays)
    shapes = [x.shape for x in values]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        shape = None
    if shape not in shapes:
        names = " and ".join(arrays)
        got = " and ".join(str(s) for s in shapes)
        errors.fail(where, f"{names} must have the same shape, or one broadcast to the other", got)
    return [jnp.broadcast_to(x, shape) for x in values]


def axes_of(where: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes counted from the front, in the order given; None means all of them.

    Raises:
        ValueError: An axis is out of range, or named twice.
    """
    given = range(ndim) if axis is None else np.atleast_1d(axis).tolist()
    axes = tuple(a + ndim if a < 0 else a for a in given)
    if any(not 0 <= a < ndim for a in axes) or len(set(axes)) < len(axes):
        errors.fail(where, f"axis must name distinct axes of an array of {ndim} dimensions", axis)
    return axes


def mask_of(where: str, mask: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """The mask broadcast to a shape; a mask without the axes `axes` selects whole examples.

    Raises:
        ValueError: The shapes are not compatible.
    """
    if mask is None:
        return None
    mask = jnp.asarray(mask).astype(bool)
    batch = tuple(n for i, n in enumerate(shape) if i not in axes)
    if mask.ndim < len(shape) and mask.shape == batch:
        mask = jnp.expand_dims(mask, sorted(axes))
    try:
        return jnp.broadcast_to(mask, shape)
    except ValueError:
        errors.fail(where, f"where must have the shape {batch} or {shape}", str(mask.shape))


def weigh(weight: jax.Array, x: jax.Array) -> jax.Array:
    """weight·x, with 0·∞ = 0, in derivatives too."""
    dead = (weight == 0) & jnp.isinf(x)
    return weight * jnp.where(dead, 0, x)


def log_softmax(x: jax.Array, axes: tuple[int, ...], mask: Any = None) -> jax.Array:
    """log(exp x / Σ exp x) over the entries that the mask includes; −∞ for the others.

    Entries of −∞ have probability 0. Where no entry is included all are −∞, with derivative 0.
    """
    if mask is not None:
        x = jnp.where(mask, x, -jnp.inf)
    top = jax.lax.stop_gradient(jnp.max(x, axis=axes, keepdims=True, initial=-jnp.inf))
    x = x - jnp.where(jnp.isneginf(top), 0, top)
    total = jnp.sum(jnp.exp(x), axis=axes, keepdims=True)  # at least 1, unless no entry is included
    return x - jnp.log(jnp.where(total == 0, 1, total))


def direction(x: jax.Array, axes: tuple[int, ...], least: Any = 0.0) -> jax.Array:
    """X / max(‖x‖, least), 0 where that is 0 / 0.

    Entries are divided by the largest first, so that no square in the derivative underflows.
    """
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axes, keepdims=True))
    top = jnp.where((top > 0) & jnp.isfinite(top), top, 1)
    x = x / top
    length = numerics.norm(x, axes, keepdims=True)
    return numerics.safe_divide(x, jnp.maximum(length, least / top))

"""Sums, means and maxima over the shards of an array, inside `shard_map`."""

from __future__ import annotations

from typing import Any

import jax


def varying_axes(x: jax.Array, axis_name: Any) -> tuple[Any, ...]:
    """The given axes of `shard_map` over which an array varies.

    With `check_vma` JAX knows over which axes the devices may hold different arrays; without it,
    all given axes are returned. An array that is the same on all devices is then not counted once
    for each of them.
    """
    if axis_name is None:
        return ()
    names = axis_name if isinstance(axis_name, (tuple, list)) else (axis_name,)
    mine, told = _varying(x), [name for name in names if _varying(jax.lax.axis_index(name))]
    return tuple(name for name in names if name in mine or name not in told)


def _varying(x: jax.Array) -> frozenset[Any]:
    kind: Any = jax.typeof(x)
    kind = getattr(kind, "manual_axis_type", kind)
    return getattr(kind, "varying", getattr(kind, "vma", frozenset()))  # vma: before jax 0.10


def psum(x: jax.Array, axis_name: Any) -> jax.Array:
    """The sum, over the shards of an array, of a value that each device computed for its shard."""
    names = varying_axes(x, axis_name)
    return jax.lax.psum(x, names) if names else x


def pmean(x: jax.Array, axis_name: Any) -> jax.Array:
    """The mean over the devices of a value that each computed."""
    names = varying_axes(x, axis_name)
    return jax.lax.pmean(x, names) if names else x


def pmax(x: jax.Array, axis_name: Any) -> jax.Array:
    """The maximum, over the shards of an array, of a value that each device computed."""
    names = varying_axes(x, axis_name)
    return jax.lax.pmax(x, names) if names else x


def count(x: jax.Array, axis_name: Any) -> int:
    """The number of shards of an array."""
    names = varying_axes(x, axis_name)
    return jax.lax.psum(1, names) if names else 1

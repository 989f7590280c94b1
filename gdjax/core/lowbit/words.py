"""Random words, [] uint32, the seeds of a step, and the integer hash that makes them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def words(step: jax.Array, number: int) -> list[jax.Array]:
    """A random word, [] uint32, for each of a number of arrays, different at each step.

    They are entries of one array behind a barrier, which one kernel makes: else XLA makes them in
    each entry of the arrays, or by a kernel for each.
    """
    places = np.asarray([i * 0x9E3779B9 & 0xFFFFFFFF for i in range(1, number + 1)], np.uint32)
    found = jax.lax.optimization_barrier(mix(mix(step.astype(jnp.uint32)) + places))
    return [found[i] for i in range(number)]


def positions(shape: tuple[int, ...]) -> jax.Array:
    """The index of each entry, row by row, uint32, whatever the sharding of the array."""
    place = jnp.zeros(shape, jnp.uint32)
    for axis, n in enumerate(shape):
        index = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        place = place * np.uint32(n & 0xFFFFFFFF) + index
    return place


def mix(x: jax.Array) -> jax.Array:
    """Integer hash: a pseudo-random bijection of uint32.

    Reference: Wellons, Prospecting for hash functions, 2018,
        https://nullprogram.com/blog/2018/07/31/
    """
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)

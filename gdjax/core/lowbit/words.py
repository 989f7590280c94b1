"""Words, [] uint32, from which what is random in a step begins, and the hash that makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def words(step: jax.Array, number: int) -> list[jax.Array]:
    """A word, [] uint32, for each of a number of arrays, others at each step; see `once`."""
    counted = lambda step, i: mix(mix(step) + np.uint32(i * 0x9E3779B9 & 0xFFFFFFFF))
    return once(lambda x: [counted(x[0], i + 1) for i in range(number)], jnp.stack([step, step]))


def once(make: Callable[[jax.Array], Any], of: jax.Array) -> Any:
    """Scalars for the arrays of a step, `make` of one array, which are made once.

    Without barriers XLA makes them in each entry of an array, or by a kernel for each. On a GPU it
    makes them all by one kernel if they read the same array of two numbers or more.
    """
    of = of.astype(jnp.uint32)
    return jax.lax.optimization_barrier(make(jax.lax.optimization_barrier(of)))


def mix(x: jax.Array) -> jax.Array:
    """Makes of each integer, uint32, another that looks like chance; one to one.

    Reference: Wellons, Prospecting for hash functions, 2018,
        https://nullprogram.com/blog/2018/07/31/
    """
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)

"""Decompositions of many matrices: one after another where a batch of them is slow."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

# A GPU has a routine for batches of small matrices, whose time grows with the third power of the
# side. JAX takes it for QR wherever a side is at most 128 times the number of matrices: 12 of side
# 768 took 0.7 s on an H200, where larger ones took about 12 ms each, one by one. Up to this side
# it is not slow.
SMALL = 256


def in_turn(function: Callable[[jax.Array], Any]) -> Callable[[jax.Array], Any]:
    """A function of matrices [..., m, n] that a GPU applies to one matrix after another.

    So it does under `jax.vmap` too, and with temporary memory for one matrix. On other chips, and
    where both sides are short, they stay one batch.
    """

    @jax.custom_jvp
    def decompose(a: jax.Array) -> Any:
        def each(a: jax.Array) -> Any:
            one = jax.custom_batching.sequential_vmap(function)
            for _ in a.shape[:-2]:
                one = jax.vmap(one)
            return one(a)

        if max(a.shape[-2:]) <= SMALL:
            return function(a)
        return jax.lax.platform_dependent(a, cuda=each, rocm=each, default=function)

    @decompose.defjvp
    def _(primals: tuple, tangents: tuple) -> tuple:
        return jax.jvp(function, primals, tangents)  # a loop of its own has no derivative backwards

    return functools.wraps(function)(decompose)

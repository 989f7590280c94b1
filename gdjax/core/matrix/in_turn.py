"""Decompositions of many matrices, sequential where a batch is slow (on GPU)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

# GPUs have a routine for batches of small matrices, whose time grows with the third power of the
# side. JAX uses it for QR wherever a side is at most 128 times the number of matrices: 12 matrices
# of side 768 took 0.7 s on an H200, where larger ones took about 12 ms each, one by one. Up to this
# side it is not slow.
SMALL = 256


def in_turn(function: Callable[[jax.Array], Any]) -> Callable[[jax.Array], Any]:
    """A function of matrices [..., m, n], applied sequentially on a GPU.

    This holds under `jax.vmap` too, with temporary memory for one matrix. On other chips, and where
    both sides are short, the matrices are one batch.
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
        return jax.jvp(function, primals, tangents)  # a while loop has no reverse-mode derivative

    return functools.wraps(function)(decompose)

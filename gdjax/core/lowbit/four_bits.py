"""Codebooks of 16 numbers in [−1, 1]: encoding and decoding in four bits.

Numbers of either sign have the dynamic codebook: 0, which is code 7, and the centers of 1, 2 and 4
equal cells in the decades up to 0.01, 0.1 and 1, with 1, and without −1. Squares have 1/16, …, 1,
without 0. Both are those of other packages, the second that of Li, Chen and Zhu, Memory efficient
optimizers with 4-bit states, 2023, https://arxiv.org/abs/2309.01507.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.lowbit.codebooks import dynamic
from gdjax.core.lowbit.rounding import random_bits_of, settled, up_or_down

_ZERO = 7  # the code of 0 among numbers of either sign


@functools.cache
def book(square: bool) -> np.ndarray:
    """The numbers of the 16 codes, [16] float32, ascending.

    >>> (10_000 * book(square=False)).round().astype(int).tolist()[7:]
    [0, 55, 325, 775, 2125, 4375, 6625, 8875, 10000]
    """
    if square:
        return (np.arange(1, 17) / 16).astype(np.float32)
    size = dynamic(1, 3)
    return np.concatenate([-size[_ZERO:0:-1], size])


def decode(codes: jax.Array, square: bool, dtype: Any) -> jax.Array:
    """The numbers of codes, by selections instead of a table, see `codebooks.decode`."""
    k = codes.astype(jnp.int32)
    if square:
        return (k + 1).astype(dtype) / 16
    size, number = jnp.abs(k - _ZERO), jnp.zeros_like(k, dtype)
    for i, one in enumerate(book(False)[_ZERO:]):
        number = jnp.where(size == i, one.astype(dtype), number)
    return jnp.where(k < _ZERO, -number, number)


def encode(x: jax.Array, square: bool, word: Any = None) -> jax.Array:
    """The codes of numbers in [−1, 1], uint4: the nearest, the larger of two equally near.

    >>> import jax.numpy as jnp
    >>> encode(jnp.array([-1.0, 0.0, 0.02, 1.0]), square=False).astype(int).tolist()
    [0, 7, 9, 15]

    Args:
        x: The numbers.
        square: Whether they are squares.
        word: One of `words`, for stochastic rounding of squares from 1/16 on.
    """
    if square:
        scaled = (16 * x).astype(jnp.float32)
        near = jnp.floor(scaled + 0.5)
        if word is not None:
            near = settled(scaled, near, up_or_down(scaled, random_bits_of(word, x.shape)))
        return (jnp.clip(near, 1, 16).astype(jnp.int32) - 1).astype(jnp.uint4)
    numbers = book(False).astype(np.float64)
    code = jnp.zeros_like(x, jnp.int32)
    for middle in (numbers[1:] + numbers[:-1]) / 2:
        code = code + (x >= float(middle)).astype(jnp.int32)
    return code.astype(jnp.uint4)

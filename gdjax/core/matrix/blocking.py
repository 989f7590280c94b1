"""Matrices split into blocks of equal shape."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Cut(NamedTuple):
    """The partition of a matrix [m, n] into blocks of equal shape, padded with zeros."""

    shape: tuple[int, int]  # m, n
    count: tuple[int, int]  # a, b: blocks along each side
    sides: tuple[int, int]  # p, q: of a block

    @classmethod
    def of(cls, shape: tuple[int, int], block_size: int | None) -> Cut:
        """The smallest number of blocks, of nearly equal sides."""
        if block_size is None:
            return cls(shape, (1, 1), shape)
        a, b = (max(1, math.ceil(side / block_size)) for side in shape)
        return cls.into(shape, (a, b))

    @classmethod
    def into(cls, shape: tuple[int, int], count: tuple[int, int]) -> Cut:
        """This number of blocks along each side, at most one for each row and column."""
        a, b = (min(n, max(1, side)) for n, side in zip(count, shape))
        return cls(shape, (a, b), (math.ceil(shape[0] / a), math.ceil(shape[1] / b)))

    def blocks(self, x: jax.Array) -> jax.Array:
        """[m, n] as [a, b, p, q]."""
        (m, n), (a, b), (p, q) = self
        x = jnp.pad(x, ((0, a * p - m), (0, b * q - n)))
        return x.reshape(a, p, b, q).transpose(0, 2, 1, 3)

    def whole(self, blocks: jax.Array) -> jax.Array:
        """[a, b, p, q] as [m, n]."""
        (m, n), (a, b), (p, q) = self
        return blocks.transpose(0, 2, 1, 3).reshape(a * p, b * q)[:m, :n]

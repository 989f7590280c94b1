"""8-bit floating-point codes of numbers in [−1, 1], whose 1 is the largest number of the dtype.

Codes are the bits, so that saved arrays need no dtype of 8-bit floats. Rounding is arithmetic, as
in `rounding`: conversions from float32 go through float16 in some compilers and round twice.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.lowbit.rounding import nearest, random_bits_of, settled, stochastic

FLOATS = {"float8_e4m3fn": jnp.float8_e4m3fn, "float8_e5m2": jnp.float8_e5m2}


def decode(codes: jax.Array, name: str, dtype: Any) -> jax.Array:
    """The numbers of codes.

    >>> import jax.numpy as jnp
    >>> decode(jnp.array([0, 126, 254], jnp.uint8), "float8_e4m3fn", "float32")
    Array([ 0.,  1., -1.], dtype=float32)
    """
    kind = FLOATS[name]
    number = jax.lax.bitcast_convert_type(codes, kind).astype(dtype)
    most = float(jnp.finfo(kind).max)
    # XLA may multiply by 1/most, and the product with most may not be 1.
    return jnp.where(jnp.abs(number) == most, jnp.sign(number), number / most)


def encode(x: jax.Array, name: str, square: bool, word: Any = None) -> jax.Array:
    """The codes of numbers in [−1, 1], uint8: the nearest, of two equally near the even one.

    Args:
        x: The numbers.
        name: One of `FLOATS`.
        square: Whether they are squares.
        word: One of `words`, for stochastic rounding of squares.
    """
    kind = FLOATS[name]
    scaled = ((jnp.abs(x) if square else x) * float(jnp.finfo(kind).max)).astype(jnp.float32)
    near = nearest(scaled, kind)
    if square and word is not None:
        near = settled(scaled, near, stochastic(scaled, kind, random_bits_of(word, x.shape)))
    return jax.lax.bitcast_convert_type(near.astype(kind), jnp.uint8)

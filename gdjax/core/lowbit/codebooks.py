"""Codebooks of 256 numbers in [−1, 1]: dynamic, linear, companded; encoding and decoding.

A codebook has the number of each 8-bit code, and a rule that finds the code of a number without a
search. There are two of each kind: one for numbers of either sign, whose code 127 is 0, and one for
squares, whose code 0 is 0 and is never the code of a positive number.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

CODEBOOKS = ("8bit", "8bit-linear", "8bit-companded")

_DECADES = 7  # of the dynamic codebook: 10⁻⁶ to 1
_ZERO = 127  # the code of 0 among numbers of either sign


@functools.cache
def codebook(name: str, square: bool) -> np.ndarray:
    """The numbers of the 256 codes, [256] float32, ascending.

    >>> [round(float(x), 9) for x in codebook("8bit", square=True)[[0, 1, 2, 255]]]
    [0.0, 3.25e-07, 7.75e-07, 1.0]

    Args:
        name: One of `CODEBOOKS`.
        square: Whether it is the codebook for squares.
    """
    k = np.arange(256 if square else 128)
    if name == "8bit":
        size = dynamic(2 if square else 1)
    elif name == "8bit-linear" and not square:
        size = k / 127
    elif name == "8bit-linear":
        # Equal steps would raise small squares to 1/255 of the largest.
        return codebook("8bit", True)
    else:
        size = (k / 255) ** 2 if square else (k / 127) / (2 - k / 127)
    size = size.astype(np.float32)
    if square:
        return size
    if len(size) == 128:  # code 255 is not needed
        size = np.append(size, size[-1:])
    return np.concatenate([-size[_ZERO:0:-1], size])


def dynamic(first: int, decades: int = _DECADES) -> np.ndarray:
    """The absolute values of the dynamic codebook: 0, the centers of the cells of each decade, 1.

    Decade i, up to 1, has first·2ⁱ equal cells, rounded as in other packages with this codebook:
    the ends of the cells are those of torch.linspace(0.1, 1).
    """
    sizes = [np.zeros(1, np.float32)]
    low, high = np.float32(0.1), np.float32(1)
    for i in range(decades):
        cells = first * 2**i
        width, k = np.float64((high - low) / np.float32(cells)), np.arange(cells + 1)
        ends = np.where(k < (cells + 1) // 2, low + width * k, high - width * (cells - k))
        ends = ends.astype(np.float32)  # each from its nearer end of the decade, rounded once
        sizes.append(
            np.float32(10.0 ** (i - decades + 1)) * ((ends[:-1] + ends[1:]) / np.float32(2))
        )
    return np.concatenate([*sizes, np.ones(1, np.float32)])


def decode(codes: jax.Array, name: str, square: bool, dtype: Any) -> jax.Array:
    """The numbers of codes, by arithmetic instead of a table.

    A TPU would read a table entry by entry. On a GPU XLA would copy codes that are looked up in a
    table before overwriting them, and keep the decoded numbers.
    """
    k = codes.astype(jnp.int32) - (0 if square else _ZERO)
    size = jnp.abs(k)
    if name == "8bit" or (square and name == "8bit-linear"):
        number = _dynamic_number(size.astype(jnp.uint32), 2 if square else 1)
    elif name == "8bit-linear":
        number = jnp.minimum(size, 127).astype(jnp.float32) / 127
    elif square:
        number = (size * size).astype(jnp.float32) / 255**2
    else:
        size = jnp.minimum(size, 127)
        number = size.astype(jnp.float32) / (254 - size).astype(jnp.float32)
    return (number if square else jnp.where(k < 0, -number, number)).astype(dtype)


def _dynamic_number(size: jax.Array, first: int) -> jax.Array:
    """The numbers of the dynamic codebook by their index among its absolute values, exactly.

    The indices of decade i begin at first·2ⁱ − first + 1, so i follows from the leading zeros of an
    index. The ends of the cells are integers times 2⁻³¹, as in `dynamic` before rounding.
    """
    place = size + np.uint32(first - 1)
    zeros = jax.lax.clz(place)
    reaches = lambda i: zeros <= np.uint32(32 - first - i)  # place ≥ first·2ⁱ
    width = zeros - np.uint32(24)  # of a cell: log₂ of 128ths of the decade
    begin = (place << width) - np.uint32(128)
    step, low = np.uint32(np.float32(0.9) * 2**24), np.uint32(np.float32(0.1) * 2**31)
    high = np.uint32(2**31 - 128 * int(step))

    def end(at: jax.Array) -> jax.Array:  # each from its nearer end of the decade
        return (at * step + jnp.where(at < 64, low, high)).astype(jnp.float32)

    ends = end(begin) + end(begin + (np.uint32(1) << width))
    unit = jnp.full_like(ends, np.float32(1e-6) * np.float32(2**-32))
    for i in range(1, _DECADES):
        unit = jnp.where(reaches(i), np.float32(10.0 ** (i - 6)) * np.float32(2**-32), unit)
    number = jnp.where(reaches(_DECADES), 1, ends * unit)
    return jnp.where(reaches(0), number, 0)


def encode(x: jax.Array, name: str, square: bool) -> jax.Array:
    """The codes of numbers in [−1, 1], uint8, by the nearest number in the codebook.

    >>> import jax.numpy as jnp
    >>> encode(jnp.array([-1.0, 0.0, 1e-9, 1.0]), "8bit", square=False)
    Array([  0, 127, 127, 255], dtype=uint8)
    """
    size = x if square else jnp.abs(x)
    if name == "8bit" or (square and name == "8bit-linear"):
        code = _dynamic_code(size, 2 if square else 1)
    elif name == "8bit-linear":
        code = jnp.round(127 * size)
    else:
        code = jnp.round(255 * jnp.sqrt(size) if square else 127 * (2 * size / (1 + size)))
    if not square:
        code = _ZERO + jnp.where(x < 0, -jnp.minimum(code, 127), code)
    return code.astype(jnp.uint8)


def _dynamic_code(size: jax.Array, first: int) -> jax.Array:
    """Code of an absolute value in [0, 1]: the decade by comparison, the cell by arithmetic.

    Decade i begins at code first·2ⁱ − first + 1, and its cells are equal, so the nearest center is
    that of the cell of the value. Between two decades it is the nearer of two centers.
    """
    numbers = codebook("8bit", first == 2).astype(np.float64)[-(127 * first + 2) :]
    middles = (numbers[1:] + numbers[:-1]) / 2
    starts = [first * 2**i - first + 1 for i in range(_DECADES + 1)]
    slope = cells = jnp.zeros_like(size)
    for i, start in enumerate(starts[:-1]):
        inside = size > float(middles[start - 1])
        slope = jnp.where(inside, first * 2**i * 10.0 ** (6 - i) / 0.9, slope)
        cells = jnp.where(inside, float(first * 2**i), cells)
    # cells·(1 + (size·10⁶⁻ⁱ − 0.1)/0.9), of which the whole part is cells + the number of the cell
    cell = jnp.clip(jnp.floor(size * slope + cells * (8 / 9)), cells, 2 * cells - 1)
    code = jnp.where(cells > 0, cell + (1 - first), 0)
    return jnp.where(size > float(middles[-1]), float(starts[-1]), code)

"""Rounding to 16-bit numbers represented in float32: spacing, nearest, stochastic, exact updates.

A parameter p of 16 bits is to become q, another number of its dtype, by adding an update d, where
p + d is computed in float32 and rounded once. d = q − p in float32 does that:

- |q| of p's size or larger: q − p may be rounded, by 2⁻²⁴ of |q| at most, and the sum again; that
  is far less than half of q's spacing, 2⁻¹⁰ of |q| or more, so p + d rounds to q.
- |q| smaller than |p|: p and q are multiples of q's spacing, and so is d, which has at most 24 bits
  and so is exact while q lies no more than 16 powers of 2 below p (13 for float16, whose subnormal
  numbers are multiples of 2⁻²⁴ as all others are, so that nothing below them is lost).
- Further down, at p with 2ᵉ ≤ |p| < 2ᵉ⁺¹: where q is a rounding of s = p + u, u in float32, s is
  exact, a multiple of 2ᵉ⁻²⁴ and smaller than 2ᵉ⁻¹⁶. So it has 8 bits, is its own rounding, and
  d = q − p = u.

Where q is a rounding of another number, of a sum with a residual in the state, one bit of d may be
lost in the last case, 2⁻²⁴ of |p|, as in float32. So `land` returns the number that is reached, and
the residual in the state is measured from there. This holds for numbers of 2⁻¹¹⁹ and larger, and
residuals are exact from 2⁻¹⁰⁰ on: their bits must not lie below 2⁻¹²⁶.

XLA may remove a conversion to few bits and back (it "allows excess precision"), which would make
every rounding error zero. So rounding is arithmetic here, not a conversion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.lowbit.words import mix, positions
from gdjax.core.rule import tree


def is_narrow(x: Any) -> bool:
    """Whether a leaf is an array of real numbers of less than 32 bits."""
    dtype = getattr(x, "dtype", None)
    if not tree.differentiable(x) or dtype is None:
        return False
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32


def evolve_narrow(
    leaf: Callable[..., Any], updates: Any, params: Any, *states: Any
) -> tuple[Any, ...]:
    """Applies a rule for one array to parameters of 16 bits or less; other leaves do not change.

    `leaf` takes update and parameter in float32, the parameter's dtype, the arrays of `states`, and
    the path; it returns the update and the new arrays.
    """
    us, treedef = jax.tree.flatten(updates, is_leaf=tree.is_none)
    columns = [treedef.flatten_up_to(one) for one in (params, *states)]
    rows = []
    for path, u, p, *kept in zip(tree.paths(updates, tree.is_none), us, *columns):
        if is_narrow(p) and tree.differentiable(u) and all(x is not None for x in kept):
            wide = (jnp.asarray(u).astype(jnp.float32), p.astype(jnp.float32))
            rows.append(leaf(*wide, p.dtype, *kept, path=path))
        else:
            rows.append((u, *kept))
    columns = list(zip(*rows)) if rows else [()] * (1 + len(states))
    return tuple(treedef.unflatten(column) for column in columns)


@jax.custom_jvp
def stands_for(value: jax.Array, source: jax.Array) -> jax.Array:
    """A rounding of `source`, with the derivative of `source` (straight-through)."""
    return value


@stands_for.defjvp
def _stands_for_jvp(primals: tuple, tangents: tuple) -> tuple:
    return primals[0], tangents[1]


def spacing(x: jax.Array, dtype: Any) -> jax.Array:
    """The spacing of the numbers of a dtype at x, float32: a power of 2, at least 2⁻¹²⁶."""
    info = jnp.finfo(dtype)
    lowest = max(int(info.minexp) - int(info.nmant) + 127, 1)
    field = (jax.lax.bitcast_convert_type(x, jnp.uint32) >> 23).astype(jnp.int32) & 0xFF
    field = jnp.maximum(field - int(info.nmant), lowest)
    return jax.lax.bitcast_convert_type((field << 23).astype(jnp.uint32), jnp.float32)


def inverse(step: jax.Array) -> jax.Array:
    """1/step of a power of 2 up to 2¹²⁶, exact also where division is approximate."""
    bits = jax.lax.bitcast_convert_type(step, jnp.uint32)
    return jax.lax.bitcast_convert_type(np.uint32(254 << 23) - bits, jnp.float32)


def nearest(x: jax.Array, dtype: Any) -> jax.Array:
    """The nearest number of a dtype to x, ties to even; both are float32."""
    step = spacing(x, dtype)
    rounded = jnp.round(x * inverse(step)) * step
    largest = float(jnp.finfo(dtype).max)
    rounded = jnp.where(jnp.abs(rounded) > largest, jnp.sign(x) * np.float32(np.inf), rounded)
    return stands_for(rounded, x)


def stochastic(x: jax.Array, dtype: Any, bits: jax.Array) -> jax.Array:
    """Stochastic rounding: one of the two neighbors of x in a dtype, unbiased over random bits.

    Args:
        x: In float32.
        dtype: Of few bits.
        bits: uint32 in the shape of x; 24 bits are used.
    """
    step = spacing(x, dtype)
    return stands_for(up_or_down(x * inverse(step), bits) * step, x)


def up_or_down(x: jax.Array, bits: jax.Array) -> jax.Array:
    """Stochastic rounding to one of the two integers next to x, unbiased over bits; float32."""
    below = jnp.floor(x)
    uniform = (bits >> 8).astype(jnp.float32) * np.float32(2**-24)
    return below + (uniform < x - below).astype(jnp.float32)


def land(p: jax.Array, wanted: jax.Array, q: jax.Array, dtype: Any) -> tuple[Any, Any]:
    """The update from p to q, a rounding of `wanted`, and the number that is reached.

    Where q is not finite, the update leads to `wanted` itself, so that an overflow stays one.
    """
    finite = jnp.isfinite(q) & (jnp.abs(q) <= float(jnp.finfo(dtype).max))
    d = stands_for(jnp.where(finite, q - p, wanted - p), wanted - p)
    return d, nearest(p + d, dtype)


def seeds(key: jax.Array, salts: Sequence[int]) -> list[tuple[jax.Array, jax.Array]]:
    """Seeds of `random_bits` for each array of a step: two words, [] uint32, from key and salt.

    As in `words`, they are entries of one array.

    Args:
        key: Data of a key that is new at each step, [2] uint32 or more.
        salts: A different number for each array of the step.
    """
    first = mix(key[0].astype(jnp.uint32) ^ np.asarray(salts, np.uint32))
    pairs = jax.lax.optimization_barrier(
        jnp.stack([first, mix(key[-1].astype(jnp.uint32) + first)])
    )
    return [(pairs[0, i], pairs[1, i]) for i in range(len(salts))]


def random_bits(seed: tuple[jax.Array, jax.Array], shape: tuple[int, ...]) -> jax.Array:
    """Random bits, uint32, that depend only on the seed and the position of the entry.

    They are a hash of the position, not from `jax.random`, whose bits depend on the sharding of an
    array for some kinds of keys, and cost several times as much for the others.

    Args:
        seed: One of `seeds`.
        shape: Of the bits.
    """
    first, second = seed
    return mix(mix(positions(shape) + first) ^ second)


def random_bits_of(word: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Random bits, uint32, a function of one of `words` and the position of the entry."""
    return mix(positions(shape) ^ word)


def settled(x: jax.Array, near: jax.Array, other: jax.Array) -> jax.Array:
    """`near`, where x differs from it by rounding errors of float32 only, else `other`.

    So what was decoded and is encoded again, stochastically, does not change.
    """
    return jnp.where(jnp.abs(x - near) <= 2**-21 * jnp.abs(x), near, other)


def squares_to_bfloat16(x: jax.Array, word: jax.Array) -> jax.Array:
    """Stochastic rounding of squares to bfloat16: unbiased.

    The random bits are a function of the word and the position in the array, whatever the sharding.
    Numbers of bfloat16 do not change, and finite ones stay finite.
    """
    x = x.astype(jnp.float32)
    noise = random_bits_of(word, x.shape) >> 16
    bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(x), jnp.uint32) + noise
    kept = jax.lax.bitcast_convert_type(bits & np.uint32(0xFFFF0000), jnp.float32)
    least, most = (float(b) for b in (jnp.finfo(jnp.bfloat16).tiny, jnp.finfo(jnp.bfloat16).max))
    kept = jnp.where(x > 0, jnp.clip(kept, least, most), 0)
    return jnp.where(jnp.isfinite(x) & (x >= 0), kept, x).astype(jnp.bfloat16)

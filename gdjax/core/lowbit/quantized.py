"""Quantized arrays: codes of 4 or 8 bits with a scale for each block, or bfloat16."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.lowbit import codebooks, float8, four_bits
from gdjax.core.lowbit.codebooks import CODEBOOKS
from gdjax.core.lowbit.float8 import FLOATS
from gdjax.core.lowbit.rounding import squares_to_bfloat16
from gdjax.core.lowbit.words import mix
from gdjax.core.mesh import distribute
from gdjax.core.rule import errors, numerics

FORMATS = (*CODEBOOKS, "4bit", *FLOATS, "bf16")
_WITHOUT_MINUS_ONE = ("8bit", "4bit")  # codebooks of numbers of either sign


class Format(NamedTuple):
    """The format of a quantized array: its static data without the shape."""

    format: str  # one of FORMATS
    square: bool  # whether the numbers are squares: positive ones never become 0
    dtype: np.dtype  # of the array before quantization
    block: tuple[int, ...]  # shape of a block, which has one scale


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True)
class Quantized:
    """A quantized array: a pytree of its codes and, but for bfloat16, scales of blocks.

    `codes` has the shape of the array, so it is sharded like the array. A block is a box of
    adjacent entries, along the last axis first, and `scale` has one entry for each block and as
    many axes as the array. Further leading axes (of `vmap`, of stacked states) are allowed. In
    `"bf16"` the codes are the numbers, and `scale` is None. XLA packs two codes of `"4bit"`, uint4,
    into a byte of its memory; NumPy, and so a file, has a byte for each.

    The entry of largest absolute value of a block is represented exactly. A block with a NaN or an
    infinity becomes NaN. Numbers below the smallest normal float32 become 0.

    >>> import jax.numpy as jnp
    >>> x = Quantized.of(jnp.array([3.0, -1.0, 0.0, 1e-9]), "8bit")
    >>> x.codes, x.scale
    (Array([255,  47, 127, 127], dtype=uint8), Array([3.], dtype=float32))
    >>> x.value().round(2)
    Array([ 3., -1.,  0.,  0.], dtype=float32)
    """

    codes: Any  # in the shape of the array: uint8, uint4, or bfloat16
    scale: Any  # [blocks along each axis] float32 or wider; None where there are no blocks
    kind: Format

    @classmethod
    def of(
        cls, array: Any, format: str, *, square: bool = False, block: int = 256, seed: Any = None
    ) -> Quantized:
        """Quantizes a real floating-point array.

        Args:
            array: The array.
            format: One of `FORMATS`.
            square: Whether it holds squares: a positive number never becomes 0, and if there is a
                seed, formats other than the codebooks of 8 bits round stochastically, so that small
                changes add up on average.
            block: Largest number of entries that share a scale.
            seed: [] uint32 or a Python number, for stochastic rounding; None rounds to nearest.
        """
        check_format(format, "Quantized")
        _tell_flax()
        array = jnp.asarray(array)
        if not jnp.issubdtype(array.dtype, jnp.floating):
            errors.fail("Quantized", "the array must be real and floating-point", array.dtype)
        shape = () if format == "bf16" else block_shape(array.shape, block)
        word = None if seed is None else mix(jnp.asarray(seed).astype(jnp.uint32))
        return _encode(array, Format(format, square, array.dtype, shape), word)

    @classmethod
    def build(cls, form: dict[str, Any], parts: Sequence[Any]) -> Quantized:
        """A quantized array from its form and its arrays, in the order of `parts_of`.

        Raises:
            ValueError: The form is invalid, or the arrays do not fit it.
        """
        check_format(form["format"], "Quantized")
        block = tuple(int(n) for n in form["block"])
        kind = Format(form["format"], bool(form["square"]), jnp.dtype(form["dtype"]), block)
        if not jnp.issubdtype(kind.dtype, jnp.floating):
            errors.fail("Quantized", "the array must be real and floating-point", kind.dtype)
        like = jax.eval_shape(
            lambda: _encode(jnp.zeros(tuple(form["shape"]), kind.dtype), kind, None)
        )
        for name, got, want in zip(parts_of(kind.format), parts, jax.tree.leaves(like)):
            if (got.shape, got.dtype) != (want.shape, want.dtype):
                must = f"{name} must be {want.dtype} {want.shape}"
                errors.fail("Quantized", must, f"{got.dtype} {got.shape}")
        codes, scale = (*parts, None) if len(parts) == 1 else parts
        return cls(codes, scale, kind)

    @property
    def form(self) -> dict[str, Any]:
        """Everything but its numbers, as data for JSON."""
        kind = self.kind._asdict()
        return {**kind, "dtype": str(self.dtype), "shape": [*self.shape], "block": [*kind["block"]]}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.codes.shape

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the array."""
        return self.kind.dtype

    def value(self) -> jax.Array:
        """The dequantized array."""
        kind = self.kind
        if kind.format == "bf16":
            return self.codes.astype(kind.dtype)
        wide = self.scale.dtype
        spread = _spread(self.scale, kind.block, self.shape)
        numbers = _decode(self.codes, kind, wide)
        value = numbers * spread
        if kind.square:  # the product may be too small for its dtype
            tiny = float(jnp.finfo(kind.dtype).tiny)
            no_zero = kind.format == "4bit"
            positive = numbers * jnp.sign(spread) > 0 if no_zero else self.codes > 0
            value = jnp.where(positive, jnp.maximum(value, tiny), value)
        return value.astype(kind.dtype)

    def requantize(self, array: Any, word: Any = None, twin: Any = None) -> Quantized:
        """Quantizes another array in the same format.

        Args:
            array: The array.
            word: One of `words`, for stochastic rounding; None rounds to nearest.
            twin: The array computed again, as by `with_twins`: used for the scales on a GPU.
        """
        return _encode(jnp.asarray(array).astype(self.dtype), self.kind, word, twin)

    def tree_flatten_with_keys(self) -> tuple[Any, Format]:
        """Codes and scale, and the format."""
        key = jax.tree_util.GetAttrKey
        return ((key("codes"), self.codes), (key("scale"), self.scale)), self.kind

    def tree_flatten(self) -> tuple[Any, Format]:
        """The same without keys."""
        return (self.codes, self.scale), self.kind

    @classmethod
    def tree_unflatten(cls, kind: Format, parts: Sequence[Any]) -> Quantized:
        """The inverse of `tree_flatten`, for children of any type."""
        return cls(parts[0], parts[1], kind)


def _tell_flax() -> None:
    """Registers quantized arrays with `flax.serialization`, if it is loaded."""
    flax = sys.modules.get("flax.serialization")
    if flax is not None:
        _register(flax)


@functools.cache
def _register(flax: Any) -> None:
    flax.register_serialization_state(
        Quantized,
        lambda x: {part: getattr(x, part) for part in parts_of(x.kind.format)},
        lambda x, saved: Quantized.build(x.form, [saved[p] for p in parts_of(x.kind.format)]),
    )


def parts_of(format: str) -> tuple[str, ...]:
    """The names of the arrays of a quantized array in a format, in the order of its leaves."""
    return ("codes",) if format == "bf16" else ("codes", "scale")


def is_quantized(x: Any) -> bool:
    """Whether this is a quantized array, a single leaf for functions that name arrays."""
    return isinstance(x, Quantized)


def check_format(format: Any, where: str) -> None:
    """Checks the name of a format.

    Raises:
        ValueError: Unknown format.
    """
    if format not in FORMATS:
        hint = errors.nearest(str(format), FORMATS)
        must = f"the format must be one of {', '.join(map(repr, FORMATS))}"
        errors.fail(where, must, repr(format), instead=hint)


def block_shape(shape: tuple[int, ...], block: int) -> tuple[int, ...]:
    """The shape of a block of at most `block` entries: whole rows, or a part of one.

    The number of rows of a block is a power of two, so that a shard of the array has whole blocks.

    >>> block_shape((1024, 4096), 256), block_shape((1024, 10), 256), block_shape((3, 3, 64), 256)
    ((1, 256), (16, 10), (1, 3, 64))
    """
    sides: list[int] = []
    for n in reversed(shape):
        sides.append(max(1, min(n, block)))
        block = block if n == 1 else 2 ** max(0, (block // max(n, 1)).bit_length() - 1)
    return tuple(reversed(sides))


def _encode(x: jax.Array, kind: Format, word: Any, twin: Any = None) -> Quantized:
    wide = numerics.wide(x)
    if kind.format == "bf16":
        rounds = kind.square and word is not None
        return Quantized(
            squares_to_bfloat16(wide, word) if rounds else x.astype(jnp.bfloat16), None, kind
        )
    scale = _scales(wide, kind)
    if twin is not None:
        of_twin = lambda: _scales(numerics.wide(twin.astype(x.dtype)), kind, _largest)
        scale = jax.lax.platform_dependent(cuda=of_twin, rocm=of_twin, default=lambda: scale)
    spread = _spread(scale, kind.block, x.shape)
    usable = (spread != 0) & (spread == spread)
    ratio = jnp.where(usable, wide / jnp.where(usable, spread, 1), 0)
    if kind.format == "4bit":  # squares have no code for 0
        return Quantized(four_bits.encode(ratio, kind.square, word), scale, kind)
    if kind.format in FLOATS:
        codes = float8.encode(ratio, kind.format, kind.square, word)
    else:
        codes = codebooks.encode(ratio, kind.format, kind.square)
    if kind.square:
        codes = jnp.where((wide > 0) & usable, jnp.maximum(codes, 1), codes)
    return Quantized(codes, scale, kind)


def _decode(codes: jax.Array, kind: Format, dtype: Any) -> jax.Array:
    if kind.format == "4bit":
        return four_bits.decode(codes, kind.square, dtype)
    if kind.format in FLOATS:
        return float8.decode(codes, kind.format, dtype)
    return codebooks.decode(codes, kind.format, kind.square, dtype)


def _scales(x: jax.Array, kind: Format, largest: Any = None) -> jax.Array:
    """The largest absolute value in each block, NaN where an entry is not finite.

    Dynamic codebooks have a code for 1 and none for −1: there the scale has the entry's sign.
    """
    sides = (1,) * (x.ndim - len(kind.block)) + kind.block
    where = distribute.spec_of(x)
    if where is not None:  # axes stay split if their shards have whole blocks
        axes = zip(x.shape, sides, where)
        whole = [n % (side * _shards(x, names)) == 0 for n, side, names in axes]
        where = [names if w else () for names, w in zip(where, whole)]
        x = distribute.reshard(x, where)
    ends = [-n % side for n, side in zip(x.shape, sides)]
    if any(ends):
        x = jnp.pad(x, [(0, end) for end in ends])
    parts = [m for n, side in zip(x.shape, sides) for m in (n // side, side)]
    boxes = _reshaped(x, parts, where and [names for one in where for names in (one, ())])
    inside = tuple(range(1, 2 * x.ndim, 2))
    if kind.square:
        top = jnp.max(boxes, axis=inside, initial=0)
    else:
        top = (largest or _high_or_low)(boxes, inside)
    top = top if kind.square or kind.format in _WITHOUT_MINUS_ONE else jnp.abs(top)
    return jnp.where(jnp.isfinite(top), top, jnp.nan)


def _high_or_low(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """The entry of largest absolute value, the positive one of a tie; NaN if there is one."""
    high, low = jnp.max(x, axis=axes, initial=0), jnp.min(x, axis=axes, initial=0)
    return jnp.where(-low > high, low, high)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _largest(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """The same by one reduction: for two, XLA on a GPU stores their common input."""
    return jax.lax.reduce(x, np.zeros([], x.dtype), _larger, axes)


@_largest.defjvp
def _largest_jvp(axes: tuple[int, ...], primals: tuple, tangents: tuple) -> tuple:
    _, tangent = jax.jvp(lambda x: _high_or_low(x, axes), primals, tangents)
    return _largest(*primals, axes), tangent


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """The one of larger absolute value; the positive one of two equal ones; NaN if one is NaN."""
    return jnp.where(abs(a) > abs(b), a, jnp.where(abs(b) > abs(a), b, jax.lax.max(a, b)))


def _spread(scale: jax.Array, block: tuple[int, ...], shape: tuple[int, ...]) -> jax.Array:
    """The scale of each entry, in the shape of the array, or in one that broadcasts to it."""
    sides = (1,) * (len(shape) - len(block)) + block
    sides = tuple(1 if m == 1 else side for m, side in zip(scale.shape, sides))
    boxes = jnp.expand_dims(scale, tuple(range(1, 2 * scale.ndim, 2)))
    boxes = jnp.broadcast_to(boxes, [k for pair in zip(scale.shape, sides) for k in pair])
    where = distribute.spec_of(scale)
    whole = _reshaped(boxes, [m * side for m, side in zip(scale.shape, sides)], where)
    spread = whole[tuple(slice(0, n) for n in shape)]
    return jnp.broadcast_to(spread, shape)


def _reshaped(x: jax.Array, shape: Sequence[int], where: Any) -> jax.Array:
    """The array in another shape, with this sharding, if JAX knows shardings."""
    if where is None:
        return x.reshape(shape)
    return jax.lax.reshape(x, shape, out_sharding=distribute.placed(x, where))


def _shards(x: jax.Array, names: tuple[str, ...]) -> int:
    return math.prod(distribute.mesh_of(x).shape[name] for name in names)

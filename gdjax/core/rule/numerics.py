"""The words that rules are written in, each right in every dtype and differentiable at zero."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64  # a context: `enable_x64(True)`
else:  # before jax 0.8
    from jax.experimental import enable_x64  # pyrefly: ignore


def wide_dtype(dtype: Any) -> np.dtype:
    """The dtype in which arithmetic on `dtype` is done: float32 or wider."""
    dtype = jnp.dtype(dtype)
    if jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32:
        return jnp.dtype(jnp.float32)
    return dtype


def wide(x: jax.Array) -> jax.Array:
    """Widens 16-bit floats to float32; everything else passes."""
    x = jnp.asarray(x)
    return x.astype(wide_dtype(x.dtype))


def like(x: Any, reference: jax.Array) -> jax.Array:
    """Casts `x` to the dtype that `reference` has."""
    x = jnp.asarray(x)
    same = x.dtype == reference.dtype and not x.weak_type
    return x if same else x.astype(reference.dtype)


def weak(x: Any) -> Any:
    """Makes an array act like a Python number in arithmetic: it takes on the dtype of its partner.

    So a hyperparameter given as an array neither widens nor narrows the leaves it meets. Python
    numbers pass as they are and keep their float64 precision until they meet an array.
    """
    if isinstance(x, (int, float, complex)):
        return x
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.number) or x.weak_type:
        return x
    one = 0j if jnp.issubdtype(x.dtype, jnp.complexfloating) else 0.0
    return jax.lax.full_like(jnp.asarray(one), x)  # a result as weak as its first argument


def zero_count() -> jax.Array:
    """A step count before the first step: [] int32."""
    return jnp.zeros([], jnp.int32)


def increment(count: jax.Array) -> jax.Array:
    """One more, which stays at the largest integer instead of wrapping round."""
    largest = jnp.asarray(jnp.iinfo(count.dtype).max - 1, count.dtype)
    return jax.lax.min(count, largest) + 1


def abs_sq(x: jax.Array) -> jax.Array:
    """|x|², real for complex x, and differentiable at zero."""
    if jnp.iscomplexobj(x):
        return jnp.real(x) ** 2 + jnp.imag(x) ** 2
    return x * x


def ema(mean: jax.Array, x: jax.Array, decay: Any) -> jax.Array:
    """decay·mean + (1 − decay)·x; the 1 − decay of a Python number is formed in float64."""
    return decay * mean + (1 - decay) * x


def debias(decay: Any, count: jax.Array) -> jax.Array:
    """1 − decayᵗ, [], the weights of an average from zero added up: mean / debias is unbiased.

    Formed as −expm1(t·log decay): 1 − 0.999ᵗ would lose four digits in float32. Made once a step,
    outside of `leaf`; the result takes on the dtype of the leaves it meets.
    """
    t = jnp.asarray(count).astype(float)
    if isinstance(decay, (int, float)):
        total = -jnp.expm1(t * math.log(decay)) if decay > 0 else jnp.ones_like(t)
    else:  # traced: also right, and with a finite derivative, at decay = 0
        positive = decay > 0
        total = -jnp.expm1(t * jnp.log(jnp.where(positive, decay, 1)))
        total = jnp.where(positive, total, 1)
    return weak(total)


def read_again(x: Any) -> Any:
    """Arrays for a second reader, so that XLA on CPU does not write what both form of them.

    There one loop has one result, and to read twice is less than to write and read. A GPU and a TPU
    form several results in one reading, which this would keep them from.
    """
    barrier = jax.lax.optimization_barrier
    one = lambda x: jax.lax.platform_dependent(x, cpu=barrier, default=lambda x: x)
    # Each by itself: in `shard_map` they differ along axes of their own.
    return jax.tree.map(one, x)


def after(x: jax.Array, *earlier: jax.Array) -> jax.Array:
    """x, formed after `earlier` is: the state that `earlier` reads is not yet overwritten by x.

    Without it XLA on CPU may form x twice, and copy the state first. The condition never holds,
    which XLA does not know.
    """
    beyond = [jnp.real(y) > jnp.inf for y in earlier]
    never = functools.reduce(jnp.logical_or, beyond)
    return jnp.where(never, jnp.zeros_like(x), x)


def safe_sqrt(x: jax.Array) -> jax.Array:
    """√x for x ≥ 0, whose derivative at 0 is 0 and not infinite."""
    zero = x == 0  # and not x > 0: a NaN has to stay one
    one, nothing = jax.lax.full_like(x, 1), jax.lax.full_like(x, 0)
    return jax.lax.select(zero, nothing, jax.lax.sqrt(jax.lax.select(zero, one, x)))


def safe_divide(x: jax.Array, y: jax.Array) -> jax.Array:
    """Divides x by y where y is not 0 and gives 0 where it is; so for the derivatives."""
    nonzero = y != 0
    return jnp.where(nonzero, x / jnp.where(nonzero, y, 1), 0)


@functools.partial(jax.jit, static_argnums=(1, 2))
def norm(x: jax.Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False):
    """√Σ|x|² of one array, finite where the result is, and differentiable at zero.

    One reading of `x` is enough. On CPU and GPU the squares of float32 are added up in float64,
    whatever JAX is configured to: they cannot leave its range. Elsewhere three sums are formed, of
    x as it is and of x made small and large, of which one is in range. The result is float32 or
    wider.
    """
    x = x if x.dtype == np.float32 else wide(x)
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    if axis is not None:
        axes = tuple(k % x.ndim for k in axes)
    by_three_sums = functools.partial(_norm, axes, False)
    if jnp.finfo(x.dtype).bits != 32:
        length = by_three_sums(x)
    else:  # a TPU makes float64 of pairs of float32, with their range
        have_double = dict.fromkeys(("cpu", "cuda", "rocm"), functools.partial(_norm, axes, True))
        length = jax.lax.platform_dependent(x, **have_double, default=by_three_sums)
    return length if keepdims else jnp.squeeze(length, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _norm(axes: tuple[int, ...], in_double: bool, x: jax.Array) -> jax.Array:
    """As `norm`: by one sum in float64, or by three, of which one is in range."""
    if not in_double:
        unit = int(jnp.finfo(x.dtype).maxexp) // 128  # 1 of float32, 8 of float64
        down, up, least = 2.0 ** (-70 * unit), 2.0 ** (100 * unit), 2.0 ** (-80 * unit)
        total = functools.partial(jnp.sum, axis=axes, keepdims=True)
        plain, of_large, of_small = map(total, map(abs_sq, (x, x * down, x * up)))
        length = jnp.where(plain < least, jnp.sqrt(of_small) / up, jnp.sqrt(plain))
        return jnp.where(plain == jnp.inf, jnp.sqrt(of_large) / down, length)
    with enable_x64(True):
        if jnp.iscomplexobj(x):
            a, b = jax.lax.real(x), jax.lax.imag(x)
            a, b = (jax.lax.convert_element_type(part, np.float64) for part in (a, b))
            squares = jax.lax.add(jax.lax.mul(a, a), jax.lax.mul(b, b))
        else:
            a = jax.lax.convert_element_type(x, np.float64)
            squares = jax.lax.mul(a, a)
        total = jax.lax.reduce(squares, np.float64(0), jax.lax.add, axes)
        length = jax.lax.convert_element_type(jax.lax.sqrt(total), np.float32)
    return jnp.expand_dims(length, axes)


@_norm.defjvp
def _norm_jvp(axes: tuple[int, ...], in_double: bool, primals: tuple, tangents: tuple) -> tuple:
    (x,), (dx,) = primals, tangents
    length = _norm(axes, in_double, x)
    root = safe_sqrt(length).astype(x.dtype)  # divided by twice: 1 / length may leave the range
    unit = safe_divide(safe_divide(x, root), root)
    return length, jnp.sum(jnp.real(jnp.conj(unit) * dx), axis=axes, keepdims=True)


def divide_by_root(g: jax.Array, v: jax.Array, eps: Any, eps_in_sqrt: bool = False) -> jax.Array:
    """Forms g / (√v + eps) or g / √(v + eps), v ≥ 0; 0 / 0 is 0, and derivatives are finite."""
    never_zero = isinstance(eps, (int, float)) and eps > 0  # spares the compiler a guard
    if eps_in_sqrt:
        root = jnp.sqrt(v + eps) if never_zero else safe_sqrt(v + eps)
    else:
        root = safe_sqrt(v) + eps
    root = root.astype(g.dtype)  # complex where g is
    return g / root if never_zero else safe_divide(g, root)

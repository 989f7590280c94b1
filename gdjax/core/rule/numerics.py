"""Numerical functions for rules, accurate in every dtype and differentiable at zero."""

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
    """Widens 16-bit floats to float32; other arrays do not change."""
    x = jnp.asarray(x)
    return x.astype(wide_dtype(x.dtype))


def like(x: Any, reference: Any) -> jax.Array:
    """Casts `x` to the dtype of `reference`, an array or a Python number."""
    x, dtype = jnp.asarray(x), jnp.result_type(reference)
    return x if x.dtype == dtype and not x.weak_type else x.astype(dtype)


def weak(x: Any) -> Any:
    """Makes the dtype of an array weak: in arithmetic it acts like a Python number.

    So a hyperparameter given as an array does not change the dtype of the leaves. Python numbers
    are returned unchanged, and keep float64 precision until they are combined with an array.
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
    """The count plus one; the largest integer stays, instead of overflowing."""
    largest = jnp.asarray(jnp.iinfo(count.dtype).max - 1, count.dtype)
    return jax.lax.min(count, largest) + 1


def abs_sq(x: jax.Array) -> jax.Array:
    """|x|², real for complex x, and differentiable at zero."""
    if jnp.iscomplexobj(x):
        return jnp.real(x) ** 2 + jnp.imag(x) ** 2
    return x * x


def ema(mean: jax.Array, x: jax.Array, decay: Any) -> jax.Array:
    """Exponential moving average: decay·mean + (1 − decay)·x; 1 − decay in float64 if possible."""
    return decay * mean + (1 - decay) * x


def debias(decay: Any, count: jax.Array) -> jax.Array:
    """Bias correction 1 − decayᵗ, []: a moving average from zero divided by it is unbiased.

    Computed as −expm1(t·log decay): 1 − 0.999ᵗ would lose four digits in float32. Call it once a
    step, outside `leaf`; the result has a weak dtype.
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
    """The same arrays behind a barrier, for a second use, so that XLA on CPU recomputes from them.

    On CPU a loop has one result, and reading twice is cheaper than writing a shared intermediate
    result and reading it. On GPU and TPU one kernel has several results, so there is no barrier.
    """
    barrier = jax.lax.optimization_barrier
    one = lambda x: jax.lax.platform_dependent(x, cpu=barrier, default=lambda x: x)
    # One by one: in `shard_map` they may vary along different axes.
    return jax.tree.map(one, x)


def after(x: jax.Array, *earlier: jax.Array) -> jax.Array:
    """x, computed after `earlier`, so that x does not overwrite state that `earlier` reads.

    Without it XLA on CPU may compute x twice, and copy the state first. The condition never holds,
    which XLA does not know.
    """
    beyond = [jnp.real(y) > jnp.inf for y in earlier]
    never = functools.reduce(jnp.logical_or, beyond)
    return jnp.where(never, jnp.zeros_like(x), x)


def safe_sqrt(x: jax.Array) -> jax.Array:
    """√x for x ≥ 0, with derivative 0 at 0 instead of infinity."""
    zero = x == 0  # not x > 0, so that NaN propagates
    one, nothing = jax.lax.full_like(x, 1), jax.lax.full_like(x, 0)
    return jax.lax.select(zero, nothing, jax.lax.sqrt(jax.lax.select(zero, one, x)))


def safe_divide(x: jax.Array, y: jax.Array) -> jax.Array:
    """Divides x by y; 0 where y is 0, in derivatives too."""
    nonzero = y != 0
    return jnp.where(nonzero, x / jnp.where(nonzero, y, 1), 0)


@functools.partial(jax.jit, static_argnums=(1, 2))
def norm(x: jax.Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False):
    """√Σ|x|² of one array, without overflow or underflow, and differentiable at zero.

    `x` is read once. On CPU and GPU squares of float32 are summed in float64, whether or not JAX is
    configured for it: its range is large enough. Elsewhere three sums are computed, of x, of x
    scaled down and of x scaled up, of which one is in range. The result is float32 or wider.
    """
    x = x if x.dtype == np.float32 else wide(x)
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    if axis is not None:
        axes = tuple(k % x.ndim for k in axes)
    by_three_sums = functools.partial(_norm, axes, False)
    if jnp.finfo(x.dtype).bits != 32:
        length = by_three_sums(x)
    else:  # on a TPU float64 is a pair of float32, with their range
        have_double = dict.fromkeys(("cpu", "cuda", "rocm"), functools.partial(_norm, axes, True))
        length = jax.lax.platform_dependent(x, **have_double, default=by_three_sums)
    return length if keepdims else jnp.squeeze(length, axes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _norm(axes: tuple[int, ...], in_double: bool, x: jax.Array) -> jax.Array:
    """`norm` by one sum in float64, or by three sums, of which one is in range."""
    if {1}.issuperset(map(x.shape.__getitem__, axes)):
        return jnp.abs(x)  # of a scalar XLA would form (2¹⁰⁰)², which is no number times zero
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
    root = safe_sqrt(length).astype(x.dtype)  # used twice: 1 / length may be out of range
    unit = safe_divide(safe_divide(x, root), root)
    return length, jnp.sum(jnp.real(jnp.conj(unit) * dx), axis=axes, keepdims=True)


def divide_by_root(g: jax.Array, v: jax.Array, eps: Any, eps_in_sqrt: bool = False) -> jax.Array:
    """Divides g by √v + eps or √(v + eps), v ≥ 0; 0 / 0 is 0, and derivatives are finite."""
    never_zero = isinstance(eps, (int, float)) and eps > 0  # no guard is needed then
    if eps_in_sqrt:
        root = jnp.sqrt(v + eps) if never_zero else safe_sqrt(v + eps)
    else:
        root = safe_sqrt(v) + eps
    root = root.astype(g.dtype)  # complex if g is
    return g / root if never_zero else safe_divide(g, root)

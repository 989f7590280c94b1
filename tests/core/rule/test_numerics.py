"""Norms, bias corrections, counts and divisions by zero."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.rule import numerics


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_norms_do_not_overflow_where_the_result_is_finite(dtype):
    info = jnp.finfo(dtype)
    for value in (float(info.max) / 4, 1.0, 64 * float(info.tiny)):
        x = {"a": jnp.full((3,), value, dtype), "b": jnp.full((1,), value, dtype)}
        np.testing.assert_allclose(gd.global_norm(x), 2 * np.float64(x["a"][0]), rtol=1e-5)
        g = jax.grad(gd.global_norm)(x)["a"].astype(jnp.float32)
        np.testing.assert_allclose(g, 0.5, rtol=1e-2)


@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-6), ("float64", 1e-15)])
def test_norms_where_nothing_wider_is(dtype, rtol, x64):
    """Of float64, and of float32 on a TPU, one of three sums is in range, whatever the size."""
    info = jnp.finfo(dtype)
    x = np.random.default_rng(0).standard_normal(300)
    for power in np.linspace(info.minexp + 60, info.maxexp - 9, 40).astype(int):
        scaled = np.ldexp(x, power).astype(dtype)
        expected = np.linalg.norm(scaled.astype(np.longdouble))
        for y in (jnp.asarray(scaled), jax.lax.complex(jnp.zeros(300, dtype), jnp.asarray(scaled))):
            found = numerics._norm((0,), False, y)[0]
            np.testing.assert_allclose(found, expected.astype(dtype), rtol=rtol)
    for odd, length in (([np.inf, 1], np.inf), ([np.nan, np.inf], np.nan), ([0, 0], 0)):
        found = numerics._norm((0,), False, jnp.asarray(odd, dtype))
        np.testing.assert_array_equal(found, [length])


def test_norm_of_what_is_not_finite_and_of_nothing():
    assert jnp.isnan(gd.global_norm([jnp.asarray([1.0, jnp.nan])]))
    assert jnp.isinf(gd.global_norm([jnp.asarray([1.0, -jnp.inf])]))
    assert gd.global_norm({}) == 0 and gd.global_norm([jnp.zeros((0,))]) == 0
    assert jnp.all(jax.grad(gd.global_norm)(jnp.zeros(3)) == 0)
    many = [jnp.ones((1 << 14,), jnp.bfloat16)] * 16  # 2¹⁸ ones: bfloat16 sums would stop at 256
    assert gd.global_norm(many) == 512


def test_norms_of_scalars_and_of_one_array_of_zeros_in_float64(x64):
    """XLA multiplies the scales of a scalar, (2⁸⁰⁰)², before it multiplies by the number."""
    zero, one = jnp.zeros([]), jnp.asarray(-3.0)
    assert numerics.norm(zero) == 0 and numerics.norm(one) == 3
    assert numerics.norm(jnp.zeros((3, 1)), 1).tolist() == [0.0, 0.0, 0.0]
    assert gd.global_norm({"w": jnp.zeros(3)}) == 0 and gd.global_norm([zero, one]) == 3
    assert jax.grad(gd.global_norm)({"w": zero})["w"] == 0
    for tx in (gd.clip_by_global_norm(1.0), gd.normalize_by_update_norm()):
        assert not jnp.any(tx.update(jnp.zeros(3), tx.init(jnp.zeros(3)))[0])


def test_bias_correction_keeps_its_digits_in_float32():
    """1 − 0.999ᵗ formed directly loses four digits at the first step."""
    from gdjax.core.rule.numerics import debias

    for decay, t in ((0.999, 1), (0.9999, 3), (0.9, 1000), (0.0, 1), (0.0, 5)):
        exact = 1 - np.float64(decay) ** t
        np.testing.assert_allclose(debias(decay, jnp.asarray(t)), exact, rtol=3e-7)
        as_f32 = np.float64(np.float32(decay))
        traced = jax.jit(debias)(jnp.float32(decay), jnp.asarray(t))
        np.testing.assert_allclose(traced, 1 - as_f32**t, rtol=3e-7)


def test_count_stays_at_the_largest_integer():
    top = jnp.iinfo(jnp.int32).max
    for count, after in ((0, 1), (7, 8), (top - 2, top - 1), (top - 1, top), (top, top)):
        assert numerics.increment(jnp.asarray(count, jnp.int32)) == after


def test_dtypes(x64):
    kinds = {"bfloat16": "float32", "float16": "float32", "float32": "float32"}
    kinds |= {"float64": "float64", "complex64": "complex64"}
    for dtype, wider in kinds.items():
        x = jnp.ones(2, dtype)
        assert numerics.wide_dtype(dtype) == numerics.wide(x).dtype == wider
        for other in kinds:
            assert numerics.like(x.real, jnp.ones(3, other)).dtype == other
        assert numerics.like(2.0, x).dtype == x.dtype and not numerics.like(2.0, x).weak_type
        assert numerics.weak(x[0]) == x[0] and numerics.weak(x[0]).weak_type
    assert numerics.weak(0.1) == 0.1


def test_squares_of_complex_numbers():
    z = jnp.asarray([3 + 4j, -2j, 5])
    np.testing.assert_array_equal(numerics.abs_sq(z), [25, 4, 25])
    np.testing.assert_array_equal(numerics.abs_sq(jnp.asarray([-3.0, 0.5])), [9, 0.25])


@pytest.mark.parametrize("eps", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("traced", [False, True])
def test_divisions_by_roots(eps, traced):
    """eps a number or an array; 0 / 0 is 0; with finite derivatives."""
    g, v = jnp.asarray([3.0, -2.0, 0.0]), jnp.asarray([9.0, 0.25, 0.0])
    eps = jnp.asarray(eps) if traced else eps
    outside = np.divide(g, np.sqrt(v) + eps, out=np.zeros(3), where=np.sqrt(v) + eps != 0)
    inside = np.divide(g, np.sqrt(v + eps), out=np.zeros(3), where=v + eps != 0)
    np.testing.assert_allclose(numerics.divide_by_root(g, v, eps), outside, rtol=1e-6)
    np.testing.assert_allclose(numerics.divide_by_root(g, v, eps, True), inside, rtol=1e-6)
    for eps_in_sqrt in (False, True):
        f = lambda g, v, way=eps_in_sqrt: jnp.sum(numerics.divide_by_root(g, v, eps, way))
        assert all(np.isfinite(slope).all() for slope in jax.grad(f, (0, 1))(g, v))


def test_zero_over_zero_is_zero_and_has_a_slope_of_zero():
    from gdjax.core.rule.numerics import safe_divide, safe_sqrt

    zero = jnp.zeros([])
    assert safe_divide(zero, zero) == 0 and safe_sqrt(zero) == 0
    assert safe_divide(zero + 6.0, zero + 2.0) == 3 and safe_sqrt(zero + 9.0) == 3
    slopes = jax.grad(safe_divide, argnums=(0, 1))(zero, zero), jax.grad(safe_sqrt)(zero)
    assert jax.tree.leaves(slopes) == [0, 0, 0]
    assert jnp.isnan(safe_sqrt(zero + jnp.nan))

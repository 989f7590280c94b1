"""Roundings to 16 bits: to the nearest and by chance, and updates that land on them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.lowbit import rounding
from tests.core.lowbit.pairs import both_halves, given, pairs, rounded


@both_halves
def test_roundings_to_the_nearest_are_those_of_the_hardware(dtype):
    p, u = pairs(dtype)
    x = np.concatenate([p.astype(np.float32) + u, [0.0, -0.0, 65503.0, 65520.0, np.inf, 1e-7]])
    x = x.astype(np.float32)
    ours = np.asarray(rounding.nearest(jnp.asarray(x), dtype))
    np.testing.assert_array_equal(ours, rounded(x, dtype).astype(np.float32))
    assert np.isnan(rounding.nearest(jnp.asarray(np.nan, jnp.float32), dtype))


@both_halves
def test_an_update_lands_on_the_rounding_of_its_sum(dtype):
    """Whatever exponents, and whoever adds: gdjax, optax, NumPy."""
    optax = pytest.importorskip("optax")
    p, u = pairs(dtype)
    wanted = p.astype(np.float32) + u
    q = rounded(wanted, dtype)
    finite = np.isfinite(q.astype(np.float32))
    d, got = rounding.land(jnp.asarray(p.astype(np.float32)), wanted, q.astype(np.float32), dtype)
    there = {
        "gdjax": gd.apply_updates(jnp.asarray(p), d),
        "numpy": rounded(p.astype(np.float32) + np.asarray(d), dtype),
    }
    with jax.numpy_dtype_promotion("standard"):
        there["optax"] = optax.apply_updates(jnp.asarray(p), d)
    for who, where in there.items():
        np.testing.assert_array_equal(np.asarray(where), q, err_msg=who)
    np.testing.assert_array_equal(got, q.astype(np.float32))
    assert finite.mean() > 0.9


def test_an_update_to_what_is_not_finite_leads_to_what_was_wanted():
    p, wanted = jnp.float32(65000.0), jnp.float32(65530.0)
    for q in (jnp.inf, 65536.0):  # beyond float16 both
        d, got = rounding.land(p, wanted, jnp.float32(q), jnp.float16)
        assert d == wanted - p and got == jnp.inf


def test_an_update_has_the_derivatives_of_what_was_wanted():
    d = lambda p, wanted: rounding.land(p, wanted, jnp.float32(1.5), jnp.float16)[0]
    slopes = jax.grad(d, argnums=(0, 1))(jnp.float32(1.0), jnp.float32(1.4999))
    assert slopes == (-1.0, 1.0)


@pytest.mark.parametrize("sign", [-1, 1])
def test_eight_roundings_of_float32_are_no_difference(sign):
    x, other = jnp.asarray([1.0, -3.0, 1e-20], jnp.float32), jnp.float32(7)
    for units, same in ((2, True), (3, True), (5, False)):  # of 2⁻²³; 2⁻²¹ are four
        near = x * (1 + sign * units * np.float32(2**-23))
        np.testing.assert_array_equal(rounding.settled(x, near, other), np.where(same, near, other))


def test_what_is_reached_is_told_where_it_is_not_what_was_wanted():
    """A number far below p that is no rounding of a float32 sum with p: d would have 25 bits."""
    p = jnp.asarray(1.0, jnp.bfloat16)
    q = jnp.asarray(-3 * 2.0**-24, jnp.float32)
    d, got = rounding.land(p.astype(jnp.float32), q, q, p.dtype)
    reached = gd.apply_updates(p, d).astype(jnp.float32)
    assert reached == got != q and abs(got - q) <= 2**-24
    state = gd.compensated(given).init(p)._replace(compensation=jnp.asarray(-(2.0**-10), p.dtype))
    after, state = gd.compensated(given).step(-(1 - 2.0**-10) + q, state, p)  # 0.999… to q
    assert float(after) + float(state.compensation) == float(q) != float(after)


@both_halves
def test_stochastic_roundings_are_the_two_neighbours_and_right_on_average(dtype):
    info, n = jnp.finfo(dtype), 1 << 16
    for x in (1.0 + 0.3 * float(info.eps), -2.7, 3e-4, 0.9999):
        (seed,) = rounding.seeds(jnp.array([3, 5], jnp.uint32), [7])
        bits = rounding.random_bits(seed, (n,))
        drawn = np.asarray(
            rounding.stochastic(jnp.full(n, x, jnp.float32), dtype, bits), np.float64
        )
        x = float(np.float32(x))
        step = float(rounding.spacing(jnp.asarray(x, jnp.float32), dtype))
        assert set(drawn) == {np.floor(x / step) * step, np.ceil(x / step) * step}
        part = x / step - np.floor(x / step)
        sigma = step * np.sqrt(part * (1 - part) / n)
        assert abs(drawn.mean() - x) < 4 * sigma
    exact = jnp.asarray([1.0, -0.5, 0.0, 3.0])
    np.testing.assert_array_equal(
        rounding.stochastic(exact, dtype, jnp.zeros(4, jnp.uint32)), np.asarray(exact)
    )


def test_random_bits_are_even_and_not_alike():
    words = lambda *key, salt=1: rounding.seeds(jnp.array(key, jnp.uint32), [5, salt])[1]
    draw = lambda *key, **salt: np.asarray(rounding.random_bits(words(*key, **salt), (64, 1024)))
    bits = draw(1, 2)
    assert bits[63, [0, 1022, 1023]].tolist() == [971761413, 742251880, 2795888638]
    n = bits.size
    for k in range(8, 32):  # those that are used; 5 sigma of a coin
        assert abs(((bits >> k) & 1).mean() - 0.5) < 2.5 / np.sqrt(n)
    uniform = lambda b: (b >> 8).ravel() / 2**24 - 0.5
    for other in (
        draw(1, 3),
        draw(2, 2),
        draw(1, 2, salt=2),
        np.roll(bits, 1),
        np.roll(bits, 1, 0),
    ):
        assert abs(12 * np.mean(uniform(bits) * uniform(other))) < 5 / np.sqrt(n)

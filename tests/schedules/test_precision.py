"""Exact ends, whole steps and digits, compiled with lengths as constants."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.schedules.basic import (
    linear_schedule,
)
from gdjax.schedules.cosine import (
    cosine_decay_schedule,
    cosine_restarts_schedule,
)
from gdjax.schedules.cycles import (
    cosine_cycle_schedule,
    triangular_schedule,
)
from gdjax.schedules.decays import exponential_decay
from gdjax.schedules.interpolation import after, real, snap_to_step, whole
from tests.schedules.rows import restarts

LENGTHS = [*range(1, 12), 41, 47, 49, 55, 61, 83, 97, 107, 127, 1000, 4095, 99_991]


@functools.partial(jax.jit, static_argnums=0)
def _all_of(what, offset):
    return jnp.stack([what(n)(n * jnp.array([1, 3, 7]) + offset) for n in LENGTHS])


@pytest.mark.parametrize(
    "make, want",
    [
        (lambda n: linear_schedule(0.3, 0.1, n), 0.1),
        (lambda n: cosine_decay_schedule(0.3, n), 0.0),
        (lambda n: cosine_cycle_schedule(0.3, 0.1, n), 0.1),
        (lambda n: triangular_schedule(0.1, 0.3, n), 0.3),
        (lambda n: triangular_schedule(0.1, 0.3, n, n + 1), None),
    ],
)
def test_ends_are_exact_for_every_length(make, want):
    got = _all_of(make, 0)
    if want is not None:
        np.testing.assert_array_equal(got, np.float32(want))
    assert np.isfinite(got).all()


def test_staircases_have_their_steps_where_they_should():
    at = _all_of(lambda n: exponential_decay(1.0, n, 0.5, staircase=True), 0)
    before = _all_of(lambda n: exponential_decay(1.0, n, 0.5, staircase=True), -1)
    np.testing.assert_allclose(at, np.tile([0.5, 0.125, 0.5**7], (len(LENGTHS), 1)), rtol=1e-6)
    np.testing.assert_allclose(before, np.tile([1, 0.25, 0.5**6], (len(LENGTHS), 1)), rtol=1e-6)


@pytest.mark.parametrize("mult", [1, 1.5, 2, 3])
@pytest.mark.parametrize("first", [1, 3, 7, 10, 49, 100])
def test_restarts_are_where_they_should_be(first, mult):
    """At the first whole step of each cycle a new one has begun, at the step before it has not."""
    begins = [first * (mult**i - 1) / (mult - 1) if mult > 1 else first * i for i in range(1, 9)]
    steps = np.ceil(np.array(begins))
    steps = np.array([*steps, *(steps - 1)])
    s = cosine_restarts_schedule(1.0, first, mult)
    want = [restarts(t, 1.0, first, mult, 1.0, 0.0) for t in steps]
    np.testing.assert_allclose(s(steps), want, rtol=1e-3, atol=1e-5)
    if first in (10, 49):
        np.testing.assert_allclose(jax.jit(s)(steps), want, rtol=1e-3, atol=1e-5)


def test_the_derivative_by_the_growth_of_equal_cycles(x64):
    """Equal cycles have a formula of their own, whose derivative is the limit of the other's."""
    slope = jax.grad(lambda m: cosine_restarts_schedule(1.0, 10, m)(37))
    np.testing.assert_allclose(slope(1.0), slope(1.0 + 1e-6), rtol=1e-4)


def test_digits_near_the_end():
    """(1 + cos πx)/2 in float32 has none left here."""
    left = np.array([1, 3, 10, 100])
    got = cosine_decay_schedule(1.0, 100_000)(100_000 - left)
    np.testing.assert_allclose(got, np.sin(np.pi / 2 * left / 1e5) ** 2, rtol=1e-6)


def test_digits_of_a_decay_of_many_small_factors():
    np.testing.assert_allclose(exponential_decay(1.0, 1, 0.999)(30_000), 0.999**30_000, rtol=3e-6)


LARGE = 2**25  # float32 has no 2²⁵ + 1
AT_LARGE = {
    "piecewise_constant": (gd.piecewise_constant_schedule(1.0, {LARGE + 1: 0.1}), 1, (1.0, 0.1)),
    "piecewise_interpolate": (
        gd.piecewise_interpolate_schedule("linear", 1.0, {LARGE: 1.0, LARGE + 2: 0.5}),
        1,
        (1.0, 0.75),
    ),
    "join": (gd.join_schedules([1.0, gd.linear_to_zero(0.5, 4)], [LARGE + 1]), 2, (1.0, 0.375)),
    "warmup": (gd.warmup(gd.linear_to_zero(0.5, 4), LARGE + 1, 0.5), 2, (0.5, 0.375)),
    "linear": (gd.linear_schedule(1.0, 0.0, 4, LARGE + 1), 2, (1.0, 0.75)),
    "polynomial": (gd.polynomial_schedule(1.0, 0.0, 2, 4, LARGE + 1), 2, (1.0, 0.5625)),
    "staircase": (
        gd.exponential_decay(1.0, 2, 0.5, LARGE + 1, staircase=True),
        3,
        (1.0, 0.5),
    ),
    "decay": (gd.exponential_decay(1.0, 1, 0.5, LARGE + 1), 2, (1.0, 0.5)),
    "triangles": (gd.triangular_schedule(0.0, 1.0, 2**10, 2**10 + 1), 16384, None),
    "cosine cycles": (gd.cosine_cycle_schedule(1.0, 0.0, LARGE + 1), 1, (0.0, 0.0)),
    "scaled": (
        gd.scaled_schedule(gd.piecewise_constant_schedule(2.0, {LARGE + 1: 0.1}), 0.5),
        1,
        (1.0, 0.1),
    ),
}


@pytest.mark.parametrize("name", AT_LARGE)
def test_whole_steps_are_compared_as_integers(name):
    made, after, want = AT_LARGE[name]
    values = jax.jit(made)(jnp.asarray([LARGE, LARGE + after], jnp.int32))
    if want is None:  # of a cycle the place is asked
        period = 2**11 + 1
        expected = [made(t % period) for t in (LARGE, LARGE + after)]
        np.testing.assert_array_equal(values, expected)
    else:
        np.testing.assert_allclose(values, want, rtol=1e-6)


def test_a_count_in_training_goes_past_what_float32_holds():
    tx = gd.scale_by_schedule(gd.piecewise_constant_schedule(1.0, {LARGE + 1: 0.1}))
    state = jax.tree.map(lambda count: count + LARGE, tx.init(jnp.zeros(())))
    first, state = tx.update(jnp.ones(()), state)
    second, _ = tx.update(jnp.ones(()), state)
    np.testing.assert_allclose([first, second], [1.0, 0.1])


@pytest.mark.parametrize(
    ("first", "mult", "restart"), [(1, 2, 8191), (533, 2, 8732139)], ids=["early", "late"]
)
def test_a_logarithm_rounded_to_another_cycle_is_corrected(first, mult, restart):
    """float32's logarithm places 8191 in the cycle before, and 8732138 in the one after."""
    schedule = cosine_restarts_schedule(1.0, first, mult, decay=0.5)
    cycle = round(np.log2(restart / first + 1))
    np.testing.assert_allclose(schedule(restart), 0.5**cycle, rtol=1e-5)
    assert 0 < schedule(restart - 1) < 1e-3 * 0.5**cycle


@pytest.mark.parametrize(
    "schedule",
    [
        gd.linear_onecycle_schedule(10, 1.0, 0.3, 1.0, 4.0, 100.0),
        gd.cosine_onecycle_schedule(10, 1.0, 1.0, 4.0, 100.0),
    ],
    ids=["linear", "cosine"],
)
def test_a_cycle_without_a_last_phase_ends_at_the_last_value(schedule):
    np.testing.assert_allclose(schedule(10), 1 / 4 / 100, rtol=1e-6)


LARGEST = 2**31 - 1  # of int32


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        *((16_777_217, 16_777_217), (np.int32(5), 5), (5.0, 5), (np.float32(5), 5), (0.0, 0)),
        *((LARGEST, LARGEST), (-LARGEST, -LARGEST), (LARGEST + 1, None), (-LARGEST - 1, None)),
        *((2.5, None), (-0.5, None), (np.inf, None), (np.nan, None), (np.arange(2), None)),
    ],
)
def test_whole_numbers_that_fit_into_int32(x, expected):
    assert whole(x) == expected


@pytest.mark.parametrize("kind", [int, float, np.int32, np.float64])
def test_steps_after_a_whole_number_are_exact(kind):
    place = 16_777_217  # float32 has no such number
    assert after(jnp.asarray(place + 2), kind(place)) == 2
    assert after(jnp.asarray(LARGEST), kind(LARGEST)) == 0


@pytest.mark.parametrize("place", [2.5, LARGEST + 1, 2**40, -(2**40)])
def test_steps_after_other_numbers_are_floats(place):
    assert after(jnp.asarray(4), place) == np.float32(4 - place)


@pytest.mark.parametrize("x", [5, -LARGEST, LARGEST, LARGEST + 1, -LARGEST - 1, 2**40, 2.5])
def test_numbers_that_do_not_fit_into_int32_become_floats(x):
    assert real(x) == x
    assert type(real(x)) is (float if abs(x) > LARGEST else type(x))


@pytest.mark.parametrize("kind", [float, np.float32])
@pytest.mark.parametrize("off", [-33, -32, -1, 1, 32, 33])
def test_lengths_within_32_roundings_of_a_step_are_that_step(kind, off):
    """Relative to the length, which is a little above or below 1."""
    x = kind(1 + off * np.finfo(kind).eps)
    assert snap_to_step(x) == (1 if abs(1 - x) <= 32 * np.finfo(kind).eps * x else x)
    assert snap_to_step(kind(2.5)) == 2.5
    assert snap_to_step(kind(1000) * (1 + kind(off / 8) * np.finfo(kind).eps)) == 1000

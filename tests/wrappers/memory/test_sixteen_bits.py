"""Parameters of 16 bits: where they land, what is kept of them, and that nothing is lost."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.lowbit import rounding
from tests.core.lowbit.pairs import both_halves, given, pairs, rounded
from tests.helpers import first, mesh_of

MAKE = {
    "stochastic": functools.partial(gd.stochastic_rounding, key=0),
    "master": gd.with_master_weights,
    "compensated": gd.compensated,
    "split": gd.with_split_weights,
    "split-key": functools.partial(gd.with_split_weights, key=0),
}


every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)

KEEPING = ["master", "compensated", "split", "split-key"]


def weights(params, state):
    """What parameters and state stand for together."""
    wide = jnp.asarray(params).astype(jnp.float32)
    if hasattr(state, "master"):
        return state.master
    if hasattr(state, "compensation"):
        return wide + state.compensation.astype(jnp.float32)
    if hasattr(state, "residual"):
        half = rounding.spacing(wide, params.dtype) / 2
        return wide + state.residual.astype(jnp.float32) / 127 * half
    return wide


def drift(tx, noise, dtype=jnp.bfloat16, n=4096, steps=1000):
    params = jnp.ones(n, dtype)

    def body(carry, key):
        g = 1 + noise * jax.random.uniform(key, (n,), minval=-1)
        return tx.step(g, carry[1], carry[0]), None

    keys = jax.random.split(jax.random.key(0), steps)
    return jax.lax.scan(body, (params, tx.init(params)), keys)[0]


def test_plain_parameters_do_not_move():
    params, _ = drift(gd.sgd(1e-4), 1.0)
    assert (params == 1.0).all()


@pytest.mark.slow
@every
def test_a_thousand_small_steps_arrive(make):
    """4096 coordinates, steps of 1e-4 on average: 0.9. The spread alone has an error of 3e-5."""
    params, _ = drift(make(gd.sgd(1e-4)), 1.0)
    assert params.dtype == jnp.bfloat16
    assert abs(float(params.astype(jnp.float32).mean()) - 0.9) < 1e-3


@pytest.mark.parametrize("name", first(1, ["stochastic", "master", "compensated", "split-key"]))
def test_a_thousand_equal_steps_arrive(name):
    """No spread that would even out the roundings."""
    params, state = drift(MAKE[name](gd.sgd(1e-4)), 0.0)
    assert abs(float(weights(params, state).mean()) - 0.9) < 1e-3


def test_equal_steps_of_split_weights_are_wrong_by_their_rounding_at_most():
    params, state = drift(MAKE["split"](gd.sgd(1e-4)), 0.0)
    error = abs(float(weights(params, state).mean()) - 0.9)
    assert 1e-3 < error < 1000 * 2**-8 / 508


@both_halves
@pytest.mark.parametrize("name", KEEPING)
def test_the_weight_is_known_that_well(name, dtype):
    """|w − (θ + what is kept)| is a 1024th, or a 508th (by chance a 254th), of the spacing of θ."""
    p, u = pairs(dtype, 1)
    wanted = p.astype(np.float32) + u
    # Below, what rounding loses has bits under 2⁻¹²⁶, which many devices take for 0.
    ok = np.isfinite(rounded(wanted, dtype).astype(np.float32)) & (np.abs(wanted) > 2.0**-100)
    p, u, wanted = jnp.asarray(p[ok]), jnp.asarray(u[ok]), wanted[ok]
    tx = MAKE[name](given)
    params, state = tx.step(u, tx.init(p), p)
    np.testing.assert_array_equal(np.asarray(params), rounded(wanted, dtype))
    unit = np.asarray(rounding.spacing(params.astype(jnp.float32), dtype), np.float64)
    error = np.abs(np.asarray(weights(params, state), np.float64) - wanted) / unit
    bound = {"master": 0, "compensated": 1 / 1024, "split": 1 / 508, "split-key": 1 / 254}[name]
    slack = 2.0**-14 if dtype == jnp.bfloat16 else 2.0**-11  # of float32 beside 8 or 11 bits
    assert error.max() <= bound * (1 + slack) + slack * (bound > 0)
    assert bound == 0 or error.max() > bound / 2  # and no better


@both_halves
@pytest.mark.parametrize("name", KEEPING + ["stochastic"])
def test_bytes(name, dtype):
    tx, params = MAKE[name](gd.sgd(0.1)), {"w": jnp.ones((8, 4), dtype), "f": jnp.ones(100)}
    state = jax.eval_shape(tx.init, params)
    kept = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state) if x.shape == (8, 4))
    total = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    each = {"master": 4, "compensated": 2, "split": 1, "split-key": 1, "stochastic": 0}[name]
    assert kept == each * 32 and total - kept <= 12  # a count and a key


@pytest.mark.slow
@every
def test_one_program_and_many_are_one(make):
    """XLA may not take roundings out: three steps in one program are three calls."""
    tx = make(given)  # a product might be rounded otherwise in another program
    params = jnp.linspace(0.1, 2.0, 100).astype(jnp.bfloat16)
    grads = [1e-3 * jnp.cos(t + jnp.arange(100.0)) for t in range(3)]

    def three(params, state, grads):
        for g in grads:
            params, state = tx.step(g, state, params)
        return params, state

    calls = three(params, tx.init(params), grads)
    together = jax.jit(three)(params, tx.init(params), grads)
    jax.tree.map(np.testing.assert_array_equal, together, calls)
    updates, state = tx.update(grads[0], tx.init(params), params)
    assert updates.dtype == jnp.float32
    jax.tree.map(
        np.testing.assert_array_equal,
        (gd.apply_updates(params, updates), state),
        tx.step(grads[0], tx.init(params), params),
    )


@every
def test_other_leaves_are_as_without(make):
    params = {
        "half": jnp.linspace(0.5, 1.0, 6).astype(jnp.bfloat16),
        "other": jnp.ones((), jnp.float16),
        "full": jnp.ones((2, 2)),
        "z": jnp.ones(2, jnp.complex64),
        "n": jnp.arange(3),
        "none": None,
    }
    grads = jax.tree.map(lambda p: 0.1 * jnp.ones_like(p), {**params, "n": None})
    grads["n"] = np.zeros(3, jax.dtypes.float0)
    inner = gd.sgd(0.1, momentum=0.9)
    tx = make(inner)
    updates, state = tx.update(grads, tx.init(params), params)
    expected, _ = inner.update(grads, inner.init(params), params)
    for name in ("full", "z"):
        np.testing.assert_array_equal(updates[name], expected[name])
    moved = gd.apply_updates(params, updates)
    assert moved["none"] is None and moved["half"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(moved["n"], jnp.arange(3))
    assert not np.array_equal(moved["half"], params["half"])
    kept = getattr(state, "master", getattr(state, "residual", getattr(state, "compensation", {})))
    assert [name for name in kept if kept[name] is not None] == ["half", "other"][: len(kept)]
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((tx.init(params), params))]
    assert len(set(pointers)) == len(pointers)


@every
def test_overflow_and_nan_stay_what_they_are(make):
    """As plain updates do; what is kept stays finite and so does the next step's update."""
    tx = make(given)
    params = jnp.asarray([6e4, 6e4, 1.0], jnp.float16)
    u = jnp.asarray([1e5, jnp.nan, 1.0])
    moved, state = tx.step(u, tx.init(params), params)
    np.testing.assert_array_equal(moved, np.array([np.inf, np.nan, 2.0], np.float16))
    kept = getattr(state, "compensation", getattr(state, "residual", jnp.zeros(())))
    assert not kept.any()


def test_what_is_kept_of_the_largest_numbers():
    """Twice the parameter is infinite, a 64th of the spacing of its dtype, 2¹²⁰, is not."""
    p, u = jnp.asarray(2.0**127, jnp.bfloat16), jnp.asarray(2.0**114)
    tx = gd.compensated(given)
    moved, state = tx.step(u, tx.init(p), p)
    assert moved == p and state.compensation.astype(jnp.float32) == u


@pytest.mark.parametrize("sign", [1, -1])
def test_the_residual_of_split_weights_stays_in_its_range(sign):
    """Where p + d is rounded to 24 bits, far from p: the sum lies 32 spacings from its rounding."""
    p = jnp.asarray(sign * 1.0, jnp.bfloat16)
    tx = gd.with_split_weights(given)
    state = tx.init(p)._replace(residual=jnp.asarray(-127 * sign, jnp.int8))
    u = -sign * jnp.asarray(1 - 2.0**-8 + 3 * 2.0**-24, jnp.float32)  # to −3·2⁻²⁴
    moved, state = tx.step(u, state, p)
    assert moved.astype(jnp.float32) == -sign * 2.0**-22 and state.residual == 127 * sign


@every
def test_zero_updates_move_nothing(make):
    params = jnp.linspace(-2, 2, 99).astype(jnp.bfloat16)
    tx = make(gd.set_to_zero())
    updates, _ = tx.update(params, tx.init(params), params)
    assert (updates == 0).all()


@pytest.mark.slow
@every
def test_composed(make):
    """Inside of an accumulation, around a chain, beneath an average."""
    inner = gd.chain(gd.clip_by_global_norm(1.0), gd.adam(1e-2))
    tx = gd.with_ema(gd.accumulate(make(inner), 2), 0.5)
    alone, params = make(inner), jnp.linspace(0.5, 1.5, 50).astype(jnp.bfloat16)
    state, expected, theirs = tx.init(params), params, alone.init(params)
    points = []
    for t in range(3):
        g = jnp.cos(t + jnp.arange(50.0))
        expected, theirs = alone.step(g, theirs, expected)
        points.append(expected.astype(jnp.float32))
        for _ in range(2):
            params, state = tx.step(g, state, params)
    np.testing.assert_array_equal(params, expected)
    mean = (points[0] + 2 * points[1] + 4 * points[2]) / 7
    np.testing.assert_allclose(gd.state.find(state, "average"), mean, rtol=1e-6)


@pytest.mark.slow
@every
def test_derivatives_are_those_of_what_is_not_rounded(make):
    params = jnp.asarray([1.0, 0.5], jnp.bfloat16)

    def end(rate, make):
        tx = make(gd.sgd(rate))
        updates, _ = tx.update(jnp.asarray([3.0, 4.0]), tx.init(params), params)
        return updates.sum()

    slope = jax.grad(end)(0.1, make)
    np.testing.assert_allclose(slope, -7.0, rtol=1e-6)


@every
def test_parameters_are_needed(make):
    tx = make(gd.sgd(0.1))
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_a_key_is_a_seed_or_a_key():
    for make in (gd.stochastic_rounding, gd.with_split_weights):
        with pytest.raises(TypeError, match="key must be"):
            make(gd.sgd(0.1), key="seed")
    params = jnp.ones(4096, jnp.bfloat16)
    ends = []
    for key in (0, jax.random.key(0), jax.random.key(0, impl="rbg"), 1):
        tx = gd.stochastic_rounding(gd.sgd(1e-3), key)
        ends.append(tx.step(params, tx.init(params), params)[0])
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(ends[0], ends[2])
    assert (ends[0] != ends[3]).any()


@pytest.mark.parametrize("name", first(1, ["stochastic", "split-key"]))
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_chance_does_not_depend_on_how_arrays_lie(name, kind):
    mesh = mesh_of(kind, (4, 2), ("x", "y"))
    tx = MAKE[name](given)  # a product might be rounded otherwise in a program of another layout
    params = jnp.linspace(0.1, 2.0, 16 * 8).reshape(16, 8).astype(jnp.bfloat16)
    grads = 1e-3 * jnp.sin(jnp.arange(16.0 * 8)).reshape(16, 8)

    @jax.jit
    def two(params, grads):
        state = tx.init(params)
        for _ in range(2):
            params, state = tx.step(grads, state, params)
        return params, jax.tree.leaves(state)

    expected = two(params, grads)
    for spec in (("x", "y"), (("x", "y"), None), (None, "x")):
        there = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))
        ours = two(jax.device_put(params, there), jax.device_put(grads, there))
        assert ours[0].sharding.is_equivalent_to(there, 2)
        jax.tree.map(np.testing.assert_array_equal, ours, expected)

"""Exact laws of the seminar: thresholds of stability, first steps, decay, and rounding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.rule import numerics


def run(tx, grad, start, steps):
    """Parameters of all steps, [steps + 1, ...]."""

    def body(carry, t):
        params, state = carry
        after = tx.step(grad(params), state, params)
        return after, after[0]

    _, path = jax.lax.scan(body, (start, tx.init(start)), length=steps)
    return jnp.concatenate([start[None], path])


def threshold(make, curvature, low, high, steps=4000):
    """The largest rate under which λx²/2 does not grow, by bisection, to 1e-5."""

    @jax.jit
    def grows(rate):
        path = run(make(rate), lambda x: curvature * x, jnp.asarray(1.0), steps)
        return ~(jnp.max(jnp.abs(path[-50:])) < 1e3)

    while high - low > 1e-5 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) else (middle, high)
    return (low + high) / 2


@pytest.mark.parametrize("curvature", [1.0, 7.0])
@pytest.mark.parametrize(
    "label, make, law",
    [
        ("descent", lambda r: gd.sgd(r), lambda b: 2),
        ("heavy ball", lambda r: gd.sgd(r, 0.9), lambda b: 2 * (1 + b)),
        ("averaged", lambda r: gd.momentum(r, 0.9), lambda b: 2 * (1 + b) / (1 - b)),
        ("nesterov", lambda r: gd.sgd(r, 0.9, True), lambda b: 2 * (1 + b) / (1 + 2 * b)),
    ],
)
def test_threshold_of_stability(label, make, law, curvature, x64):
    expected = law(0.9) / curvature
    found = threshold(make, curvature, 0.5 * expected, 1.5 * expected)
    assert found == pytest.approx(expected, rel=2e-3)


def test_thresholds_of_the_seminar():
    laws = [2, 2 * 1.9, 2 * 1.9 / 0.1, 2 * 1.9 / 2.8]
    assert np.round(laws, 3).tolist() == [2, 3.8, 38, 1.357]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_first_step_of_adam_is_the_rate_times_the_sign(scale, x64):
    grads = jnp.asarray([3.0, -0.5, 0.0]) * scale
    tx = gd.adam(0.01, eps=0.0)
    updates, _ = tx.update(grads, tx.init(grads))
    np.testing.assert_allclose(updates, -0.01 * np.sign(grads), rtol=1e-14)


def test_adam_moves_by_about_the_rate_at_most():
    key = jax.random.key(0)
    grads = jax.random.normal(key, (200, 50)) * 10 ** jax.random.normal(key, (1, 50))
    tx = gd.adam(0.01)

    def body(state, g):
        updates, state = tx.update(g, state)
        return state, updates

    _, updates = jax.lax.scan(body, tx.init(grads[0]), grads)
    assert jnp.max(jnp.abs(updates)) < 0.01 * 1.5


def test_zero_gradients_under_adamw_shrink_exactly(x64):
    params = jnp.asarray([1.0, -3.0])
    path = run(gd.adamw(0.1, weight_decay=0.2), jnp.zeros_like, params, 40)
    expected = np.asarray(params) * (1 - 0.1 * 0.2) ** np.arange(41)[:, None]
    np.testing.assert_allclose(path, expected, rtol=1e-13)


def test_decay_under_momentum_adds_up_but_not_when_decoupled(x64):
    """At zero gradients L2 in the velocity pulls 1/(1 − μ) times as much as decoupled decay."""
    start, steps, rate, lam, mu = jnp.asarray(1.0), 400, 1e-3, 1e-2, 0.9
    l2 = gd.chain(gd.add_decayed_weights(lam), gd.sgd(rate, mu))
    beside = gd.chain(gd.trace(mu), gd.add_decayed_weights(lam), gd.scale_by_learning_rate(rate))
    pull = [-jnp.log(run(tx, jnp.zeros_like, start, steps)[-1]) for tx in (l2, beside)]
    np.testing.assert_allclose(pull[1], -steps * np.log(1 - rate * lam), rtol=1e-10)
    # Ten times as much, but for the velocity's first μ/(1 − μ) = 9 steps of building up.
    np.testing.assert_allclose(pull[0] / pull[1], 10 * (steps - 9) / steps, rtol=2e-3)


def test_adagrad_steps_decay_like_one_over_root_t(x64):
    path = run(gd.adagrad(0.5, eps=0.0), lambda x: jnp.full_like(x, 3.0), jnp.asarray(0.0), 100)
    steps = -np.diff(np.asarray(path))
    np.testing.assert_allclose(steps, 0.5 / np.sqrt(np.arange(1, 101)), rtol=1e-12)


def test_momentum_is_sgd_with_another_rate(x64):
    grad = lambda x: jnp.asarray([1.0, 10.0]) * x
    start = jnp.asarray([1.0, -1.0])
    averaged = run(gd.momentum(0.5, decay=0.9), grad, start, 50)
    heavy = run(gd.sgd(0.5 * (1 - 0.9), momentum=0.9), grad, start, 50)
    np.testing.assert_allclose(averaged, heavy, rtol=1e-12, atol=1e-15)


# The law of numbers.


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_norms_do_not_overflow_where_the_result_is_finite(dtype):
    info = jnp.finfo(dtype)
    for value in (float(info.max) / 4, 1.0, 64 * float(info.tiny)):
        x = {"a": jnp.full((3,), value, dtype), "b": jnp.full((1,), value, dtype)}
        np.testing.assert_allclose(gd.global_norm(x), 2 * np.float64(x["a"][0]), rtol=1e-5)
        g = jax.grad(gd.global_norm)(x)["a"].astype(jnp.float32)
        np.testing.assert_allclose(g, 0.5, rtol=1e-2)


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1e300])
def test_norms_where_nothing_wider_is(scale, x64, monkeypatch):
    """Of float64, and of float32 on a TPU, the entries are divided by the largest first."""
    double = numerics.norm(jnp.asarray([3.0, -4.0]) * scale)
    np.testing.assert_allclose(double, 5.0 * scale, rtol=1e-15)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    single = jnp.asarray([3.0, -4.0], jnp.float32) * np.float32(scale**0.12)  # 1e-36 to 1e36
    expected = np.linalg.norm(np.asarray(single, np.float64))
    with jax.disable_jit():
        np.testing.assert_allclose(numerics.norm(single), expected, rtol=1e-6)


def test_norm_of_what_is_not_finite_and_of_nothing():
    assert jnp.isnan(gd.global_norm([jnp.asarray([1.0, jnp.nan])]))
    assert jnp.isinf(gd.global_norm([jnp.asarray([1.0, -jnp.inf])]))
    assert gd.global_norm({}) == 0 and gd.global_norm([jnp.zeros((0,))]) == 0
    assert jnp.all(jax.grad(gd.global_norm)(jnp.zeros(3)) == 0)
    many = [jnp.ones((1 << 14,), jnp.bfloat16)] * 16  # 2¹⁸ ones: bfloat16 sums would stop at 256
    assert gd.global_norm(many) == 512


def test_norm_inside_of_shard_map():
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    x = jnp.arange(16.0)
    clip = gd.clip_by_global_norm(1.0, axis_name="d")
    local = lambda g: clip.update(g, clip.init(g))[0]
    out = jax.shard_map(local, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(x)
    np.testing.assert_allclose(out, x / jnp.linalg.norm(x), rtol=1e-6)


def test_clip_by_zero_norm_is_zero():
    tx = gd.clip_by_global_norm(0.0)
    updates, _ = tx.update(jnp.asarray([3.0, 4.0]), tx.init(jnp.zeros(2)))
    assert jnp.all(updates == 0)


def test_updates_stay_wide_and_are_rounded_once():
    """Two halves of a unit in the last place: rounded between the stages, both would be lost."""
    params = jnp.ones((2,), jnp.bfloat16)
    grads = jnp.full((2,), 2.0**-8, jnp.bfloat16)
    tx = gd.chain(gd.add_decayed_weights(2.0**-8), gd.sgd(1.0))
    updates, _ = tx.update(grads, tx.init(params), params)
    assert updates.dtype == jnp.float32
    assert jnp.all(gd.apply_updates(params, updates) == jnp.asarray(1 - 2.0**-7, jnp.bfloat16))


def test_bias_correction_keeps_its_digits_in_float32():
    """1 − 0.999ᵗ formed directly loses four digits at the first step."""
    from gdjax.core.rule.numerics import debias

    for decay, t in ((0.999, 1), (0.9999, 3), (0.9, 1000), (0.0, 1)):
        exact = 1 - np.float64(decay) ** t
        np.testing.assert_allclose(debias(decay, jnp.asarray(t)), exact, rtol=3e-7)
        as_f32 = np.float64(np.float32(decay))
        traced = jax.jit(debias)(jnp.float32(decay), jnp.asarray(t))
        np.testing.assert_allclose(traced, 1 - as_f32**t, rtol=3e-7)


def test_count_stays_at_the_largest_integer():
    from gdjax.core.rule.numerics import increment

    top = jnp.iinfo(jnp.int32).max
    assert increment(jnp.asarray(top, jnp.int32)) == top


def test_complex_gradients(x64):
    z = jnp.asarray([3.0 + 4.0j])
    plain = gd.adam(0.1), gd.rmsprop(0.1), gd.adagrad(0.1), gd.sgd(0.1, 0.9)
    for tx in (*plain, gd.rmsprop(0.1, centered=True), gd.momentum(0.1)):
        state = tx.init(z)
        updates, after = tx.update(z, state)
        assert updates.dtype == z.dtype and jnp.all(jnp.isfinite(updates))
        np.testing.assert_allclose(np.angle(updates[0]), np.angle(-z[0]), rtol=1e-12)
        squares = [x for x in jax.tree.leaves(after) if jnp.isrealobj(x) and x.shape == (1,)]
        assert len(squares) == (0 if tx.name in ("sgd", "momentum") else 1)
    clipped, _ = gd.clip(1.0).update(z, gd.EmptyState())
    np.testing.assert_allclose(clipped, z / 5)
    tx = gd.clip_by_global_norm(1.0)
    clipped, _ = tx.update(z, tx.init(z))
    np.testing.assert_allclose(clipped, z / 5)


def test_inside_of_jit_nothing_is_added():
    """No program of our own in the program: only the rules for one array, inlined by XLA."""
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    tx = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(gd.linear_to_zero(0.1, 10)))
    state = tx.init(params)
    for function in (tx.update, tx.step):
        text = str(jax.make_jaxpr(function)(params, state, params))
        assert "compiled" not in text and "callback" not in text


def test_a_moment_of_integers_raises():
    with pytest.raises(TypeError, match="floating-point.*int8") as error:
        gd.chain(opt=gd.adam(0.1, mu_dtype=jnp.int8)).init(jnp.zeros(2))
    assert "in stage opt of chain: adam" in error.value.__notes__


# Masks, and guards that only a traced number passes.


@pytest.mark.parametrize(
    "mask, expected",
    [
        (None, {"w": [0.5, 1.0], "b": {"x": 2.0}}),
        ({"w": True, "b": {"x": False}}, {"w": [0.5, 1.0], "b": {"x": 0.0}}),
        ({"w": False, "b": True}, {"w": [0.0, 0.0], "b": {"x": 2.0}}),  # a part from the root
        (lambda p: jax.tree.map(lambda x: x.ndim > 0, p), {"w": [0.5, 1.0], "b": {"x": 0.0}}),
    ],
    ids=["none", "tree", "prefix", "function"],
)
def test_masks_of_decay(mask, expected):
    params = {"w": jnp.asarray([1.0, 2.0]), "b": {"x": jnp.asarray(4.0)}}
    zeros = jax.tree.map(jnp.zeros_like, params)
    for tx, sign in ((gd.add_decayed_weights(0.5, mask), 1), (gd.decay_weights(0.5, mask), -1)):
        updates, _ = tx.update(zeros, tx.init(params), params)
        expected = jax.tree.map(jnp.asarray, expected, is_leaf=lambda x: isinstance(x, list))
        jax.tree.map(lambda u, e, s=sign: np.testing.assert_allclose(u, s * e), updates, expected)


def test_a_mask_that_does_not_fit_raises():
    params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    tx = gd.adamw(0.1, mask={"w": True})
    with pytest.raises(ValueError, match="add_decayed_weights: mask must be a tree of bools"):
        tx.update(params, tx.init(params), params)


def test_short_complex_numbers_are_not_clipped():
    z = jnp.asarray([0.3 + 0.4j, 0.0j])
    np.testing.assert_allclose(gd.clip(1.0).update(z, gd.EmptyState())[0], z)


@pytest.mark.parametrize("eps_in_sqrt", [False, True])
@pytest.mark.parametrize("make", [gd.scale_by_rms, gd.scale_by_stddev, gd.scale_by_rss])
def test_a_traced_eps_is_the_same_eps(make, eps_in_sqrt):
    grads = jnp.asarray([1.0, -0.1])
    go = lambda eps: (tx := make(eps=eps, eps_in_sqrt=eps_in_sqrt)).update(grads, tx.init(grads))[0]
    np.testing.assert_allclose(jax.jit(go)(0.25), go(0.25), rtol=1e-6)
    assert jnp.all(jnp.isfinite(jax.jit(go)(0.0)))


def test_zero_over_zero_is_zero_and_has_a_slope_of_zero():
    from gdjax.core.rule.numerics import safe_divide, safe_sqrt

    zero = jnp.zeros([])
    assert safe_divide(zero, zero) == 0 and safe_sqrt(zero) == 0
    assert safe_divide(zero + 6.0, zero + 2.0) == 3 and safe_sqrt(zero + 9.0) == 3
    slopes = jax.grad(safe_divide, argnums=(0, 1))(zero, zero), jax.grad(safe_sqrt)(zero)
    assert jax.tree.leaves(slopes) == [0, 0, 0]
    assert jnp.isnan(safe_sqrt(zero + jnp.nan))


def test_vdot_is_real_wide_and_over_all_leaves():
    from gdjax.core.rule import tree

    a = {"z": jnp.asarray([1.0 + 2.0j]), "h": jnp.full((300,), 1.0, jnp.bfloat16), "n": 3}
    assert tree.vdot(a, a) == 305.0 and tree.vdot({}, {}) == 0


@pytest.mark.parametrize("size", [1e-3, 0.2, 3.0])
def test_trust_ratios_of_short_vectors(size):
    """Only where a norm is zero nothing is known."""
    tx = gd.scale_by_trust_ratio()
    p, g = jnp.asarray([0.6, 0.8]) * size, jnp.asarray([4.0, -3.0]) * 0.01
    np.testing.assert_allclose(tx.update(g, tx.init(p), p)[0], [0.8 * size, -0.6 * size], rtol=1e-5)
    tiny = tx.update(g * 1e-3, tx.init(p), p)[0]
    np.testing.assert_allclose(tiny, [0.8 * size, -0.6 * size], rtol=1e-5)

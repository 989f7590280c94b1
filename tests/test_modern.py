"""What the rules of the 2020s promise beyond their paths: noise, curvature, masks, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.transforms.noise import key_of


def noise_of(tx, params, steps=1):
    state = tx.init(params)
    zeros = jax.tree.map(jnp.zeros_like, params)
    for _ in range(steps):
        updates, state = tx.update(zeros, state)
    return updates


def test_noise_of_a_leaf_depends_on_its_path_alone():
    tx = gd.add_noise(1.0, 0.5, key=3)
    alone = noise_of(tx, {"b": jnp.zeros(4)})
    among = noise_of(tx, {"a": jnp.zeros(7), "b": jnp.zeros(4), "c": {"b": jnp.zeros(4)}})
    np.testing.assert_array_equal(alone["b"], among["b"])
    assert not np.allclose(among["b"], among["c"]["b"])
    assert not np.allclose(alone["b"], noise_of(tx, {"b": jnp.zeros(4)}, 2)["b"])
    assert not np.allclose(alone["b"], noise_of(tx.replace(key=4), {"b": jnp.zeros(4)})["b"])


def test_variance_of_noise_falls():
    params = jnp.zeros(100_000)
    for steps, variance in ((1, 2.0), (2, 2.0 * 0.5**0.7), (5, 2.0 * 0.2**0.7)):
        got = noise_of(gd.add_noise(2.0, 0.7, key=0), params, steps)
        np.testing.assert_allclose(got.var(), variance, rtol=0.02)
        np.testing.assert_allclose(got.mean(), 0.0, atol=0.02)


def test_complex_noise_has_the_same_variance():
    got = noise_of(gd.add_noise(2.0, 0.7, key=0), jnp.zeros(100_000, jnp.complex64))
    np.testing.assert_allclose(jnp.mean(jnp.abs(got) ** 2), 2.0, rtol=0.02)


@pytest.mark.parametrize(
    "make", [lambda: 5, lambda: jax.random.key(5), lambda: jax.random.PRNGKey(5)]
)
def test_any_key_will_do(make):
    expected = noise_of(gd.add_noise(1.0, 0.5, key=5), jnp.zeros(3))
    tx = gd.add_noise(1.0, 0.5, key=make())
    np.testing.assert_array_equal(noise_of(tx, jnp.zeros(3)), expected)


def test_the_kind_of_key_is_kept():
    key = jax.random.key(5, impl="rbg")
    tx = gd.add_noise(1.0, 0.5, key=key)
    state = tx.init(jnp.zeros(3))
    assert jax.random.key_impl(key_of(state.rng_key, key)) == jax.random.key_impl(key)
    assert jnp.all(jnp.isfinite(tx.update(jnp.zeros(3), state)[0]))


@pytest.mark.parametrize("wrong", [None, 0.5, "seed", True])
def test_a_wrong_key_raises(wrong):
    with pytest.raises(TypeError, match="add_noise: key must be a seed"):
        gd.add_noise(1.0, 0.5, key=wrong)


def test_hutchinson_is_unbiased_and_exact_on_diagonals():
    a = np.random.default_rng(0).standard_normal((5, 5))
    a = jnp.asarray(a + a.T, jnp.float32)
    tx, x = gd.hutchinson_estimator_diag_hessian(1), jnp.arange(5.0)

    def body(state, _):
        estimate, state = tx.update(x, state, x, obj_fn=lambda p: 0.5 * p @ a @ p)
        return state, estimate

    _, estimates = jax.lax.scan(body, tx.init(x), length=4000)
    assert np.ptp(np.asarray(estimates), axis=0).min() > 0.1
    np.testing.assert_allclose(estimates.mean(0), jnp.diag(a), atol=0.15)
    exact, _ = tx.update(x, tx.init(x), x, obj_fn=lambda p: jnp.sum(p**4))
    np.testing.assert_allclose(exact, 12 * x**2, rtol=1e-6)


def test_sophia_asks_for_the_curvature_every_k_steps():
    tx = gd.scale_by_sophia(every=3)
    state, seen = tx.init(jnp.ones(2)), []
    for _ in range(7):
        _, state = tx.update(jnp.ones(2), state, jnp.ones(2), obj_fn=lambda p: jnp.sum(p**2))
        seen.append(float(state.nu[0]))
    np.testing.assert_allclose(np.diff(seen) > 0, [False, False, True, False, False, True])
    with pytest.raises(TypeError, match="obj_fn"):
        tx.update(jnp.ones(2), state, jnp.ones(2))


def test_cautious_goes_with_the_gradient_and_keeps_tiny_signs():
    tx = gd.cautious(gd.sgd(1e-3, momentum=0.9))
    state = tx.init(jnp.zeros(3))
    for g in (jnp.array([1.0, 1.0, 1e-30]), jnp.array([1.0, -0.5, 1e-30])):
        updates, state = tx.update(g, state)
    assert updates[0] < 0 and updates[1] == 0 and updates[2] < 0


def test_cautious_decay_takes_zero_for_agreement():
    params = jnp.array([2.0, 2.0, -2.0, 2.0])
    updates = jnp.array([1e-30, -1e-30, 1e-30, 0.0])
    got, _ = gd.add_cautious_weight_decay(0.5).update(updates, gd.EmptyState(), params)
    np.testing.assert_array_equal(got, updates + jnp.array([1.0, 0.0, 0.0, 1.0]))


def test_wrappers_pass_extra_arguments_on():
    for wrap in (gd.cautious, gd.mars, lambda inner: gd.lookahead(inner, 2, 0.5)):
        tx = wrap(gd.hutchinson_estimator_diag_hessian())
        assert tx.extra_args["obj_fn"] is True


def test_lookahead_evaluates_at_the_slow_weights_in_the_dtype_of_params():
    params = {"w": jnp.ones(2, jnp.bfloat16), "n": jnp.arange(2)}
    tx = gd.lookahead(gd.sgd(0.25), 3, 0.5)
    state = tx.init(params)
    grads = {"w": jnp.ones(2, jnp.bfloat16), "n": None}
    for _ in range(4):
        params, state = tx.step(grads, state, params)
    seen = gd.state.eval_params(tx, state, params)
    assert seen["w"].dtype == jnp.bfloat16 and seen["n"] is params["n"]
    np.testing.assert_allclose(seen["w"].astype(float), 0.625)
    np.testing.assert_allclose(params["w"].astype(float), 0.375)
    assert state.slow["w"].dtype == jnp.float32


def test_adam_mini_keeps_one_number_for_a_block():
    params = {"w": jnp.zeros((4, 3)), "b": jnp.zeros(3), "heads": jnp.zeros((2, 4, 5))}
    shapes = lambda axis: jax.tree.map(
        jnp.shape, gd.scale_by_adam_mini(block_axis=axis).init(params).nu
    )
    assert shapes(-1) == {"w": (3,), "b": (), "heads": (5,)}
    assert shapes(1) == {"w": (3,), "b": (), "heads": (4,)}
    assert shapes(None) == {"w": (), "b": (), "heads": ()}
    with pytest.raises(ValueError, match="block_axis must be an axis of every array"):
        shapes(2)


def test_stable_adam_without_decay_needs_no_params():
    tx = gd.scale_by_stable_adam()
    assert tx.update(jnp.ones(2), tx.init(jnp.ones(2)))[0].shape == (2,)
    with pytest.raises(ValueError, match="update needs the parameters"):
        tx = gd.stable_adamw(0.1)
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_long_gradients_move_stable_adam_no_further():
    tx, params = gd.stable_adamw(1.0, b1=0.0, weight_decay=0.0), jnp.zeros(2)
    state = tx.init(params)
    for size in (1.0, 1.0, 1e4):
        updates, state = tx.update(jnp.full(2, size), state, params)
    np.testing.assert_allclose(updates, -1.0, rtol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: gd.lookahead(gd.sgd(0.1), 0, 0.5),
        lambda: gd.sophia(0.1, every=0),
        lambda: gd.centralize(2).update(jnp.ones((2, 2)), gd.EmptyState()),
    ],
)
def test_wrong_numbers_raise(wrong):
    with pytest.raises(ValueError, match="must be"):
        wrong()


def test_cautious_decay_of_complex_numbers_goes_by_the_angle():
    params, updates = jnp.array([2j, 2j, 2.0]), jnp.array([1j, -1j, 1.0 - 1j])
    got, _ = gd.add_cautious_weight_decay(0.5).update(updates, gd.EmptyState(), params)
    np.testing.assert_allclose(got, [2j, -1j, 2.0 - 1j])


def test_cautious_decay_where_a_gradient_is_zero():
    tx = gd.add_cautious_weight_decay(0.1)
    params = jnp.array([2.0, 2.0, 2.0])
    updates, _ = tx.update(jnp.array([0.0, 1.0, -1.0]), tx.init(params), params)
    np.testing.assert_allclose(updates, [0.2, 1.2, -1.0], rtol=1e-6)
    params = jnp.array([1.0j, 1.0 + 0j, -1.0 + 0j])
    updates, _ = tx.update(jnp.ones(3, complex), tx.init(params), params)
    np.testing.assert_allclose(updates, [1 + 0.1j, 1.1, 1.0], rtol=1e-6)


def test_lookahead_joins_its_slow_weights_each_third_step():
    tx, params = gd.lookahead(gd.sgd(1.0), 3, 0.5), jnp.zeros(1)
    state, path = tx.init(params), []
    for _ in range(4):
        params, state = tx.step(jnp.ones(1), state, params)
        path.append(float(params[0]))
    assert path == [-1.0, -2.0, -1.5, -2.5]


def test_cautious_takes_what_is_at_a_right_angle_for_against():
    tx, params = gd.cautious(gd.scale(-1j)), jnp.ones(2, complex)
    updates, _ = tx.update(jnp.array([1.0 + 0j, 2.0j]), tx.init(params), params)
    np.testing.assert_array_equal(updates, 0)
    tx, params = gd.cautious(gd.sgd(1.0)), jnp.ones(2)
    updates, _ = tx.update(jnp.array([1.0, 0.0]), tx.init(params), params)
    np.testing.assert_allclose(updates, [-1.0, 0.0])  # one of two agrees: 2 / (1 + 1)

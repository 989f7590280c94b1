"""Conventions of optax that code relies on."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdjax.compat import optax as ours
from tests.compat.optax.calls import GRADS, MASK, PARAMS

pytestmark = pytest.mark.usefixtures("standard")  # what other libraries count on


class TestConventions:
    def test_masked_out_passes(self):
        tx = ours.masked(ours.sgd(0.5), MASK)
        updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
        assert updates["b"] is GRADS["b"] or updates["b"] == GRADS["b"]
        updates, _ = (tx := ours.masked(ours.sgd(0.5), lambda p: MASK)).update(
            GRADS, tx.init(PARAMS), PARAMS
        )
        np.testing.assert_allclose(updates["w"], -0.5 * GRADS["w"])

    def test_a_mask_that_is_a_tree_is_not_called(self):
        eqx = pytest.importorskip("equinox")
        model = eqx.nn.Linear(2, 1, key=jax.random.key(0))
        mask = jax.tree.map(lambda x: x.ndim > 1, eqx.filter(model, eqx.is_array))
        tx = ours.masked(ours.sgd(0.5), mask)
        grads = jax.tree.map(jnp.ones_like, eqx.filter(model, eqx.is_array))
        updates, _ = tx.update(grads, tx.init(grads), grads)
        assert float(updates.bias[0]) == 1.0 and float(updates.weight[0, 0]) == -0.5

    def test_extra_arguments_are_masked_on_demand(self):
        def update(updates, state, params=None, *, other, **extra):
            return jax.tree.map(jnp.add, updates, other), state

        add = ours.GradientTransformationExtraArgs(lambda p: (), update)
        tx = ours.masked(add, MASK, mask_compatible_extra_args=True)
        updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, other=GRADS)
        np.testing.assert_allclose(updates["w"], 2 * GRADS["w"])

    @pytest.mark.parametrize("momentum", [None, 0.9])
    @pytest.mark.parametrize("rate", [0.01, None])
    def test_decay_of_adafactor_is_no_part_of_the_rate(self, momentum, rate):
        """Branches of an override are one thing, written twice: both are asked."""
        given = {"weight_decay_rate": 0.1, "momentum": momentum}
        zero, one = {"w": jnp.zeros(3)}, {"w": jnp.ones(3)}
        for space in (ours, optax):
            tx = space.adafactor(rate, **given)
            updates, _ = tx.update(zero, tx.init(one), one)
            np.testing.assert_allclose(updates["w"], -0.1, rtol=1e-6)

    @pytest.mark.parametrize("boundaries", [[5], [5, 10], []])
    def test_boundaries_that_are_too_many_are_left(self, boundaries):
        parts = [lambda step: 1.0 + 0 * step, lambda step: 0.5 + 0 * step]
        made, theirs = (s.join_schedules(parts, boundaries) for s in (ours, optax))
        np.testing.assert_array_equal(made(jnp.arange(12)), theirs(jnp.arange(12)))

    def test_labels_below_zero_count_from_the_end(self):
        x = jnp.asarray([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
        name = "softmax_cross_entropy_with_integer_labels"
        for space in (ours, ours.losses):
            loss = getattr(space, name)(x, jnp.asarray([1, -1]))
            np.testing.assert_allclose(loss, getattr(optax, name)(x, jnp.asarray([1, -1])), 1e-6)
            masked = jnp.asarray([1, -1]), jnp.asarray([1.0, 0.0])
            assert jnp.isfinite(getattr(space, name)(x, masked[0]) * masked[1]).all()

    def test_wrong_masks_and_labels(self):
        with pytest.raises(ValueError, match="mask must be a tree like"):
            ours.masked(ours.sgd(0.1), {"w": True}).init(PARAMS)
        with pytest.raises(ValueError, match="labels must be among those of transforms"):
            ours.partition({"a": ours.sgd(0.1)}, {"w": "a", "b": "c"}).init(PARAMS)

    def test_injected_hyperparameters_are_set(self):
        tx = ours.inject_hyperparams(ours.adam, static_args="mu_dtype")(learning_rate=1.0)
        state = tx.init(PARAMS)
        assert set(state.hyperparams) >= {"learning_rate", "b1", "b2", "eps"}
        step = jax.jit(tx.update)
        before, _ = step(GRADS, state, PARAMS)
        state.hyperparams["learning_rate"] = jnp.array(0.5)
        after, state = step(GRADS, state, PARAMS)
        np.testing.assert_allclose(after["w"], 0.5 * before["w"], rtol=1e-6)
        assert float(state.hyperparams["learning_rate"]) == 0.5
        with pytest.raises(ValueError, match="static_args must be arguments"):
            ours.inject_hyperparams(ours.adam, static_args="rate")

    def test_stateful_schedules(self):
        class ByValue:
            def init(self):
                return jnp.array(1.0)

            def update(self, state, **extra):
                return state * extra["value"]

            def __call__(self, state, **extra):
                return state

        here = ours.inject_hyperparams(ours.sgd)(ByValue())
        theirs = optax.inject_hyperparams(optax.sgd)(ByValue())
        states = here.init(PARAMS), theirs.init(PARAMS)
        for _ in range(3):
            a, state = here.update(GRADS, states[0], PARAMS, value=jnp.array(0.5))
            b, their_state = theirs.update(GRADS, states[1], PARAMS, value=jnp.array(0.5))
            states = state, their_state
            np.testing.assert_allclose(a["w"], b["w"])
        wrapped = ours.WrappedSchedule(lambda t: 2.0 * t)
        assert float(wrapped(wrapped.update(wrapped.init()))) == 2.0

    def test_multi_steps(self):
        multi = ours.MultiSteps(ours.sgd(1.0), 2, should_skip_update_fn=ours.skip_not_finite)
        state = multi.init(PARAMS)
        assert not bool(multi.has_updated(state)) and multi.inner_opt == ours.sgd(1.0)
        bad = jax.tree.map(lambda g: g * jnp.nan, GRADS)
        for grads, stepped in ((GRADS, False), (bad, False), (GRADS, True)):
            updates, state = multi.update(grads, state, PARAMS)
            assert bool(jnp.any(updates["w"] != 0)) == stepped
        assert bool(multi.has_updated(state)) and int(state.gradient_step) == 1
        tx = multi.gradient_transformation()
        assert isinstance(tx, ours.GradientTransformation)
        skip = functools.partial(ours.skip_large_updates, max_squared_norm=1.0)
        _, told = skip(GRADS, 0, PARAMS)
        assert bool(told["should_skip"]) and float(told["norm_squared"]) == pytest.approx(30.0)

    def test_lookahead_with_two_trees(self):
        params = ours.LookaheadParams.init_synced(PARAMS)
        theirs = optax.LookaheadParams.init_synced(PARAMS)
        mine = ours.chain(ours.clip(3.0), ours.lookahead(ours.adam(0.1), 3, 0.5, reset_state=True))
        other = optax.chain(
            optax.clip(3.0), optax.lookahead(optax.adam(0.1), 3, 0.5, reset_state=True)
        )
        state, their_state = mine.init(params), other.init(theirs)
        for i in range(7):
            grads = jax.tree.map(lambda g, i=i: g * (i + 1.0), GRADS)
            updates, state = jax.jit(mine.update)(grads, state, params)
            params = ours.apply_updates(params, updates)
            updates, their_state = other.update(grads, their_state, theirs)
            theirs = optax.apply_updates(theirs, updates)
            for x, y in zip(jax.tree.leaves(params), jax.tree.leaves(theirs)):
                np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
        with pytest.raises(ValueError, match="LookaheadParams"):
            mine.init(PARAMS)

    def test_noise_without_a_key_is_that_of_seed_0(self):
        with pytest.warns(UserWarning, match="without a key"):
            made = ours.noisy_sgd(0.1).init(PARAMS), ours.add_noise(0.1, 0.5).init(PARAMS)
        asked = ours.noisy_sgd(0.1, key=0).init(PARAMS), ours.add_noise(0.1, 0.5, 0).init(PARAMS)
        data = [jax.tree.map(jax.random.key_data, s[-1].rng_key) for s in (made, asked)]
        np.testing.assert_array_equal(*data)
        with pytest.raises(ValueError, match="one of key and seed"):
            ours.add_noise(0.1, 0.5, 1, seed=2)
        seeds = ours.add_noise(0.1, 0.5, seed=3), ours.add_noise(0.1, 0.5, 3)
        assert seeds[0].init(PARAMS) == seeds[1].init(PARAMS)
        with pytest.raises(ValueError, match="mode"):
            ours.scale_by_lion(mode="soft")

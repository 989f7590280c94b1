"""Hyperparameters in use by name, and those that may be set."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.rule import tree
from tests.state.trees import GRADS, NAMED, PARAMS, falling

optax = pytest.importorskip("optax")  # foreign states; the contract runs without them


def numbers(tx, state=None):
    """Hyperparameters as Python numbers."""
    found = gd.state.hyperparams(tx, tx.init(PARAMS) if state is None else state)
    return {name: pytest.approx(value.item(), rel=1e-6) for name, value in found.items()}


def types(state):
    return jax.tree.map(jax.typeof, state)


@gd.transformation
def scale_1(step_size: gd.Hyperparam):
    """Bears the name that the second of two scales gets."""
    return gd.scale(step_size)


class TestHyperparams:
    TABLE = [
        (gd.sgd(0.1), {"learning_rate": 0.1}),  # None is no number
        (gd.sgd(0.1, 0.9), {"learning_rate": 0.1, "momentum": 0.9}),
        (
            gd.adam(gd.live(0.2), b2=jnp.array(0.99)),
            {"learning_rate": 0.2, "b1": 0.9, "b2": 0.99, "eps": 1e-8, "eps_root": 0.0},
        ),
        (gd.scale(falling), {"step_size": 0.1}),
        (gd.scale_by_schedule(falling), {"step_size_fn": 0.1}),
        (gd.identity(), {}),
        (gd.chain(), {}),
        (gd.chain(gd.clip(1.0), gd.sgd(0.1)), {"clip/max_delta": 1.0, "sgd/learning_rate": 0.1}),
        (
            gd.chain(gd.scale(1.0), gd.scale(2.0), gd.scale(gd.live(3.0))),
            {"scale/step_size": 1.0, "scale_1/step_size": 2.0, "scale_2/step_size": 3.0},
        ),
        (gd.chain(a=gd.chain(gd.scale(falling))), {"a/scale/step_size": 0.1}),
        (
            gd.chain(gd.chain(gd.sgd(gd.live(0.3))), gd.chain(x=gd.sgd(falling, 0.5))),
            {
                "chain/sgd/learning_rate": 0.3,
                "chain_1/x/learning_rate": 0.1,
                "chain_1/x/momentum": 0.5,
            },
        ),
        (gd.chain(optax.scale(2.0), gd.sgd(0.1)), {"sgd/learning_rate": 0.1}),
        (
            gd.chain(theirs=optax.inject_hyperparams(optax.sgd)(0.25)),
            {"theirs/learning_rate": 0.25},
        ),
    ]

    @pytest.mark.parametrize("tx, expected", TABLE, ids=[repr(tx) for tx, _ in TABLE])
    def test_names_and_values(self, tx, expected):
        assert numbers(tx) == expected
        under_jit = jax.jit(gd.state.hyperparams)(tx, tx.init(PARAMS))
        assert numbers(tx) == {name: value.item() for name, value in under_jit.items()}
        assert all(value.shape == () for value in under_jit.values())

    def test_no_two_have_one_name(self):
        tx = gd.chain(gd.scale(1.0), gd.scale(2.0), scale_1(3.0))
        assert sorted(numbers(tx).values(), key=lambda a: a.expected) == [1.0, 2.0, 3.0]

    def test_values_are_those_last_used(self):
        tx = gd.chain(a=gd.chain(gd.sgd(falling)), b=gd.scale(gd.linear_schedule(1.0, 0.0, 4)))
        state = tx.init(PARAMS)
        update = jax.jit(tx.update)
        for i in range(3):
            _, state = update(GRADS, state)
            assert numbers(tx, state) == {
                "a/sgd/learning_rate": 0.1 / (1 + i),
                "b/step_size": 1.0 - i / 4,
            }

    def test_schedules_inside_of_another(self):
        @gd.transformation
        def twice(rate: gd.Hyperparam, inner=None):
            return gd.chain(gd.scale(rate), inner)

        tx = twice(falling, gd.sgd(gd.live(0.5)))
        state = tx.init(PARAMS)
        u, state = tx.update(GRADS, state)
        np.testing.assert_allclose(u["w"], -0.05 * GRADS["w"], rtol=1e-6)
        assert numbers(tx, state)["rate"] == 0.1

    def test_without_a_schedule_the_names_are_the_same(self):
        make = lambda rate: gd.chain(clip=gd.clip(1.0), opt=gd.sgd(rate, momentum=0.9))
        assert set(numbers(make(0.1))) == set(numbers(make(falling)))
        assert set(numbers(make(0.1))) == set(numbers(make(gd.live(0.1))))

    def test_of_optax_alone(self):
        tx = optax.inject_hyperparams(optax.sgd)(0.25)
        assert numbers(tx) == {"learning_rate": 0.25}
        assert numbers(optax.sgd(0.1)) == {}

    def test_another_state_raises(self):
        with pytest.raises(ValueError, match="chain: state must be"):
            gd.state.hyperparams(NAMED, ())


TRACES = []


@gd.transformation
def counting(rate: gd.Hyperparam):
    """Counts its traces."""

    def update(updates, state, params=None, **extra):
        TRACES.append(rate)
        return tree.map(lambda g: rate * g, updates), state

    return lambda params: gd.EmptyState(), update


class TestSet:
    def test_by_name_and_by_path(self):
        tx = gd.sgd(gd.live(0.1), momentum=gd.live(0.5))
        state = tx.init(PARAMS)
        new = gd.state.set_hyperparams(tx, state, learning_rate=0.05)
        assert numbers(tx, new) == {"learning_rate": 0.05, "momentum": 0.5}
        assert numbers(tx, state)["learning_rate"] == 0.1  # the old one is as it was
        both = gd.state.set_hyperparams(tx, new, {"momentum": 0.25}, learning_rate=jnp.array(1))
        assert numbers(tx, both) == {"learning_rate": 1.0, "momentum": 0.25}
        assert types(both) == types(state)

    def test_through_nesting(self):
        tx = gd.chain(
            gd.chain(x=gd.sgd(gd.live(0.1)), y=gd.scale(gd.live(2.0))),
            gd.scale(gd.live(3.0)),
            gd.scale(gd.live(4.0)),
            optax.scale(1.0),
            gd.scale(falling),
        )
        state = tx.init(PARAMS)
        new = gd.state.set_hyperparams(
            tx, state, {"chain/y/step_size": 5.0, "scale_1/step_size": 6.0}
        )
        assert types(new) == types(state)
        expected = {
            "chain/x/learning_rate": 0.1,
            "chain/y/step_size": 5.0,
            "scale/step_size": 3.0,
            "scale_1/step_size": 6.0,
            "scale_3/step_size": 0.1,  # the scale between is optax's
        }
        found = numbers(tx, new)
        assert found == expected
        u, after = tx.update(GRADS, new)
        np.testing.assert_allclose(u["w"], -0.1 * 5 * 3 * 6 * 0.1 * GRADS["w"], rtol=1e-6)
        assert numbers(tx, after) == expected  # they stay

    def test_inside_of_jit_and_scan(self):
        tx = gd.chain(a=gd.sgd(gd.live(0.1)))

        @jax.jit
        def run(state, rates):
            def body(state, rate):
                state = gd.state.set_hyperparams(tx, state, {"a/learning_rate": rate})
                u, state = tx.update(GRADS["w"], state)
                return state, u

            return jax.lax.scan(body, state, rates)

        rates = jnp.array([0.5, 0.25, 0.0])
        state, u = run(tx.init(GRADS["w"]), rates)
        np.testing.assert_allclose(u, -rates[:, None] * GRADS["w"][None], rtol=1e-6)
        assert numbers(tx, state) == {"a/learning_rate": 0.0}

    def test_under_vmap(self):
        tx = gd.sgd(gd.live(0.1))
        rates = jnp.array([0.5, 0.25])
        state = tx.init(GRADS["w"])
        states = jax.vmap(lambda r: gd.state.set_hyperparams(tx, state, learning_rate=r))(rates)
        u, _ = jax.vmap(tx.update, (None, 0))(GRADS["w"], states)
        np.testing.assert_allclose(u, -rates[:, None] * GRADS["w"][None], rtol=1e-6)

    def test_the_update_is_not_compiled_again(self):
        TRACES.clear()
        tx = gd.chain(a=counting(gd.live(1)), b=counting(gd.live(jnp.array(1.0, jnp.float16))))
        state = tx.init(PARAMS)
        jitted = jax.jit(tx.update)
        for value in (2, 3.0, jnp.array(4.0), np.float64(5.0), jnp.array(6, jnp.int32)):
            new = gd.state.set_hyperparams(tx, state, {"a/rate": value, "b/rate": value})
            assert types(new) == types(state)
            for update in (tx.update, jitted):
                u, state = update(GRADS, new)
                np.testing.assert_allclose(u["w"], float(value) ** 2 * GRADS["w"], rtol=1e-6)
        assert len(TRACES) == 2 * 2  # two stages, once eagerly and once under jit

    BAD = [
        (gd.sgd(gd.live(0.1)), {"momentum": 0.5}, "got 'momentum'. Known: learning_rate"),
        (gd.sgd(gd.live(0.1)), {"learnin_rate": 0.5}, "Did you mean learning_rate"),
        (gd.sgd(0.1), {"learning_rate": 0.5}, r"got 'learning_rate'. Write live\(value\)"),
        (gd.sgd(falling), {"learning_rate": 0.5}, r"Write live\(value\)"),
        (gd.chain(a=gd.sgd(gd.live(0.1))), {"a/learnin_rate": 0.5}, "Did you mean a/learning_rate"),
        (
            gd.chain(optax.inject_hyperparams(optax.sgd)(0.25)),
            {"sgd/learning_rate": 0.5},
            r"Write live\(value\)",
        ),
    ]

    @pytest.mark.parametrize("tx, values, message", BAD, ids=[row[2] for row in BAD])
    def test_what_cannot_be_set(self, tx, values, message):
        with pytest.raises(KeyError, match=f"set_hyperparams: .*{message}"):
            gd.state.set_hyperparams(tx, tx.init(PARAMS), values)

    def test_values_are_judged(self):
        tx = gd.chain(a=gd.sgd(gd.live(0.1)))
        state = tx.init(PARAMS)
        with pytest.raises(ValueError, match=r"learning_rate must lie in \[0, inf\], got -1"):
            gd.state.set_hyperparams(tx, state, {"a/learning_rate": -1.0})
        with pytest.raises(ValueError, match="shape|scalar"):
            gd.state.set_hyperparams(tx, state, {"a/learning_rate": jnp.ones(3)})

    def test_nothing_to_set(self):
        tx = gd.sgd(0.1)
        state = tx.init(PARAMS)
        assert jax.tree.structure(gd.state.set_hyperparams(tx, state)) == jax.tree.structure(state)


def test_the_name_of_a_number_is_not_the_ending_of_a_live_one():
    """Of two stages of one name the first is a number, and the second is live."""
    tx = gd.chain(gd.scale(1.0), gd.chain(gd.scale(gd.live(2.0))))
    state = tx.init(PARAMS)
    with pytest.raises(KeyError, match="must be that of a live .* got 'scale/step_size'. Did you"):
        gd.state.set_hyperparams(tx, state, {"scale/step_size": 5.0})
    for name in ("chain/scale/step_size", "step_size"):
        after = gd.state.set_hyperparams(tx, state, {name: 5.0})
        assert gd.state.hyperparams(tx, after)["chain/scale/step_size"] == 5.0

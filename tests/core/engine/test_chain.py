"""Chains."""

from __future__ import annotations

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.core.factories import GRADS, PARAMS, close, failing, falling, words

ROWS = [
    Row(gd.chain(gd.clip(1.0), gd.sgd(0.1))),
    Row(
        gd.chain(clip=gd.clip_by_global_norm(1.0), opt=gd.adamw(0.1, weight_decay=0.1)),
        label="chain-named",
    ),
    Row(gd.chain(gd.add_decayed_weights(0.1), gd.adam(0.1)), label="chain-l2"),
    Row(gd.chain(), label="chain-empty"),
]

# It is its parts.
PLAIN = {"chain"}


class TestChain:
    def test_composes(self):
        tx = gd.chain(gd.scale(2.0), gd.chain(a=gd.clip(0.5), b=gd.scale(-1.0)))
        u, state = tx.update(GRADS, tx.init(PARAMS))
        close(u, jax.tree.map(lambda g: -jnp.clip(2 * g, -0.5, 0.5), GRADS))
        assert isinstance(state, tuple) and set(state[1]) == {"a", "b"}
        nothing = gd.chain()
        assert nothing.init(PARAMS) == ()
        close(nothing.update(GRADS, ())[0], GRADS)

    BAD = [
        (lambda: gd.chain(gd.sgd), "stage 0 must be a transformation.*Call the factory"),
        (lambda: gd.chain([gd.sgd(0.1)]), r"stage 0 .*Write chain\(a, b\), not \[a, b\]"),
        (lambda: gd.chain(gd.sgd(0.1), None), "stage 1 must be a transformation.*got None"),
        (lambda: gd.chain(a=gd.sgd(0.1), b=0.1), "stage b must be a transformation.*got 0.1"),
        (lambda: gd.chain(gd.sgd(0.1), a=gd.sgd(0.1)), "either all .* have names or none"),
    ]

    @pytest.mark.parametrize("make, message", BAD, ids=[message for _, message in BAD])
    def test_refuses_what_is_no_transformation(self, make, message):
        with pytest.raises(TypeError, match=f"^chain: .*{message}"):
            make()

    @pytest.mark.parametrize(
        "tx, state, message",
        [
            (gd.chain(gd.sgd(0.1)), (), "a tuple of 1 states.*got a tuple of 0"),
            (gd.chain(gd.sgd(0.1)), {"0": ()}, "a tuple of 1 states.*got a dict of 1"),
            (gd.chain(gd.sgd(0.1)), None, "a tuple of 1 states.*got None"),
            (gd.chain(a=gd.sgd(0.1)), ((),), "a dict with a.*got a tuple of 1"),
            (gd.chain(a=gd.sgd(0.1)), {"b": ()}, "a dict with a.*got a dict of 1"),
        ],
        ids=repr,
    )
    def test_refuses_another_state(self, tx, state, message):
        with pytest.raises(
            ValueError, match=f"chain: state must be the one returned by init, {message}"
        ):
            tx.update(GRADS, state)
        with pytest.raises(ValueError, match="chain: state must be"):
            jax.jit(tx.update)(GRADS, state)

    def test_notes_the_stages(self):
        for tx, notes in (
            (gd.chain(gd.sgd(0.1), failing()), ["in stage 1 of chain: failing"]),
            (
                gd.chain(a=gd.sgd(0.1), b=gd.chain(inner=failing())),
                ["in stage inner of chain: failing", "in stage b of chain: chain"],
            ),
        ):
            state = tx.init(PARAMS)
            before = jax.tree.map(np.asarray, state)
            with pytest.raises(RuntimeError, match="no") as error:
                tx.update(GRADS, state, PARAMS)
            assert [n for n in notes if n not in words(error)] == []
            close(state, before)

    def test_state_given_is_not_written_to(self):
        fine = gd.chain(a=gd.trace(0.9), b=gd.chain(c=gd.sgd(falling)))
        fails = gd.chain(a=gd.trace(0.9), b=gd.chain(c=gd.sgd(falling)), d=failing())
        for tx in (fine, fails):
            state = tx.init(PARAMS)
            copied = copy.deepcopy(state)
            inner, held = state["b"], list(state.items())
            try:
                with jax.disable_jit():
                    tx.update(GRADS, state, PARAMS)
            except RuntimeError:
                pass
            assert state["b"] is inner
            assert all(x is y for (_, x), (_, y) in zip(held, state.items()))
            close(state, copied)

    def test_shapes_are_compared(self):
        tx = gd.chain(a=gd.clip(1.0), b=gd.adam(0.1))
        state = tx.init(PARAMS)
        with pytest.raises(
            ValueError, match="chain: gradients must have the shapes of params, at 'w'"
        ):
            tx.update({**GRADS, "w": jnp.ones(3)}, state, PARAMS)
        with pytest.raises(ValueError, match="got 'w' in the gradients but not in the params"):
            tx.update(GRADS, state, {"b": PARAMS["b"], "v": PARAMS["w"]})
        with pytest.raises(ValueError, match="'w'"):  # the state is of other parameters
            gd.adam(0.1).update(GRADS, gd.adam(0.1).init({"b": jnp.zeros([])}))


def test_updates_stay_wide_and_are_rounded_once():
    """Two halves of a unit in the last place: rounded between the stages, both would be lost."""
    params = jnp.ones((2,), jnp.bfloat16)
    grads = jnp.full((2,), 2.0**-8, jnp.bfloat16)
    tx = gd.chain(gd.add_decayed_weights(2.0**-8), gd.sgd(1.0))
    updates, _ = tx.update(grads, tx.init(params), params)
    assert updates.dtype == jnp.float32
    assert jnp.all(gd.apply_updates(params, updates) == jnp.asarray(1 - 2.0**-7, jnp.bfloat16))


def test_a_moment_of_integers_raises():
    with pytest.raises(TypeError, match="floating-point.*int8") as error:
        gd.chain(opt=gd.adam(0.1, mu_dtype=jnp.int8)).init(jnp.zeros(2))
    assert "in stage opt of chain: adam" in error.value.__notes__

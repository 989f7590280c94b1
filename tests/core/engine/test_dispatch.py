"""Eager calls, jit and traced numbers: compiled once, the same numbers."""

from __future__ import annotations

import logging
import pickle

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.core.factories import CALLS, GRADS, PARAMS, close, counted, falling, scaled

optax = pytest.importorskip("optax")  # only for the foreign stages; the contract runs without it


class TestMachine:
    def test_eager_compiles_once(self):
        CALLS.clear()
        tx = gd.chain(counted(0.1), gd.scale_by_adam())
        state = tx.init(PARAMS)
        for _ in range(3):
            u, state = tx.update(GRADS, state, PARAMS)
        gd.chain(counted(0.1), gd.scale_by_adam()).update(GRADS, state, PARAMS)  # an equal one
        assert len(CALLS) == 1
        tx.step(GRADS, state, PARAMS)
        tx.step(GRADS, state, PARAMS)
        assert len(CALLS) == 2  # another program

    def test_new_array_rate_does_not_retrace(self):
        CALLS.clear()
        for rate in (0.1, 0.2, 0.3):
            tx = counted(jnp.asarray(rate))
            u, _ = tx.update(GRADS, tx.init(PARAMS))
            close(u, scaled(-rate, GRADS))
        assert len(CALLS) == 1
        counted(0.4).update(GRADS, gd.EmptyState())  # Python numbers are compiled in
        counted(0.5).update(GRADS, gd.EmptyState())
        assert len(CALLS) == 3

    def test_moving_does_not_retrace(self):
        for rate in (falling, gd.linear_schedule(0.1, 0.0, 9), gd.live(0.1)):
            CALLS.clear()
            tx = counted(rate)
            state = tx.init(PARAMS)
            for _ in range(3):
                before, (_, state) = state, tx.update(GRADS, state)
                assert jax.tree.map(jax.typeof, before) == jax.tree.map(jax.typeof, state)
            assert len(CALLS) == 1

    def test_under_jit_numbers_are_arguments(self):
        CALLS.clear()
        step = jax.jit(lambda tx, state: tx.update(GRADS, state)[0])
        for rate in (0.1, 0.2, 0.4):
            tx = gd.chain(a=counted(rate), b=gd.scale(-1.0))
            close(step(tx, tx.init(PARAMS)), scaled(rate, GRADS))
        assert len(CALLS) == 1

    @pytest.mark.parametrize(
        "tx",
        [
            gd.adamw(0.1, b1=jnp.array(0.8), weight_decay=0.1),
            gd.chain(clip=gd.clip_by_global_norm(0.1), opt=gd.sgd(falling, momentum=0.9)),
            gd.chain(gd.rmsprop(gd.live(0.1)), optax.scale(0.5)),
        ],
        ids=repr,
    )
    def test_eager_equals_jit_equals_traced_numbers(self, tx):
        def two(tx, params, state):
            for _ in range(2):
                u, state = tx.update(GRADS, state, params)
                params = gd.apply_updates(params, u)
            return params, state

        eager = two(tx, PARAMS, tx.init(PARAMS))
        close(eager, jax.jit(lambda p: two(tx, p, tx.init(p)))(PARAMS))
        close(eager, jax.jit(two)(tx, PARAMS, tx.init(PARAMS)))
        with jax.disable_jit():
            close(eager, two(tx, PARAMS, tx.init(PARAMS)))

    def test_tracers_outside_of_jit(self):
        tx = gd.adam(0.1)
        state = tx.init(jnp.zeros(2))
        many = jnp.array([[1.0, -2.0], [0.1, 0.0], [3.0, 4.0]])
        mapped = jax.vmap(lambda g: tx.update(g, state)[0])(many)
        close(mapped, jnp.stack([tx.update(g, state)[0] for g in many]))
        rates = jnp.array([0.1, 0.2])
        swept = jax.vmap(lambda tx: tx.update(many[0], state)[0])(gd.adam(rates))
        close(swept, jnp.stack([gd.adam(r).update(many[0], state)[0] for r in rates]))
        plain = gd.sgd(0.1)
        total = lambda tx, g: tx.update(g, tx.init(g))[0].sum()
        assert float(jax.grad(lambda rate: total(gd.sgd(rate), many[0]))(0.1)) == 1.0
        assert float(jax.grad(lambda g: total(plain, g))(many[0])[0]) == pytest.approx(-0.1)
        _, tangent = jax.jvp(lambda g: total(plain, g), (many[0],), (many[1],))
        assert float(tangent) == pytest.approx(-0.01)

    def test_no_tracer_leaks(self):
        made = []

        def inside(rate):
            tx = gd.adam(0.1)  # Python numbers: may be used again outside
            made.append(tx)
            fleeting = gd.chain(a=gd.adam(rate), b=gd.sgd(falling))
            state = fleeting.init(jnp.zeros(2))
            u, _ = fleeting.update(jnp.ones(2), state)
            return u + tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))[0]

        outside = gd.chain(gd.adam(0.1), gd.sgd(gd.live(0.1), momentum=jnp.array(0.9)))
        with jax.checking_leaks():
            first = jax.jit(inside)(0.1)
            # First used inside of a trace, then outside, then inside of another.
            run = lambda g: outside.update(g, outside.init(g))[0]
            within = jax.jit(run)(jnp.ones(2))
            assert outside.extra_args == {}
            close(run(jnp.ones(2)), within)
            close(jax.vmap(run)(jnp.ones((3, 2)))[1], within)
        (tx,) = made
        u, _ = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))
        close(u, jnp.full(2, -0.1))
        assert first.shape == (2,) and pickle.loads(pickle.dumps(tx)) == gd.adam(0.1)

    def test_abstract_parameters(self):
        tx = gd.chain(a=gd.adamw(falling), b=gd.sgd(gd.live(0.1), momentum=0.9))
        abstract = jax.eval_shape(tx.init, PARAMS)
        concrete = tx.init(PARAMS)
        assert jax.tree.structure(abstract) == jax.tree.structure(concrete)
        assert jax.tree.map(jnp.shape, abstract) == jax.tree.map(jnp.shape, concrete)


@pytest.mark.parametrize("method", ["update", "step"])
def test_inside_of_a_jit_one_program_is_compiled(method, caplog):
    """What is compiled for eager calls is no program of its own there, and nothing calls back."""
    tx = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(gd.linear_to_zero(0.1, 10)))
    state, function = tx.init(PARAMS), getattr(tx, method)
    with jax.log_compiles(), caplog.at_level(logging.WARNING, logger="jax"):
        jax.jit(function)(GRADS, state, PARAMS)
    messages = [record.getMessage() for record in caplog.records]
    assert len([m for m in messages if m.startswith("Compiling")]) == 1
    assert "callback" not in str(jax.make_jaxpr(function)(GRADS, state, PARAMS))

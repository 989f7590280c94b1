"""Numbers that follow a schedule."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.core.factories import GRADS, PARAMS, close, falling, scaled, words


class TestMoving:
    def test_state_keeps_what_was_used(self):
        tx = gd.sgd(falling, momentum=gd.live(0.5))
        state = tx.init(PARAMS)
        assert isinstance(state, gd.states.InjectHyperparamsState)
        assert set(state.hyperparams) == {"learning_rate", "momentum"}
        assert int(state.count) == 0 and state.count.dtype == jnp.int32
        assert float(state.hyperparams["learning_rate"]) == pytest.approx(0.1)  # that it will use
        inner = gd.sgd(0.1, momentum=0.5).init(PARAMS)
        assert jax.tree.structure(state.inner_state) == jax.tree.structure(inner)
        velocity = jax.tree.map(jnp.zeros_like, GRADS)
        for i in range(4):
            u, state = tx.update(GRADS, state)
            velocity = jax.tree.map(lambda v, g: 0.5 * v + g, velocity, GRADS)
            close(u, scaled(-0.1 / (1 + i), velocity))
            assert int(state.count) == i + 1
            assert float(state.hyperparams["learning_rate"]) == pytest.approx(0.1 / (1 + i))
            assert state.hyperparams["learning_rate"].dtype == jnp.float32
            assert not state.hyperparams["learning_rate"].weak_type

    @pytest.mark.parametrize(
        "rate",
        [
            lambda step: 0.1 * (step < 2),  # bool times float
            lambda step: 0.1,  # a Python number
            lambda step: np.float64(0.1),
            lambda step: jnp.where(step < 5, 1, 0),  # an integer
            lambda step: jnp.bfloat16(0.5),
            gd.constant_schedule(0.1),
        ],
    )
    def test_whatever_a_schedule_returns(self, rate):
        with jax.numpy_dtype_promotion("standard"):
            tx = gd.sgd(rate)
            state = tx.init(PARAMS)
            u, after = tx.update(GRADS, state)
            assert jax.tree.map(jax.typeof, state) == jax.tree.map(jax.typeof, after)
            close(u, jax.tree.map(lambda g: -jnp.float32(rate(jnp.int32(0))) * g, GRADS), rtol=1e-2)

    def test_constant_schedule_changes_no_number(self):
        for constant, moving in (
            (gd.adam(0.1, b1=0.8), gd.adam(lambda step: 0.1, b1=lambda step: 0.8)),
            (gd.sgd(0.1, 0.9), gd.sgd(gd.live(0.1), gd.constant_schedule(0.9))),
        ):
            a, b = constant.init(PARAMS), moving.init(PARAMS)
            for _ in range(3):
                u, a = constant.update(GRADS, a, PARAMS)
                v, b = moving.update(GRADS, b, PARAMS)
                close(u, v, rtol=2e-6)

    def test_what_is_wrong(self):
        vector = gd.sgd(jnp.array([0.1, 0.2]))
        with pytest.raises(
            ValueError, match=r"sgd: learning_rate must be a scalar .* \(2,\).*vmap"
        ):
            vector.update(GRADS, vector.init(PARAMS))
        tx = gd.sgd(lambda step: jnp.array([0.1, 0.2]))
        with pytest.raises(ValueError, match=r"must return a scalar, got shape \(2,\)"):
            tx.init(PARAMS)
        moving = gd.chain(a=gd.sgd(gd.live(0.1)))
        with pytest.raises(
            ValueError, match="sgd: state must be the one returned by init, .*learning_rate"
        ) as e:
            moving.update(GRADS, {"a": gd.sgd(0.1).init(PARAMS)})
        assert "in stage a of chain: sgd" in words(e)

    def test_scale_by_schedule_is_scale(self):
        tx = gd.scale_by_schedule(lambda step: 1.0 / (1.0 + step.astype(float)))
        state = tx.init(1.0)
        for expected in (1.0, 0.5):
            u, state = tx.update(jnp.array(1.0), state)
            assert float(u) == expected

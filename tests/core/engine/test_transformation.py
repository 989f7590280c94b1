"""Updates and parameters: dtypes, rounding, leaves that do not move, donation."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.core.factories import FLOAT0, GRADS, PARAMS, close, falling


class TestNumbers:
    def test_rounds_once(self):
        tx = gd.chain(gd.scale(-(1 + 2.0**-10)), gd.scale(2.0**-9))
        one = jnp.ones([], jnp.bfloat16)
        for run in (lambda f, *a: f(*a), lambda f, *a: jax.jit(f)(*a)):
            u, state = run(tx.update, one, tx.init(one), one)
            assert u.dtype == jnp.float32 and float(u) == -(2.0**-9) * (1 + 2.0**-10)
            # The neighbours of 1 − u are 1 and 1 − 2⁻⁸. Rounded to 16 bits before, u would be
            # their middle, and 1 the answer.
            p = run(gd.apply_updates, one, u)
            assert p.dtype == jnp.bfloat16 and float(p) == 1 - 2.0**-8
            p, _ = run(tx.step, one, state, one)
            assert p.dtype == jnp.bfloat16 and float(p) == 1 - 2.0**-8

    def test_small_updates_of_two_stages_add_up_wide(self):
        tx = gd.chain(gd.sgd(1e-3), gd.decay_weights(1e-3))
        one = jnp.ones([], jnp.bfloat16)
        u, _ = tx.update(one, tx.init(one), one)
        assert u.dtype == jnp.float32 and float(u) == pytest.approx(-2e-3, rel=1e-6)
        assert float(gd.apply_updates(one, u)) == 1 - 2.0**-8

    @pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
    @pytest.mark.parametrize("grad_dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
    def test_dtypes(self, dtype, grad_dtype):
        params = jnp.array([1.0, 2.0], dtype)
        grads = jnp.array([0.5, -0.25], grad_dtype)
        tx = gd.chain(gd.clip(1.0), gd.adam(jnp.array(0.1, jnp.float16)))
        state = tx.init(params)
        u, after = tx.update(grads, state, params)
        assert u.dtype == jnp.float32
        assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, state)
        assert tx.step(grads, state, params)[0].dtype == dtype

    def test_apply_updates(self):
        params = {"w": jnp.ones(2), "i": jnp.arange(2), "n": None, "x": 1.0}
        updates = {"w": jnp.ones(2), "i": FLOAT0, "n": None, "x": 2.0}
        out = gd.apply_updates(params, updates)
        close(out, {"w": jnp.full(2, 2.0), "i": jnp.arange(2), "n": None, "x": 3.0})
        close(gd.apply_updates(params, {**updates, "w": None})["w"], jnp.ones(2))
        with pytest.raises(ValueError, match="apply_updates: .*'w'"):
            gd.apply_updates(params, {**updates, "w": jnp.ones(3)})
        with pytest.raises(ValueError, match="apply_updates: .*'v'"):
            gd.apply_updates(params, {**updates, "v": jnp.ones(3)})

    @pytest.mark.parametrize("tx", [gd.adamw(0.1), gd.sgd(falling, 0.9), gd.chain(a=gd.clip(1.0))])
    def test_what_does_not_move(self, tx):
        params = {
            "w": jnp.array([1.0, -2.0]),
            "none": None,
            "int": jnp.arange(3),
            "bool": jnp.array(True),
            "key": jax.random.key(0),
        }
        grads = {
            "w": jnp.array([0.3, 0.1]),
            "none": None,
            "int": np.zeros(3, jax.dtypes.float0),
            "bool": FLOAT0,
            "key": FLOAT0,
        }
        state = tx.init(params)
        assert {x.dtype for x in jax.tree.leaves(state)} <= {jnp.dtype("f4"), jnp.dtype("i4")}
        alone = {"w": params["w"]}
        expected = tx.step({"w": grads["w"]}, tx.init(alone), alone)[0]["w"]
        step = jax.jit(lambda state, params: tx.step(grads, state, params))
        for out, after in (tx.step(grads, state, params), step(state, params)):
            close(out["w"], expected)
            assert out["none"] is None and bool(out["bool"])
            np.testing.assert_array_equal(out["int"], np.arange(3))
            assert jnp.all(jax.random.key_data(out["key"]) == jax.random.key_data(params["key"]))
            assert jax.tree.structure(after) == jax.tree.structure(state)
        u, _ = tx.update(grads, state, params)
        assert jax.tree.structure(u) == jax.tree.structure(grads)

    def test_gradients_as_jax_makes_them(self):
        params = {"w": jnp.ones(2), "i": jnp.arange(2)}
        grads = jax.grad(lambda p: jnp.sum(p["w"] * p["i"].astype(float)), allow_int=True)(params)
        assert grads["i"].dtype == jax.dtypes.float0
        tx = gd.adam(0.1)
        out, _ = tx.step(grads, tx.init(params), params)
        close(out, {"w": jnp.array([1.0, 0.9]), "i": jnp.arange(2)})

    @pytest.mark.parametrize("empty", [{}, (), [], {"a": None}])
    def test_empty_trees(self, empty):
        tx = gd.chain(a=gd.clip_by_global_norm(1.0), b=gd.adamw(falling))
        out, _ = tx.step(empty, tx.init(empty), empty)
        assert out == empty

    def test_python_numbers_as_parameters(self):
        tx = gd.sgd(0.1)
        assert float(tx.step(2.0, tx.init(1.0), 1.0)[0]) == pytest.approx(0.8)

    def test_donation(self):
        tx = gd.chain(a=gd.adamw(gd.live(0.1)), b=gd.trace(0.9), c=gd.rmsprop(0.1))
        step = jax.jit(tx.step, donate_argnums=(1, 2))
        params = jax.tree.map(jnp.copy, PARAMS)
        state = tx.init(params)
        expected, other = PARAMS, tx.init(PARAMS)
        for _ in range(2):
            given = jax.tree.leaves((params, state))
            params, state = step(GRADS, state, params)
            assert all(x.is_deleted() for x in given)
            expected, other = tx.step(GRADS, other, expected)
        close(params, expected)
        close(state, other)


def test_decay_after_the_rate_is_warned_of():
    """Its sign is that of a gradient: behind the rate weights grow."""
    with pytest.warns(UserWarning, match=r"add_decayed_weights.* after adam.* makes weights grow"):
        gd.chain(gd.adam(1e-3), gd.add_decayed_weights(1e-2))
    with pytest.warns(UserWarning, match="after scale_by_learning_rate"):
        gd.chain(
            a=gd.scale_by_adam(), b=gd.scale_by_learning_rate(0.1), c=gd.add_decayed_weights(1)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gd.chain(gd.add_decayed_weights(0.1), gd.sgd(0.1))
        gd.chain(gd.adam(1e-3), gd.decay_weights(1e-2))
        gd.chain(gd.adamw(1e-3), gd.ema(0.9))

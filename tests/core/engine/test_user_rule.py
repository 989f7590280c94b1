"""A rule of a user is a transformation like any other."""

from __future__ import annotations

import json
import pickle

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.core.factories import (
    CALLS,
    GRADS,
    PARAMS,
    bare,
    by_value,
    close,
    counted,
    falling,
    leaping,
    scaled,
)


class TestUserRule:
    def test_steps_like_its_update(self):
        CALLS.clear()
        for tx in (leaping(0.1), gd.chain(leaping(0.1)), leaping(jnp.array(0.1))):
            state = tx.init(PARAMS)
            updates, _ = tx.update(GRADS, state, PARAMS)
            params, after = tx.step(GRADS, state, PARAMS)
            close(params, gd.apply_updates(PARAMS, updates))
            assert jax.tree.structure(after) == jax.tree.structure(state)
        assert "step" in CALLS

    def test_step_moves_with_a_schedule(self):
        tx = leaping(falling)
        params, state = PARAMS, tx.init(PARAMS)
        for _ in range(2):
            params, state = tx.step(GRADS, state, params)
        expected = jax.tree.map(lambda p, g: p - (0.1 + 0.05) * g, PARAMS, GRADS)
        close(params, expected)
        assert isinstance(state, gd.states.InjectHyperparamsState) and int(state.count) == 2

    def test_bare_update_gets_no_extra(self):
        for tx in (bare(0.5), gd.chain(bare(0.5)), gd.chain(a=gd.identity(), b=bare(falling))):
            u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, value=1.0, anything=2.0)
            factor = 0.1 if "falling" in repr(tx) else 0.5
            close(u, scaled(-factor, GRADS))

    def test_is_data_like_any_other(self):
        tx = gd.chain(counted(0.1), bare(jnp.array(0.1)), by_value(gd.live(0.0)))
        assert pickle.loads(pickle.dumps(tx)) == tx
        assert gd.build(json.loads(json.dumps(gd.spec(tx)))) == tx
        with pytest.raises(ValueError, match=r"bare: rate must lie in \(0, inf\], got 0"):
            bare(0)

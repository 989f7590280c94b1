"""Measurements kept in the state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.rule import tree
from tests.cases import Row
from tests.wrappers.shared import ONE

SGD = gd.sgd(0.1, momentum=0.9)
ADAMW = gd.adamw(0.1, b2=0.99, weight_decay=0.01)


# Functions with a name, so that they pickle.
def is_large(updates: Any) -> Any:
    return gd.global_norm(updates) > 1.0


def numbers(updates: Any) -> Any:
    return [x for x in jax.tree.leaves(updates) if tree.differentiable(x)]


ROWS = [
    Row(gd.snapshot("norm", gd.global_norm)),
    Row(gd.measure_with_ema(gd.global_norm, 0.9)),
    Row(gd.measure_with_ema(is_large, 0.9, debias=False), label="measure_with_ema-biased"),
    Row(
        gd.monitor({"norm": gd.global_norm, "large": gd.measure_with_ema(is_large, 0.9)}),
    ),
    Row(gd.chain(SGD, gd.snapshot("all", numbers), ADAMW), label="snapshot-chain"),
]

# They look on.
PLAIN = {"measure_with_ema", "monitor", "snapshot"}


def test_monitor_in_a_scan():
    tx = gd.chain(
        gd.monitor(
            {
                "norm": gd.global_norm,
                "large": gd.measure_with_ema(lambda u: gd.global_norm(u) > 1.5, 0.5),
                "tree": lambda u: u,
            }
        ),
        gd.sgd(0.1),
    )
    params = jnp.zeros(1, jnp.bfloat16)
    gs = jnp.asarray([[1.0], [2.0]], jnp.bfloat16)
    state, _ = jax.lax.scan(lambda s, g: (tx.update(g, s)[1], None), tx.init(params), gs)
    assert gd.state.find(state, "norm") == 2.0 and gd.state.find(state, "tree") == 2.0
    np.testing.assert_allclose(gd.state.find(state, "large"), 0.5 / 0.75, rtol=1e-6)
    assert set(gd.state.hyperparams(tx, state)) == {"monitor/large/decay", "sgd/learning_rate"}


def test_averages_of_what_is_measured():
    for debias, expected in ((True, 2.0), (False, 1.5)):
        tx = gd.measure_with_ema(lambda u: {"a": u[0], "n": u.size}, 0.5, debias)
        state = tx.init(ONE)
        for g in (4.0, 1.0):
            updates, state = tx.update(g * ONE, state)
            np.testing.assert_array_equal(updates, g * ONE)
        np.testing.assert_allclose(state.measurement["a"], expected)
        assert int(state.count) == 2 and state.ema["n"].dtype == jnp.float32
    moving = gd.monitor({"norm": gd.measure_with_ema(gd.global_norm, lambda step: 0.5)})
    _, state = moving.update(ONE, moving.init(ONE))
    np.testing.assert_allclose(gd.state.find(state, "norm"), 2**0.5, rtol=1e-6)
    with pytest.raises(TypeError, match="monitor: a measure must be a function of the updates, or"):
        gd.monitor({"norm": gd.sgd(0.1)}).init(ONE)
    with pytest.raises(TypeError, match="monitor: measure must be callable"):
        gd.monitor({"norm": 3})
    with pytest.raises(TypeError, match="snapshot: measure must be callable"):
        gd.snapshot("norm", gd.sgd(0.1))


def test_snapshot_keeps_its_dtypes():
    tx = gd.snapshot("count", lambda u: jnp.sum(u > 0))
    state = tx.init(ONE)
    _, after = tx.update(jnp.asarray([1.0, -1.0]), state)
    assert gd.state.find(after, "count") == 1
    assert gd.state.find(after, "count").dtype == gd.state.find(state, "count").dtype


def test_measurements_are_0_before_the_first_step():
    tx = gd.monitor({"sign": lambda u: jax.tree.map(jnp.sign, u)})
    assert gd.state.find(tx.init(jnp.ones(2)), "sign").tolist() == [0, 0]

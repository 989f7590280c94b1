"""State in host memory."""

from __future__ import annotations

import importlib

import chex
import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.cases import Row
from tests.core.lowbit.stored import normal

ROWS = [
    Row(gd.offload(gd.adam(0.1), 1)),
    Row(gd.offload(gd.store(gd.adam(0.1), min_size=1), 2), label="offload-store"),
]

# It changes where state is kept, not what is done with it.
PLAIN = {"offload"}


def test_offload_moves_and_changes_nothing(monkeypatch):
    """On a CPU it leaves all where it is; here it moves as elsewhere, to pinned memory."""
    away = importlib.import_module("gdjax.wrappers.memory.offload")
    params, grads = (
        {"w": normal((64, 64)), "b": normal(3)},
        {"w": normal((64, 64), 1), "b": normal(3, 1)},
    )
    tx, plain = gd.offload(gd.store(gd.adam(0.1))), gd.store(gd.adam(0.1))
    kinds = lambda state: {x.sharding.memory_kind for x in jax.tree.leaves(state) if x.size >= 4096}
    assert kinds(tx.init(params)) == {"device"}
    monkeypatch.setattr(away, "_is_apart", lambda: True)
    state, expected = tx.init(params), plain.init(params)
    assert kinds(state) == {"pinned_host"}
    assert gd.state.find(state, "mu")["b"].sharding.memory_kind == "device"
    body = lambda state, _: (tx.update(grads, state, params)[1], None)
    for _ in range(2):
        updates, state = jax.jit(tx.update)(grads, state, params)
        theirs, expected = plain.update(grads, expected, params)
        chex.assert_trees_all_close(updates, theirs, rtol=1e-6)
        assert kinds(state) == {"pinned_host"}
    scanned, _ = jax.lax.scan(body, tx.init(params), length=2)
    assert kinds(scanned) == {"pinned_host"}
    chex.assert_trees_all_close(scanned.inner_state, expected, rtol=1e-6)


def test_offload_says_where_it_cannot(monkeypatch):
    class Device:
        platform = "other"

        def addressable_memories(self):
            return []

    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    with pytest.raises(RuntimeError, match="the device must have the memory 'pinned_host'"):
        gd.offload(gd.adam(0.1)).init(jnp.ones(3))

"""State in host memory."""

from __future__ import annotations

import importlib

import chex
import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from gdjax import contract
from tests.cases import Row
from tests.core.lowbit.stored import normal
from tests.helpers import first, mesh_of, needs

ROWS = [
    Row(gd.offload(gd.adam(0.1), 1)),
    Row(gd.offload(gd.store(gd.adam(0.1), min_size=1), 2), label="offload-store"),
]

# It changes where state is kept, not what is done with it.
PLAIN = {"offload"}


@pytest.fixture
def apart(monkeypatch):
    """Host and device have memories of their own, as with a GPU; those of a CPU have two kinds."""
    there = jax.device_put(jnp.ones(1), jax.memory.Space.Host).sharding.memory_kind
    if there != "pinned_host":  # jax 0.7.2 on a CPU
        pytest.skip(f"needs a jax that keeps arrays in the host's memory, got {there}")
    away = importlib.import_module("gdjax.wrappers.memory.offload")
    monkeypatch.setattr(away, "_is_apart", lambda: True)
    jax.clear_caches()  # of what was traced where it is not
    yield
    jax.clear_caches()


def kinds(state):
    """In what memories the large arrays are."""
    return {x.sharding.memory_kind for x in jax.tree.leaves(state) if x.size >= 4096}


def test_on_a_cpu_all_stays_where_it_is():
    needs(platform="cpu")
    assert kinds(gd.offload(gd.adam(0.1)).init(normal((64, 64)))) == {"device"}


def test_offload_moves_and_changes_nothing(apart):
    params, grads = (
        {"w": normal((64, 64)), "v": normal(4096), "b": normal(3)},
        {"w": normal((64, 64), 1), "v": normal(4096, 1), "b": normal(3, 1)},
    )
    tx, plain = gd.offload(gd.store(gd.adam(0.1))), gd.store(gd.adam(0.1))
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


READ = [
    "stays_finite",
    "is_differentiable",
    "is_placed_like_parameters",
    "agrees_when_sharded",
    "agrees_with_jit",
    "saves_and_restores",
    "survives_donation",
]


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("promise", first(3, READ))
def test_promises_hold_of_what_is_in_the_host(promise, row, apart):
    contract.PROMISES[promise](row.subject)


def second(tx, params):
    """The state after a step."""
    return tx.update(jax.tree.map(jnp.cos, params), tx.init(params), params)[1]


PARAMS = {"w": jnp.linspace(-1.0, 1.0, 4096).reshape(64, 64), "b": jnp.ones(3)}
ROWS_OF_W = {"w": jnp.arange(64) % 2 == 0}
READERS = {
    "reset": lambda tx, state: gd.state.reset(tx, state, PARAMS, ROWS_OF_W),
    "replace": lambda tx, state: gd.state.replace(
        state, "mu", lambda mu: {**mu, "w": mu["w"] + PARAMS["w"]}
    ),
    "from_dict": lambda tx, state: gd.state.from_dict(tx, PARAMS, gd.state.to_dict(tx, state))[0],
}


CALLS = [(name, gd.adam(0.1)) for name in READERS]
CALLS += [(name, gd.store(gd.adam(0.1))) for name in ("reset", "from_dict")]


@pytest.mark.parametrize(("name", "inside"), CALLS, ids=lambda of: of if of in READERS else of.name)
def test_functions_of_state_read_the_host(name, inside, apart):
    """As without `offload`, eagerly and compiled, and the state stays in the host."""
    tx, read = gd.offload(inside), READERS[name]
    expected = read(inside, second(inside, PARAMS))
    for call in (read, jax.jit(read, static_argnums=0)):
        after = call(tx, second(tx, PARAMS))
        assert kinds(after) == {"pinned_host"}
        chex.assert_trees_all_close(after.inner_state, expected, rtol=1e-6)


def test_moments_in_the_host_become_few_bits(apart):
    """What was saved without a copy to NumPy is still in the host."""
    wide, narrow = gd.offload(gd.adam(0.1)), gd.offload(gd.store(gd.adam(0.1)))
    for old, new in ((wide, narrow), (narrow, wide)):
        saved = gd.state.to_dict(old, second(old, PARAMS))
        state, report = gd.state.from_dict(new, PARAMS, saved, strict=False)
        assert kinds(state) == {"pinned_host"} and report.changed


def test_sharding_state_tells_the_memory(apart):
    mesh = mesh_of("Auto")
    at = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    params = {"w": jax.device_put(PARAMS["w"], at), "b": jnp.ones(8)}
    tx = gd.offload(gd.adam(0.1))
    places = gd.sharding.state(tx, params)
    state = jax.jit(tx.init, out_shardings=places)(params)
    for x, place in zip(jax.tree.leaves(state), jax.tree.leaves(places)):
        kind = "pinned_host" if x.size >= 4096 else "device"
        assert x.sharding.memory_kind == place.memory_kind == kind, x.shape


def test_offload_says_where_it_cannot(monkeypatch):
    class Device:
        platform = "other"

        def addressable_memories(self):
            return []

    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    with pytest.raises(RuntimeError, match="the device must have the memory 'pinned_host'"):
        gd.offload(gd.adam(0.1)).init(jnp.ones(3))

"""State on a mesh: every array of it lies where its parameter does."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import gdjax as gd
from gdjax import contract
from gdjax.contract import on_mesh
from tests.helpers import first, mesh_of

MESH = mesh_of("Auto", (4, 2), ("data", "model"))
SPECS = {
    "w": P("data", "model"),
    "square": P(None, "model"),
    "stack": P(None, None, ("data", "model")),
    "b": P("model"),
    "gain": P(),
}
SHAPES = {"w": (256, 128), "square": (128, 128), "stack": (3, 128, 256), "b": (128,), "gain": ()}
PARAMS = {
    name: jax.device_put(jnp.ones(SHAPES[name]), NamedSharding(MESH, spec))
    for name, spec in SPECS.items()
}


def specs(tx, field, params=PARAMS):
    found = gd.state.find(gd.sharding.state(tx, params), field)
    return jax.tree.map(lambda at: at.spec, found)


@pytest.mark.parametrize(
    "tx",
    first(
        3,
        [
            gd.adamw(gd.linear_to_zero(0.1, 10)),
            gd.lion(0.1),
            gd.adafactor(0.1),
            gd.came(0.1),
            gd.sm3(0.1),
            gd.muon(
                0.1,
                matrix_axes=lambda p: {n: "in out" if n in ("w", "square") else None for n in p},
            ),
            gd.schedule_free_adamw(0.1),
            gd.accumulate(gd.groups(gd.adamw(0.1), ("b", gd.frozen)), 2),
            gd.with_ema(gd.skip_spikes(gd.masked(gd.adam(0.1), "matrices"), loss=None), 0.9),
            gd.store(gd.adamw(0.1)),
            gd.chain(gd.clip_by_global_norm(1.0), gd.trace(0.9)),
        ],
    ),
    ids=lambda tx: tx.name,
)
def test_made_where_it_belongs_and_stays_there(tx):
    placed = gd.sharding.state(tx, PARAMS)
    state = jax.jit(tx.init, out_shardings=placed)(PARAMS)
    _, after = jax.jit(tx.update)(PARAMS, state, PARAMS)
    for at, before, now in zip(*map(jax.tree.leaves, (placed, state, after))):
        assert before.sharding == at and now.sharding.is_equivalent_to(at, now.ndim)
    largest = max(jax.tree.leaves(state), key=lambda x: x.size)
    assert len({str(s.index) for s in largest.addressable_shards}) == 8  # on all devices, in parts


def test_moments_are_placed_as_parameters():
    assert specs(gd.adamw(0.1), "nu") == SPECS
    assert specs(gd.adamw(0.1), "count") == P()
    halves = gd.with_master_weights(gd.sgd(0.1))
    params = jax.tree.map(
        lambda p: jax.ShapeDtypeStruct(p.shape, jnp.bfloat16, sharding=p.sharding), PARAMS
    )
    assert specs(halves, "master", params) == SPECS


def test_factors_keep_their_axis():
    """Of square matrices too, where the shape alone does not tell it."""
    row, column, whole = (specs(gd.adafactor(0.1), name) for name in ("v_row", "v_col", "v"))
    assert (row["w"], column["w"]) == (P("model"), P("data"))
    assert (row["square"], column["square"]) == (P(None), P("model"))
    assert (row["stack"], column["stack"]) == (P(None, None), P(None, ("data", "model")))
    assert whole["b"] == P("model") and whole["w"] is None
    assert specs(gd.sm3(0.1), "mu")["stack"] == (P(None), P(None), P(("data", "model")))


def test_memories_have_an_axis_in_front():
    tx = gd.scale_by_lbfgs(3)
    assert specs(tx, "diff_params_memory")["w"] == P(None, "data", "model")
    assert specs(tx, "weights_memory") == P()


def test_scales_of_few_bits_lie_with_whole_blocks():
    held = gd.state.find(gd.sharding.state(gd.store(gd.adam(0.1)), PARAMS), "mu")
    codes, scale = jax.tree.leaves(held["w"])
    assert codes.spec == P("data", "model") and scale.spec == P("data", None)


def test_what_follows_an_axis_twice_is_split_once():
    """Preconditioners of the sides [m, m] and [n, n], of a stack too, and of blocks."""
    params = {name: PARAMS[name] for name in ("w", "square")}
    for tx, field in ((gd.scale_by_soap(), "statistics"), (gd.scale_by_kron(), "factors")):
        assert specs(tx, field, params) == {
            "square": (P(None, None), P("model", None)),
            "w": (P("data", None), P("model", None)),
        }
    turned = specs(gd.scale_by_soap(matrix_axes="out in"), "statistics", params)
    assert turned["w"] == (P("model", None), P("data", None))
    layers = NamedSharding(MESH, P("data", None, "model"))
    stack = {"w": jax.ShapeDtypeStruct((4, 24, 16), jnp.float32, sharding=layers)}
    left, right = specs(gd.scale_by_soap(matrix_axes="n in out"), "statistics", stack)["w"]
    assert (left, right) == (P("data", None, None), P("data", "model", None))
    heads = {"w": jax.ShapeDtypeStruct((64, 3 * 8 * 5), jnp.float32, sharding=PARAMS["w"].sharding)}
    left, right = specs(gd.scale_by_soap(matrix_axes="in (3 8 out)"), "statistics", heads)["w"]
    assert left == P(None, None, "data", None) and len(right) == 4 and "data" not in right


def test_blocks_lie_where_whole_ones_do():
    tx = gd.scale_by_shampoo(block_size=32)  # w is [8·32, 4·32]
    for side in specs(tx, "statistics", {"w": PARAMS["w"]})["w"]:
        assert side == P("data", "model", None, None)
    tx = gd.scale_by_shampoo(block_size=128)  # [2·128, 1·128]: two on four devices do not go
    left, right = specs(tx, "statistics", {"w": PARAMS["w"]})["w"]
    assert "data" not in left and right == P(None, None, "model", None)


def test_what_is_not_placed_is_on_all_devices():
    params = {"w": PARAMS["w"], "new": jnp.ones(8)}
    assert specs(gd.trace(0.9), "trace", params) == {"w": SPECS["w"], "new": P(None)}
    alone = gd.sharding.state(gd.trace(0.9), {"w": jnp.ones((8, 2))}, MESH)
    assert alone.trace["w"] == NamedSharding(MESH, P(None, None))


def test_says_what_is_wrong():
    with pytest.raises(ValueError, match="on one mesh .*got 0 meshes.*device_put"):
        gd.sharding.state(gd.adam(0.1), {"w": jnp.ones(3)})


@pytest.mark.parametrize(
    "tx",
    first(
        3,
        [
            gd.adamw(0.1),
            gd.adafactor(0.1, min_dim_size_to_factor=4),
            gd.chain(gd.clip_by_global_norm(0.1), gd.lamb(0.1)),
            gd.store(gd.adam(0.1), block=1, min_size=1),
            gd.apply_if_finite(gd.accumulate(gd.lion(0.1), 2)),
        ],
    ),
    ids=lambda tx: tx.name,
)
def test_the_promise_holds_where_the_compiler_places(tx):
    """As the contract has it for Explicit axes."""
    on_mesh.agrees_on(contract.Subject(tx), jax.sharding.AxisType.Auto)


class Foreign(NamedTuple):
    init: Any
    update: Any


def test_the_promise_can_be_broken():
    """By state that leaves its place, and by numbers that depend on the devices."""
    on_mesh_now = lambda: not jax.sharding.get_abstract_mesh().empty

    def gathered(updates, state, params=None):
        if on_mesh_now():
            return updates, (jax.tree.map(lambda g: jax.sharding.reshard(g, P()), updates),)
        return updates, (updates,)

    def counting(updates, state, params=None):
        return jax.tree.map(lambda g: g * (1 + on_mesh_now()), updates), state

    init = lambda params: (jax.tree.map(jnp.zeros_like, params),)
    for update, message in ((gathered, r"\['b'\].*NamedSharding"), (counting, "not .*equal")):
        with pytest.raises(AssertionError, match=message):
            on_mesh.agrees_when_sharded(contract.Subject(Foreign(init, update)))


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("tx", [gd.adamw(0.1), gd.adafactor(0.1)], ids=["adamw", "adafactor"])
def test_both_kinds_of_axes(tx, kind):
    mesh = mesh_of(kind, (4, 2), ("data", "model"))
    at = NamedSharding(mesh, P("data", "model"))
    params = {"w": jax.device_put(jnp.ones((256, 128)), at)}
    placed = gd.sharding.state(tx, params)
    state = jax.jit(tx.init, out_shardings=placed)(params)
    updates, state = jax.jit(tx.update)(params, state, params)
    assert updates["w"].sharding.is_equivalent_to(at, 2)
    for want, now in zip(*map(jax.tree.leaves, (placed, state))):
        assert now.sharding.is_equivalent_to(want, now.ndim)
    alone = tx.update(*map(jax.device_get, (params, tx.init(params), params)))[0]
    np.testing.assert_allclose(updates["w"], alone["w"], rtol=1e-6)

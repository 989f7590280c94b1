"""Matrices dealt out on a mesh: who makes which, and what is sent."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import gdjax as gd
from tests.helpers import collectives, first, mesh_of

SPECS = [P("data", "model"), P(("data", "model")), P("model"), P(None, "data"), P()]
NAMES = ["two axes", "rows", "rows on some", "columns on some", "replicated"]
PARAMS = {
    f"layer{i}": jax.random.normal(jax.random.key(i), (16, 16)) for i in range(11)
}  # 11: the last devices have less to do
TX = gd.muon(0.1)


def grid(kind):
    return mesh_of(kind, (4, 2), ("data", "model"))


def compiled(tx, spec, kind, params=PARAMS):
    """What the step on a mesh makes, and its program."""
    with jax.set_mesh(grid(kind)):
        params = jax.device_put(params, NamedSharding(grid(kind), spec))
        placed = gd.sharding.state(tx, params)
        state = jax.jit(tx.init, out_shardings=placed)(params)
        run = jax.jit(tx.step).lower(params, state, params).compile()
        return *run(params, state, params), run.as_text()


@pytest.fixture(scope="module")
def alone():
    return jax.jit(TX.step)(PARAMS, TX.init(PARAMS), PARAMS)[0]


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("spec", first(2, SPECS), ids=NAMES)
def test_two_all_to_alls_whatever_the_sharding(spec, kind, alone):
    tx = gd.sharding.placed(TX, spec) if kind == "Auto" else TX
    params, _, text = compiled(tx, spec, kind)
    for name, want in alone.items():
        np.testing.assert_allclose(params[name], want, atol=1e-6)
        assert params[name].sharding.is_equivalent_to(NamedSharding(grid(kind), spec), 2)
    sent = collectives(text)[0]
    split = bool(any(spec))
    gathers = 0 if spec in SPECS[:2] else 1  # of what several devices have, one made it
    assert sent == {k: n for k, n in {"all-to-all": 2 * split, "all-gather": gathers}.items() if n}
    # 11 matrices are 16 with zeros, and two for each device.
    # Inside of that are the five steps of the iteration.
    assert set(re.findall(r'"known_trip_count":\{"n":"(\d+)"', text)) <= {"2", "5"}


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_where_the_compiler_alone_knows(spec, alone):
    params, _, text = compiled(TX, spec, "Auto")
    for name, want in alone.items():
        np.testing.assert_allclose(params[name], want, atol=1e-6)
    sent = collectives(text)[0]
    assert set(sent) == {"all-gather"} and sent["all-gather"] <= 3


@pytest.mark.parametrize("count", first(1, [3, 2]))
def test_fewer_matrices_than_devices_are_not_padded(count):
    """Without `placed` neither: what is sent and kept is what the matrices are, not the devices."""
    few = {name: PARAMS[name] for name in [*PARAMS][:count]}
    alone = jax.jit(TX.step)(few, TX.init(few), few)[0]
    spec = P("data", "model")
    params, _, text = compiled(TX, spec, "Auto", few)
    for name, want in alone.items():
        np.testing.assert_allclose(params[name], want, atol=1e-6)
    assert collectives(text)[0] == {"all-gather": 2, "all-reduce": 1}
    assert "[8,16,16]" not in text.replace(" ", "")


LAYERS = {"up": jax.random.normal(jax.random.key(1), (8, 16, 24))}
WITH_BASES = {
    "soap": gd.soap(0.1, skip_first=False, matrix_axes="n in out"),
    "shampoo": gd.shampoo(0.1, matrix_axes="n in out"),
    "kron": gd.kron(0.1, matrix_axes="n in out"),
}


@pytest.mark.parametrize("name", first(1, WITH_BASES))
def test_bases_of_stacked_layers_stay_with_their_owners(name):
    """Nothing is sent if the layers are split; else gradients, moments and updates alone."""
    tx = WITH_BASES[name]
    alone, kept = jax.jit(tx.step)(LAYERS, tx.init(LAYERS), LAYERS)
    for spec in (P(("data", "model")), P(None, "data", "model"), P("data", None, "model")):
        params, state, text = compiled(tx, spec, "Explicit", LAYERS)
        np.testing.assert_allclose(params["up"], alone["up"], atol=1e-5)
        sent = collectives(text)[0]
        assert set(sent) <= {"all-to-all"} and sent.get("all-to-all", 0) <= 5 * (spec[1:] != ())
        squares = [x for x in jax.tree.leaves(state) if x.ndim > 2 and x.shape[-2] == x.shape[-1]]
        assert len(squares) >= 2
        for x in squares:
            assert x.addressable_shards[0].data.shape == (1, *x.shape[1:])


EXPERTS = {  # [layers, experts, in, out]
    "up": jax.random.normal(jax.random.key(1), (3, 8, 16, 24)),
    "down": jax.random.normal(jax.random.key(2), (3, 8, 24, 16)),
}


@pytest.mark.parametrize("name", first(1, ["muon", "soap"]))
@pytest.mark.parametrize(
    "spec, sent",
    [
        (P(None, ("data", "model")), set()),
        (P(None, "data", None, "model"), {"all-to-all"}),
        (P(None, None, "data", "model"), {"all-to-all"}),
        (P(None, "data"), {"all-gather"}),  # two devices have the same, each does a half
    ],
    ids=str,
)
def test_experts_that_are_split_stay_where_they_are(spec, sent, name):
    more = {"soap": {"skip_first": False}}.get(name, {})
    tx = getattr(gd, name)(0.1, matrix_axes="n n in out", **more)
    alone = jax.jit(tx.step)(EXPERTS, tx.init(EXPERTS), EXPERTS)[0]
    params, _, text = compiled(tx, spec, "Explicit", EXPERTS)
    for key, want in alone.items():
        np.testing.assert_allclose(params[key], want, atol=1e-6)
        assert params[key].sharding.is_equivalent_to(NamedSharding(grid("Explicit"), spec), 4)
    found = collectives(text)[0]
    assert set(found) == sent if name == "muon" else set(found) >= sent
    assert found.get("all-gather", 0) <= (2 if name == "muon" else 12)


def test_stacks_and_vectors_and_a_single_matrix():
    axes = gd.matrix_axes({"stack": "n in out", "one": "in out", "qkv": "in (3 2 out)"})
    tx = gd.chain(gd.trace(0.9), gd.orthogonalize(matrix_axes=axes))
    key = jax.random.key(0)
    params = {
        "stack": jax.random.normal(key, (3, 8, 16)),
        "one": jax.random.normal(key, (16, 8)),
        "qkv": jax.random.normal(key, (8, 48)),
        "v": jnp.ones(8),
    }
    specs = {"stack": P(None, "data", "model"), "one": P("data"), "qkv": P("data", "model")}
    specs["v"] = P("model")
    alone = tx.update(params, tx.init(params))[0]
    mesh = grid("Explicit")
    with jax.set_mesh(mesh):
        on = {k: jax.device_put(params[k], NamedSharding(mesh, specs[k])) for k in params}
        state = jax.jit(tx.init, out_shardings=gd.sharding.state(tx, on))(on)
        updates, _ = jax.jit(tx.update)(on, state)
    for name, want in alone.items():
        assert updates[name].sharding.is_equivalent_to(on[name].sharding, want.ndim)
        np.testing.assert_allclose(updates[name], want, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind, count", [("Explicit", 11), ("Auto", 11), ("Auto", 3)])
def test_goes_through_derivatives_and_sweeps(kind, count):
    mesh = grid(kind)
    some = {name: PARAMS[name] for name in [*PARAMS][:count]}

    def length(rate, params):
        tx = gd.muon(rate)
        updates, _ = tx.update(params, tx.init(params), params)
        return sum(jnp.sum(u**2) for u in jax.tree.leaves(updates))

    slope = jax.grad(length, argnums=(0, 1))
    want = slope(0.1, some)
    with jax.set_mesh(mesh):
        params = jax.device_put(some, NamedSharding(mesh, P("data", "model")))
        found = jax.jit(slope)(0.1, params)
        rates = jnp.array([0.1, 0.2])
        several = jax.jit(jax.vmap(length, (0, None)))(rates, params)
    np.testing.assert_allclose(found[0], want[0], rtol=1e-5)
    for name in some:
        np.testing.assert_allclose(found[1][name], want[1][name], atol=1e-5)
    np.testing.assert_allclose(several[1] / several[0], 4, rtol=1e-5)


def test_placed_takes_a_tree_of_specs_and_arguments():
    specs = {name: P("data") for name in PARAMS}
    tx = gd.sharding.placed(gd.chain(gd.muon(0.1), gd.scale_by_backtracking_linesearch(4)), specs)
    mesh = grid("Auto")
    fn = lambda p: sum(jnp.sum(x**2) for x in jax.tree.leaves(p))
    with jax.set_mesh(mesh):
        params = jax.device_put(PARAMS, NamedSharding(mesh, P("data")))

        def step(params, state):
            value, grad = jax.value_and_grad(fn)(params)
            return tx.step(grad, state, params, value=value, grad=grad, value_fn=fn)

        moved, _ = jax.jit(step)(params, tx.init(params))
    assert fn(moved) < fn(PARAMS)


@pytest.mark.parametrize("name", first(1, ["muon", "shampoo", "kron", "galore"]))
def test_the_mesh_is_known_from_the_arrays_where_none_is_set(name):
    """A stack that is split by matrices, and a matrix by its rows: both failed inside of JAX."""
    params = {"w": jax.random.normal(jax.random.key(0), (16, 16)), "s": jnp.ones((8, 4, 8))}
    tx = getattr(gd, name)(0.1, matrix_axes=gd.matrix_axes({"w": "in out", "s": "n in out"}))
    alone = jax.jit(tx.update)(params, tx.init(params), params)[0]
    mesh = grid("Explicit")
    on = {k: jax.device_put(params[k], NamedSharding(mesh, P("data"))) for k in params}
    state = tx.init(on)  # JAX cannot jit what makes new arrays only, without a mesh
    updates = jax.jit(tx.update)(on, state, on)[0]
    for key, want in alone.items():
        assert jax.typeof(updates[key]).sharding.spec[0] == "data"
        np.testing.assert_allclose(updates[key], want, atol=1e-4)


@pytest.mark.parametrize("name", first(1, ["store", "flatten", "adafactor"]))
def test_others_know_it_too(name):
    tx = {
        "store": lambda: gd.store(gd.adamw(0.1), "8bit"),
        "flatten": lambda: gd.flatten(gd.adamw(0.1)),
        "adafactor": lambda: gd.adafactor(0.1, min_dim_size_to_factor=8),
    }[name]()
    params = {"w": jax.random.normal(jax.random.key(0), (64, 64)), "b": jnp.ones(64)}
    mesh = grid("Explicit")
    on = {k: jax.device_put(params[k], NamedSharding(mesh, P("data"))) for k in params}
    states = tx.init(params), tx.init(on)
    abstract = jax.tree.map(jax.typeof, on)
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), abstract
    )
    shapes = lambda state: [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
    assert shapes(jax.eval_shape(tx.init, like)) == shapes(states[0]) == shapes(states[1])
    alone, there = (jax.jit(tx.update)(p, s, p)[0] for p, s in zip((params, on), states))
    for key, want in alone.items():
        np.testing.assert_allclose(there[key], want, atol=1e-4)

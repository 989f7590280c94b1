"""ZeRO-1: state in parts, numbers those of one device, and what goes between devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import gdjax as gd
from tests.cases import Row
from tests.helpers import collectives, first, mesh_of

ROWS = [Row(gd.sharding.zero(gd.adamw(0.1)))]

# It changes where state is kept, not what is done with it.
PLAIN = {"zero"}
KINDS = pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda k: k.name)
SHAPES = {"w": (16, 24), "v": (24, 8), "stack": (3, 8, 16), "b": (8,), "odd": (3,), "gain": ()}
SPLIT = {"w": 0, "v": 0, "stack": 1, "b": 0}  # the first axis that 8 divides


def numbers(seed, lead=()):
    rng = np.random.default_rng(seed)
    return {k: np.float32(rng.standard_normal((*lead, *s))) for k, s in SHAPES.items()}


def lies_at(arrays, places):
    for x, at in zip(jax.tree.leaves(arrays), jax.tree.leaves(places), strict=True):
        assert x.sharding.is_equivalent_to(at, x.ndim), (x.sharding, at)


def trained(tx, mesh=None, steps=3):
    """Parameters and state after some steps."""
    place = lambda x: x if mesh is None else jax.device_put(x, NamedSharding(mesh, P()))
    params = place(numbers(0))
    state, step = jax.jit(tx.init)(params), jax.jit(tx.step)
    for i in range(steps):
        params, state = step(place(numbers(1 + i)), state, params)
    return params, state


ANY = {
    "adamw": gd.adamw(gd.linear_to_zero(0.1, 10)),
    "clipped": gd.chain(gd.clip_by_global_norm(0.3), gd.adamw(0.1)),
    "adafactor": gd.adafactor(0.1, min_dim_size_to_factor=4),
    "lamb": gd.lamb(0.1),
    "muon": gd.muon(0.1),
    "accumulate": gd.accumulate(gd.adam(0.1), 2),
    "store": gd.store(gd.adam(0.1), block=4, min_size=1),
}


@KINDS
@pytest.mark.parametrize("name", first(3, ANY))
def test_is_the_inner_transformation_in_parts(name, kind):
    """After three steps: float32's rounding of sums, in another order, is all that differs."""
    expected, whole = trained(ANY[name])
    mesh, tx = mesh_of(kind), gd.sharding.zero(ANY[name])
    with jax.set_mesh(mesh):
        params, state = trained(tx, mesh)
    lies_at(state, gd.sharding.state(tx, params))
    lies_at(params, jax.tree.map(lambda p: NamedSharding(mesh, P()), params))
    for ours, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    if name != "adafactor":  # which keeps no array as large as a matrix
        largest = lambda state: max(jax.tree.leaves(state), key=lambda x: x.size)
        assert largest(state).addressable_shards[0].data.size * 8 == largest(whole).size


def loss(params, x):
    hidden = jnp.tanh(x @ params["w"]) @ params["v"] + params["b"][None]
    return jnp.mean(hidden**2) * (params["odd"].sum() + params["gain"] + params["stack"].sum())


@KINDS
def test_gradients_are_reduced_and_scattered_and_what_is_new_is_gathered(kind):
    tx, mesh = gd.sharding.zero(gd.adamw(0.1)), mesh_of(kind)
    batch = np.float32(np.random.default_rng(9).standard_normal((8, 4, 16)))

    def step(params, state, batch):
        grads = jax.vmap(jax.grad(loss), (None, 0))(params, batch)
        return tx.step(gd.sharding.reduce_scatter(grads), state, params)

    with jax.set_mesh(mesh):
        params = jax.device_put(numbers(0), NamedSharding(mesh, P()))
        state = jax.jit(tx.init)(params)
        batch = jax.device_put(batch, NamedSharding(mesh, P("data")))
        program = jax.jit(step).lower(params, state, batch).compile()
        moved, after = program(params, state, batch)
    count, most = collectives(program.as_text())
    assert count["reduce-scatter"] == count["all-gather"] == len(SPLIT)
    assert most["all-reduce"] <= 3 and not count["all-to-all"] + count["collective-permute"]
    for field in ("mu", "nu"):
        for name, x in gd.state.find(after, field).items():
            parts = 8 if name in SPLIT else 1
            assert x.addressable_shards[0].data.nbytes * parts == x.nbytes
    grads = jax.grad(lambda p: loss(p, np.asarray(batch).reshape(32, 16)))(numbers(0))
    alone = gd.adamw(0.1)
    want, _ = alone.step(grads, alone.init(numbers(0)), numbers(0))
    for name in SHAPES:
        np.testing.assert_allclose(moved[name], want[name], rtol=1e-5, atol=1e-5)


def test_slices_need_nothing_sent():
    """Gradients that are averaged already: all that is sent is what is new."""
    mesh = mesh_of(AxisType.Explicit)
    tx = gd.sharding.zero(gd.adam(0.1))
    with jax.set_mesh(mesh):
        params = jax.device_put(numbers(0), NamedSharding(mesh, P()))
        args = params, jax.jit(tx.init)(params), params
        count, _ = collectives(jax.jit(tx.update).lower(*args).compile().as_text())
    assert count == {"all-gather": len(SPLIT)}


@KINDS
def test_state_knows_its_slices_wherever_it_stands(kind):
    mesh = mesh_of(kind)
    with jax.set_mesh(mesh):
        params = jax.device_put(numbers(0), NamedSharding(mesh, P()))
        within = gd.groups(gd.sharding.zero(gd.sgd(0.1, momentum=0.9)), ("b", gd.frozen))
        tx = gd.chain(gd.trace(0.5), gd.with_ema(gd.accumulate(within, 2), 0.9))
        state = jax.jit(tx.init, out_shardings=gd.sharding.state(tx, params))(params)
        _, state = jax.jit(tx.step)(params, state, params)
        outside, inside = gd.state.find_all(gd.sharding.state(tx, params), "trace").values()
    assert outside["w"].spec == P(None, None) and inside["w"].spec == P("data", None)
    _, found = gd.state.find_all(state, "trace").values()
    lies_at(found, inside)


@pytest.mark.slow
def test_evaluates_whole():
    tx, mesh = gd.schedule_free_adamw(0.1), mesh_of(AxisType.Explicit)
    params, state = trained(tx)
    expected = gd.state.eval_params(tx, state, params)
    with jax.set_mesh(mesh):
        shared = gd.sharding.zero(tx)
        params, state = trained(shared, mesh)
        at = gd.state.eval_params(shared, state, params)
    lies_at(at, jax.tree.map(lambda p: NamedSharding(mesh, P()), params))
    for name in SHAPES:
        np.testing.assert_allclose(at[name], expected[name], rtol=1e-5, atol=1e-6)


@KINDS
def test_beside_axes_of_the_model(kind):
    """Arrays that are split over another axis are split over both."""
    mesh = mesh_of(kind, (4, 2), ("data", "model"))
    tx = gd.sharding.zero(gd.adamw(0.1))
    at = NamedSharding(mesh, P(None, "model"))
    grads = numbers(1, (4,))["w"]
    with jax.set_mesh(mesh):
        params = {"w": jax.device_put(numbers(0)["w"], at)}
        state = jax.jit(tx.init, out_shardings=gd.sharding.state(tx, params))(params)
        given = jax.device_put(grads, NamedSharding(mesh, P("data", None, "model")))
        mean = jax.jit(gd.sharding.reduce_scatter)({"w": given})
        updates, state = jax.jit(tx.update)(mean, state, params)
    both = NamedSharding(mesh, P("data", "model"))
    lies_at(gd.state.find(state, "mu"), {"w": both})
    lies_at((mean, updates), ({"w": both}, {"w": at}))
    alone = gd.adamw(0.1)
    params = {"w": numbers(0)["w"]}
    want, _ = alone.update({"w": grads.mean(0)}, alone.init(params), params)
    np.testing.assert_allclose(updates["w"], want["w"], rtol=1e-5, atol=1e-6)


def test_without_a_mesh_it_is_the_inner_transformation():
    params = numbers(0)
    tx = gd.sharding.zero(gd.adamw(0.1))
    state = tx.init(params)
    program = jax.jit(tx.update).lower(params, state, params).compile().as_text()
    assert not collectives(program)[0]
    with jax.set_mesh(mesh_of(AxisType.Auto, names=("model",))):
        assert jax.tree.all(jax.tree.map(lambda x: x.is_fully_replicated, tx.init(params)))
    mean = gd.sharding.reduce_scatter({"w": jnp.arange(6.0).reshape(2, 3), "none": None})
    np.testing.assert_array_equal(mean["w"], [1.5, 2.5, 3.5])


def test_says_what_is_wrong():
    with jax.set_mesh(mesh_of(AxisType.Auto)):
        with pytest.raises(ValueError, match=r"leading axis that 8 divides.*got \(4, 2\)"):
            gd.sharding.reduce_scatter(jnp.ones((4, 2)))

        @jax.shard_map(in_specs=P("data"), out_specs=P("data"))
        def inside(x):
            return gd.sharding.zero(gd.sgd(0.1)).init(x) and x

        with pytest.raises(ValueError, match="outside of the shard_map over 'data'"):
            inside(jnp.ones(8))

"""Inside of `shard_map`, where a device sees its shards alone: the numbers of whole arrays."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import gdjax as gd
from tests.helpers import close, first, mesh_of, run

MESH = mesh_of("Auto", (8,), ("d",))
RNG = np.random.default_rng(0)
PARAMS = {"w": np.float32(RNG.standard_normal((16, 3))), "b": np.float32(RNG.standard_normal(8))}
GRADS = [jax.tree.map(lambda p: np.float32(RNG.standard_normal(p.shape)), PARAMS) for _ in range(3)]
SPECS = {"w": P("d"), "b": P("d")}


def whole(tx, grads, method="update"):
    """Parameters and state after some steps."""
    stacked = jax.tree.map(lambda *gs: jnp.stack(gs), *grads)
    of_step = lambda params, t: jax.tree.map(lambda g: g[t], stacked)
    found = run(tx, of_step, PARAMS, len(grads), by=method)
    return found.params, found.state


def run_in_shards(tx, grads, method="update"):
    """The same in one program of all devices; the state is judged to be the same on all."""
    placed = gd.sharding.state(tx, jax.device_put(PARAMS, jax.NamedSharding(MESH, P("d"))))
    specs = jax.tree.map(lambda at: at.spec, placed)

    def shards(params, state, grads):
        for g in grads:
            out, state = getattr(tx, method)(g, state, params)
            params = gd.apply_updates(params, out) if method == "update" else out
        return params, state

    over = jax.shard_map(
        shards,
        mesh=MESH,
        in_specs=(SPECS, specs, [SPECS] * len(grads)),
        out_specs=(SPECS, specs),
    )
    return jax.jit(over)(PARAMS, tx.init(PARAMS), grads)


same = functools.partial(close, rtol=2e-6, atol=1e-6)

OVER = {"axis_name": "d"}
SIZES = [
    gd.scale_by_trust_ratio(0.01, 0.1, 1e-6, **OVER),
    gd.scale_by_lars(0.1, trust_coefficient=0.1, eps=1e-3, **OVER),
    gd.lars(0.5, 0.1, trust_coefficient=0.1, **OVER),
    gd.lamb(0.1, weight_decay=0.1, **OVER),
    gd.fromage(0.1, **OVER),
    gd.clip_by_block_rms(0.1, **OVER),
    gd.scale_by_param_block_rms(0.01, **OVER),
    gd.scale_by_param_block_norm(0.01, **OVER),
    gd.normalize(**OVER),
    gd.normalize_by_update_norm(0.5, 0.1, **OVER),
    gd.clip_by_global_norm(0.1, **OVER),
]


@pytest.mark.parametrize("tx", first(5, SIZES), ids=lambda tx: tx.name)
def test_sizes_are_those_of_whole_arrays(tx):
    alone = tx.replace(axis_name=None)
    expected, ours = whole(alone, GRADS[:2]), run_in_shards(tx, GRADS[:2])
    same(ours, expected)
    with pytest.raises((AssertionError, ValueError)):  # of one shard they are others
        same(run_in_shards(alone, GRADS[:2])[0], expected[0])


@pytest.mark.parametrize("axes", ["d", ("d", "e")], ids=str)
def test_what_is_the_same_on_all_devices_counts_once(axes):
    """Under tensor parallelism a bias is split over fewer axes than a matrix, or over none."""
    mesh = mesh_of("Auto", (4, 2), ("d", "e"))
    specs = {"w": P("d") if axes == "d" else P("d", "e"), "v": P("d"), "gain": P()}
    params = {**LARGE, "gain": np.float32(-3.0)}
    for tx in (
        gd.clip_by_global_norm(0.1, axis_name=axes),
        gd.normalize(axis_name=axes),
        gd.clip_by_block_rms(0.1, axis_name=axes),
        gd.scale_by_param_block_norm(axis_name=axes),
        gd.lamb(0.1, axis_name=axes),
    ):
        alone = tx.replace(axis_name=None)
        expected = alone.update(params, alone.init(params), params)[0]

        def shards(params, tx=tx):
            return tx.update(params, tx.init(params), params)[0]

        over = jax.shard_map(shards, mesh=mesh, in_specs=(specs,), out_specs=specs)
        same(jax.jit(over)(params), expected)


def test_long_gradients_in_part_on_all_devices():
    mesh = mesh_of("Auto", (4, 2), ("d", "e"))
    specs = {"w": P("d", "e"), "v": P("d")}
    skip = functools.partial(gd.skip_large_updates, max_squared_norm=1.0, axis_name=("d", "e"))
    squared = lambda g: skip(g, 0, None)[1]["norm_squared"]
    over = jax.shard_map(squared, mesh=mesh, in_specs=(specs,), out_specs=P())
    want = sum(float((x.astype(float) ** 2).sum()) for x in LARGE.values())
    np.testing.assert_allclose(jax.jit(over)(LARGE), want, rtol=1e-6)


LARGE = {"w": np.float32(RNG.standard_normal((16, 24))), "v": np.float32(RNG.standard_normal(8))}


@pytest.mark.parametrize("spec", [P("d"), P("d", "e"), P(None, ("d", "e"))], ids=str)
def test_factored_means_of_adafactor_are_those_of_whole_arrays(spec):
    """On four devices by two; whichever axis is the longer of a shard, it is that of the whole."""
    mesh = mesh_of("Auto", (4, 2), ("d", "e"))
    about = {"min_dim_size_to_factor": 4, "clipping_threshold": 0.5}
    tx = gd.adafactor(0.1, **about, spec=spec)
    grads = [jax.tree.map(lambda p: np.float32(RNG.standard_normal(p.shape)), LARGE)] * 2
    specs = {"w": spec, "v": P(*spec[:1])}
    place = lambda p, at: jax.device_put(p, jax.NamedSharding(mesh, at))
    placed = gd.sharding.state(tx, jax.tree.map(place, LARGE, specs))
    state = jax.tree.map(lambda at: at.spec, placed)

    def steps(tx, params, state, grads):
        for g in grads:
            params, state = tx.step(g, state, params)
        return params, state

    def in_shards(tx):
        about = {"in_specs": (specs, state, [specs] * 2), "out_specs": (specs, state)}
        over = jax.shard_map(lambda *a: steps(tx, *a), mesh=mesh, **about)
        return jax.jit(over)(LARGE, tx.init(LARGE), grads)

    alone = gd.adafactor(0.1, **about)
    expected = steps(alone, LARGE, alone.init(LARGE), grads)
    assert expected[1][0].v_row["w"].shape == (16,)
    same(in_shards(tx), expected)
    with pytest.raises((AssertionError, ValueError, TypeError)):  # its shapes are others
        same(in_shards(alone)[0], expected[0])


def broken(entry):
    """The second gradient is not finite in one entry, which one device alone sees."""
    second = {**GRADS[1], "w": GRADS[1]["w"].copy()}
    second["w"][5, 1] = entry
    return [GRADS[0], second, GRADS[2]]


GUARDS = [
    gd.apply_if_finite(gd.adam(0.1), **OVER),
    gd.loss_scale(gd.adam(0.1), 4.0, growth_interval=2, **OVER),
    gd.accumulate(gd.adam(0.1), 2, **OVER),
    gd.skip_spikes(gd.adam(0.1), loss=None, **OVER),
]


@pytest.mark.parametrize("method", ["update", "step"])
@pytest.mark.parametrize("tx", first(2, GUARDS), ids=lambda tx: tx.name)
def test_what_one_device_meets_all_of_them_act_on(tx, method):
    grads = broken(np.inf if method == "update" else np.nan)
    expected = whole(tx.replace(axis_name=None), grads, method)
    same(run_in_shards(tx, grads, method), expected)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(expected[0]))


def test_long_gradients_are_long_on_all_devices():
    skip = functools.partial(gd.skip_large_updates, max_squared_norm=40.0)
    tx = gd.accumulate(gd.sgd(0.1), 1, should_skip_update_fn=skip)
    over = functools.partial(skip, axis_name="d")
    grads = [jax.tree.map(lambda g: 0.5 * g, GRADS[0]), GRADS[0]]
    expected = whole(tx, grads)
    assert int(expected[1].skip_state.skipped) == 1
    same(run_in_shards(tx.replace(should_skip_update_fn=over), grads), expected)


def test_all_finite():
    one = lambda x: gd.all_finite(x, axis_name="d")[None]
    ask = jax.jit(jax.shard_map(one, mesh=MESH, in_specs=P("d"), out_specs=P("d")))
    assert ask(jnp.ones(8)).all() and not ask(jnp.ones(8).at[3].set(jnp.nan)).any()

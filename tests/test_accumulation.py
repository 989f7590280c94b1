"""Large batches out of small ones, within a step and over steps: what runs, and in what memory."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from gdjax.lab import bench

ONE = jnp.ones(2)
SIZE = 128


# Programs


@functools.cache
def ours(name, by_update=False):
    tx = {
        "accumulate": gd.accumulate(gd.adam(1e-3), 4),
        "weighted": gd.accumulate(gd.adam(1e-3), 4, use_grad_mean=False),
        "apply_if_finite": gd.apply_if_finite(gd.adam(1e-3)),
        "skip_spikes": gd.skip_spikes(gd.adam(1e-3), None, window=8),
        "loss_scale": gd.loss_scale(gd.adam(1e-3)),
    }[name]
    return bench.cost(tx, bench.large_tree(SIZE), by_update)


# Two leaves of 128 × 128: scalars and rings are 0.05 bytes for each parameter, an array 4 or more.
@pytest.mark.parametrize(
    "name", ["accumulate", "weighted", "apply_if_finite", "skip_spikes", "loss_scale"]
)
def test_a_guarded_step_is_in_place(name):
    found = ours(name)
    assert found.temporary < 0.1 and found.copies == 0


def test_accumulation_by_update_is_in_place_too():
    found = ours("accumulate", by_update=True)
    assert found.temporary < 0.1 and found.copies == 0
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = bench.cost(optax.MultiSteps(optax.adam(1e-3), 4), bench.large_tree(SIZE))
    assert theirs.temporary > 11 and theirs.copies > 0


def test_the_tables_have_them():
    assert {"accumulate(adam, 4)", "apply_if_finite(adam)"} <= set(bench.wrapped())


# Weights


def test_a_weight_has_the_name_it_was_given():
    tx = gd.accumulate(gd.sgd(1.0), 2, weight="tokens")
    assert tx.extra_args == {"tokens": True}
    state = tx.init(ONE)
    with pytest.raises(TypeError, match="needs the extra argument 'tokens'"):
        tx.update(ONE, state)
    with pytest.raises(TypeError, match="Did you mean tokens?"):
        tx.update(ONE, state, token=3)
    with pytest.raises(ValueError, match="weight must be the name of an extra argument"):
        gd.accumulate(gd.sgd(1.0), 2, weight="two words")
    outer = gd.chain(gd.clip_by_global_norm(100.0), tx)
    assert outer.extra_args == {"tokens": True}
    params, state = jnp.zeros(2), outer.init(ONE)
    for g, tokens in ((1.0, 300), (5.0, 100)):
        params, state = outer.step(g * ONE, state, params, tokens=tokens)
    np.testing.assert_allclose(params, -2 * ONE, rtol=1e-6)


def test_a_nan_has_no_weight():
    tx = gd.accumulate(gd.sgd(1.0), 2, weight="tokens")
    params, state = jnp.zeros(2), tx.init(ONE)
    for g, tokens in ((1.0, 300), (jnp.nan, 900), (5.0, 100)):
        params, state = tx.step(g * ONE, state, params, tokens=tokens)
    np.testing.assert_allclose(params, -2 * ONE, rtol=1e-6)
    assert gd.state.metrics(state)["skipped"] == 1 and gd.did_step(state)


def test_an_inner_transformation_that_narrows_does_not_narrow_the_mean():
    """Its updates cannot stand in the place of the mean, which float32 holds."""
    narrow = optax.stateless(lambda u, p: (-u).astype(jnp.bfloat16))
    tx = gd.accumulate(narrow, 2)
    _, state = tx.update(ONE * 1.001, tx.init(ONE), ONE)
    np.testing.assert_array_equal(state.acc_grads, ONE * 1.001)
    updates, state = tx.update(ONE * 1.001, state, ONE)
    assert updates.dtype == jnp.bfloat16 and updates[0] == -1 and not state.acc_grads.any()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16, jnp.complex64])
def test_all_finite_sees_one_number_in_many(dtype):
    x = jnp.full(1000, float(jnp.finfo(dtype).max)).astype(dtype)  # whose sum is not finite
    for program in (gd.all_finite, jax.jit(gd.all_finite)):
        assert program(x)
        for bad in (jnp.nan, jnp.inf, -jnp.inf):
            assert not program(x.at[717].set(bad))
    if dtype == jnp.complex64:
        assert not gd.all_finite(x.at[5].set(complex(0, jnp.nan)))


def test_guards_over_devices():
    """Of a gradient that is split over devices one number is enough, wherever it is."""
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("data",))
    along = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    for at in (0, 9, 15):
        x = jax.device_put(jnp.ones(16).at[at].set(jnp.nan), along)
        assert not jax.jit(gd.all_finite)(x)


# Within a step


X, Y = jax.random.normal(jax.random.key(0), (12, 5)), jnp.arange(12.0)
W = {"w": jnp.linspace(-1.0, 1.0, 5), "n": jnp.asarray(3)}


def loss(params, batch, power=2.0):
    x, y = batch
    return jnp.mean(jnp.abs(x @ params["w"] - y) ** power)


@pytest.mark.parametrize("n", [1, 3, 4, 12])
def test_it_is_the_gradient_of_the_whole_batch(n):
    value, grads = jax.jit(gd.accumulate_gradients(loss, n))(W, (X, Y), 3.0)
    expected, slope = jax.value_and_grad(loss, allow_int=True)(W, (X, Y), 3.0)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(grads["w"], slope["w"], rtol=2e-6)
    assert grads["n"] is None
    moved = gd.apply_updates(W, grads)
    assert moved["n"] == 3


def test_weights_of_microbatches():
    """A mean over tokens, of which microbatches have different numbers, one of them none."""
    mask = jnp.asarray([1, 1, 1, 0] + [1, 0, 1, 0] * 2).astype(float)

    def masked(params, batch):
        x, y, m = batch
        return jnp.sum(m * (x @ params["w"] - y) ** 2) / jnp.sum(m)

    params = {"w": W["w"]}
    tokens = lambda batch: jnp.sum(batch[2])
    value, grads = gd.accumulate_gradients(masked, 4, weight=tokens)(params, (X, Y, mask))
    expected, slope = jax.value_and_grad(masked)(params, (X, Y, mask))
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(grads["w"], slope["w"], rtol=2e-6)
    _, plain = gd.accumulate_gradients(masked, 4)(params, (X, Y, mask))
    assert jnp.isnan(plain["w"]).any()


def test_microbatches_have_keys_and_tell_more():
    def noisy(params, batch, scale, *, rng):
        noise = jax.random.normal(rng, ())
        return jnp.sum(params["w"]) * noise * scale, (noise, batch[1])

    function = gd.accumulate_gradients(noisy, 3, key="rng", has_aux=True)
    (value, (noise, y)), grads = function({"w": W["w"]}, (X, Y), 2.0, rng=jax.random.key(1))
    assert noise.shape == (3,) and len(set(noise.tolist())) == 3
    np.testing.assert_allclose(grads["w"], jnp.full(5, 2 * jnp.mean(noise)), rtol=1e-6)
    np.testing.assert_array_equal(y, Y.reshape(4, 3).T)
    with pytest.raises(TypeError, match="the random key must be given by name, rng="):
        function({"w": W["w"]}, (X, Y), 2.0)


def test_sums_of_16_bit_gradients_are_wide():
    params = jnp.zeros([], jnp.bfloat16)
    linear = lambda p, batch: jnp.sum(p * batch)
    batch = jnp.full(512, 1.01, jnp.bfloat16)
    _, grads = gd.accumulate_gradients(linear, 512)(params, batch)
    assert grads.dtype == jnp.float32
    np.testing.assert_allclose(grads, jnp.bfloat16(1.01).astype(float), rtol=1e-5)


def test_the_memory_is_that_of_one_microbatch():
    wide = jnp.full((8, 512), 0.01)

    def hidden(w, x):
        return jnp.mean(jnp.tanh(jnp.tanh(x @ w) @ w.T) ** 2)

    def temporary(function):
        program = jax.jit(function).lower(wide, jnp.ones((2048, 8))).compile()
        return program.memory_analysis().temp_size_in_bytes

    whole = temporary(jax.value_and_grad(hidden))
    parts = temporary(gd.accumulate_gradients(hidden, 16))
    one = 4 * 2048 // 16 * 512  # bytes of the activations of one microbatch
    assert whole > 16 * one and parts < 4 * one + 4 * 2048 * 8


def test_what_it_refuses():
    for wrong in (0, 2.0, None):
        with pytest.raises(ValueError, match="microbatches must be an integer of 1 or more"):
            gd.accumulate_gradients(loss, wrong)
    with pytest.raises(ValueError, match=r"must divide by 5 microbatches, at 'x', got.*\(12, 5\)"):
        gd.accumulate_gradients(loss, 5)(W, {"x": X})


# The clip over shards


def test_the_norm_of_a_clip_is_over_all_shards():
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("model",))
    spec = jax.sharding.PartitionSpec("model")
    grads = {"a": jnp.arange(16.0), "b": jnp.ones((8, 3))}
    shard_map = getattr(jax, "shard_map", None)
    if shard_map is None:
        from jax.experimental.shard_map import shard_map

    def clipped(tx):
        def one(grads):
            updates, state = tx.update(grads, tx.init(grads))
            return updates, jnp.stack([state.norm])

        return jax.jit(shard_map(one, mesh=mesh, in_specs=spec, out_specs=spec))(grads)

    whole = gd.clip_by_global_norm(2.0)
    expected, state = whole.update(grads, whole.init(grads))
    updates, norms = clipped(gd.clip_by_global_norm(2.0, axis_name="model"))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), updates, expected)
    np.testing.assert_allclose(norms, jnp.full(8, state.norm), rtol=1e-6)
    alone, _ = clipped(gd.clip_by_global_norm(2.0))
    assert abs(float(gd.global_norm(alone)) - 2.0) > 0.1
    told = gd.state.metrics(state)
    np.testing.assert_allclose(told["clip_factor"] * told["grad_norm"], 2.0, rtol=1e-6)


def test_arguments_that_optax_has_are_in_its_order():
    theirs = list(inspect.signature(optax.MultiSteps).parameters)
    mine = list(inspect.signature(gd.accumulate).parameters)
    assert [n for n in mine if n in theirs] == [n for n in theirs if n in mine]

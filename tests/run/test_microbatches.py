"""Gradients of large batches, summed over microbatches within a step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd

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

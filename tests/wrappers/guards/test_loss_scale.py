"""Dynamic loss scaling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row

ROWS = [
    Row(gd.loss_scale(gd.adam(1e-2, eps=1e-12))),
    Row(
        gd.loss_scale(gd.sgd(0.1, 0.9), 1.0, growth_interval=1, growth_factor=1.5),
        label="loss_scale-sgd",
        descends=False,  # the promise's gradients are not scaled, so the rate falls as s grows
    ),
]

# It decides whether a step is taken; test_faults says what must hold.
PLAIN = {"loss_scale"}


def test_the_scale_halves_at_overflow_and_grows_again():
    tx = gd.loss_scale(gd.sgd(1.0), 4.0, growth_interval=2, min_scale=2.0)
    params, state, scales = jnp.zeros(1), tx.init(jnp.zeros(1)), []
    for finite in (1, 1, 1, 0, 1, 0, 0, 0, 1, 1):
        grads = gd.loss_scale_of(state)[None] if finite else jnp.asarray([jnp.inf])
        params, state = tx.step(grads, state, params)
        scales.append(float(gd.loss_scale_of({"deep": state})))
    assert scales == [4, 8, 8, 4, 4, 2, 2, 2, 2, 4]
    np.testing.assert_array_equal(params, [-6.0])  # six steps by a gradient of 1
    told = gd.state.metrics(state)
    assert told["skipped"] == 4 and told["loss_scale"] == 4.0
    with pytest.raises(KeyError, match="loss_scale_of: 'LossScaleState' must be .* got none"):
        gd.loss_scale_of(params)
    with pytest.raises(ValueError, match="growth_interval must be an integer of 1 or more"):
        gd.loss_scale(gd.adam(0.1), growth_interval=0)


def test_the_scale_stays_where_its_inverse_is_a_number():
    tx = gd.loss_scale(gd.sgd(1.0), 2.0**125, growth_interval=1)
    params, state = jnp.zeros(1), tx.init(jnp.zeros(1))
    for _ in range(4):
        params, state = tx.step(gd.loss_scale_of(state)[None], state, params)
    assert gd.loss_scale_of(state) == 2.0**126
    np.testing.assert_array_equal(params, [-4.0])


def test_training_in_float16_needs_it():
    """Gradients of 1e-9 are 0 in float16; scaled they train as in float32."""
    target = jnp.asarray([1.0, -2.0])
    small = lambda p: 1e-9 * jnp.sum((p.astype(float) - target) ** 2)

    def end(tx):
        params, state = jnp.zeros(2, jnp.float16), tx.init(jnp.zeros(2, jnp.float16))
        for _ in range(30):
            scale = gd.loss_scale_of(state) if tx.name == "loss_scale" else 1.0
            grads = jax.grad(lambda p, scale=scale: scale * small(p))(params)
            params, state = tx.step(grads, state, params)
        return params

    inner = gd.sgd(1e8)
    assert not end(inner).any()
    np.testing.assert_allclose(end(gd.loss_scale(inner)).astype(float), target, rtol=2e-3)

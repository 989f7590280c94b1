"""Master weights in float32."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row

ADAM = gd.adam(1e-2)
ROWS = [
    Row(gd.with_master_weights(ADAM)),
    Row(gd.with_master_weights(gd.with_ema(ADAM, 0.9)), label="with_master_weights-ema"),
]

# To parameters in double precision it does nothing; test_sixteen_bits says what of others.
PLAIN = {"with_master_weights"}


def test_master_weights_are_a_run_in_float32():
    """With the same gradients; and so are average and the points to evaluate at.

    To the last bits: these are two programs, and LLVM may fuse other products and sums in each.
    """
    near = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7)
    cases = [gd.adamw(0.01), gd.with_ema(gd.adam(0.01), 0.9), gd.schedule_free_sgd(0.05)]
    for tx in cases:
        mixed = gd.with_master_weights(tx)
        params = jnp.linspace(-1, 1, 64).astype(jnp.bfloat16)
        full = params.astype(jnp.float32)
        theirs, ours = tx.init(full), mixed.init(params)
        for t in range(5):
            g = jnp.sin(t + jnp.arange(64.0))
            full, theirs = tx.step(g, theirs, full)
            params, ours = mixed.step(g, ours, params)
        near(ours.master, full)
        np.testing.assert_array_equal(params, ours.master.astype(jnp.bfloat16))
        answer = gd.state.eval_params(mixed, ours, params)
        expected = gd.state.eval_params(tx, ours.inner_state, ours.master).astype(jnp.bfloat16)
        np.testing.assert_array_equal(answer, expected)
        jax.tree.map(near, ours.inner_state, theirs)


def test_a_client_that_adds_in_16_bits_follows_the_master():
    tx, params = gd.with_master_weights(gd.sgd(1e-3)), jnp.ones(3, jnp.bfloat16)
    state = tx.init(params)
    for _ in range(100):
        updates, state = tx.update(jnp.ones(3), state, params)
        params = params + updates.astype(jnp.bfloat16)
    np.testing.assert_allclose(state.master, 0.9, rtol=1e-5)
    np.testing.assert_allclose(params.astype(jnp.float32), 0.9, rtol=2**-8)

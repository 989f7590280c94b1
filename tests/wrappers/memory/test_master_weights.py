"""Master weights in float32."""

from __future__ import annotations

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
    """Bit for bit, with the same gradients; and so are average and the points to evaluate at.

    One operation at a time: compiled, these are two programs, and LLVM may fuse other products and
    sums in each.
    """
    cases = [gd.adamw(0.01), gd.with_ema(gd.adam(0.01), 0.9), gd.schedule_free_sgd(0.05)]
    for tx in cases:
        mixed = gd.with_master_weights(tx)
        params = jnp.linspace(-1, 1, 64).astype(jnp.bfloat16)
        full = params.astype(jnp.float32)
        theirs, ours = tx.init(full), mixed.init(params)
        with jax.disable_jit():
            for t in range(5):
                g = jnp.sin(t + jnp.arange(64.0))
                full, theirs = tx.step(g, theirs, full)
                params, ours = mixed.step(g, ours, params)
            answer = gd.state.eval_params(mixed, ours, params)
            expected = gd.state.eval_params(tx, theirs, full).astype(jnp.bfloat16)
        np.testing.assert_array_equal(ours.master, full)
        np.testing.assert_array_equal(params, full.astype(jnp.bfloat16))
        np.testing.assert_array_equal(answer, expected)
        jax.tree.map(np.testing.assert_array_equal, ours.inner_state, theirs)


def test_a_client_that_adds_in_16_bits_follows_the_master():
    tx, params = gd.with_master_weights(gd.sgd(1e-3)), jnp.ones(3, jnp.bfloat16)
    state = tx.init(params)
    for _ in range(100):
        updates, state = tx.update(jnp.ones(3), state, params)
        params = params + updates.astype(jnp.bfloat16)
    np.testing.assert_allclose(state.master, 0.9, rtol=1e-5)
    np.testing.assert_allclose(params.astype(jnp.float32), 0.9, rtol=2**-8)

"""Parameters rounded stochastically."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.cases import Row

ADAM = gd.adam(1e-2)
ROWS = [
    Row(gd.stochastic_rounding(ADAM, 3)),
]

# To parameters in double precision it does nothing; test_sixteen_bits says what of others.
PLAIN = {"stochastic_rounding"}


@pytest.mark.slow
def test_a_network_in_16_bits_learns_as_in_32():
    """Digits, five seeds: the loss ends within one standard deviation of that of float32."""
    pytest.importorskip("sklearn")
    from gdjax.lab.problems import digits_network

    problem, steps = digits_network(), 200

    def train(seed, dtype, wrap):
        key = jax.random.key(seed)
        params = jax.tree.map(lambda p: p.astype(dtype), problem.init(key))
        tx, batch = wrap(gd.adam(2e-3), seed), problem.batches(key)

        def body(carry, t):
            params, state = carry
            grads = jax.grad(problem.loss)(params, batch(t))
            return tx.step(grads, state, params), None

        (params, _), _ = jax.lax.scan(body, (params, tx.init(params)), jnp.arange(steps))
        return problem.metrics(jax.tree.map(lambda p: p.astype(jnp.float32), params))

    seeds = jnp.arange(5)
    run = lambda *how: jax.jit(jax.vmap(lambda seed: train(seed, *how)))(seeds)
    plain = lambda tx, seed: tx
    by_chance = lambda tx, seed: gd.stochastic_rounding(tx, jax.random.key(seed))
    full = run(jnp.float32, plain)
    half = run(jnp.bfloat16, by_chance)
    lost = run(jnp.bfloat16, plain)
    sigma = full["train_loss"].std(ddof=1)
    assert abs(half["train_loss"].mean() - full["train_loss"].mean()) < sigma
    assert lost["train_loss"].mean() - full["train_loss"].mean() > sigma

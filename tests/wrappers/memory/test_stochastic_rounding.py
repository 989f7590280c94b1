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


@pytest.mark.parametrize(
    "tx",
    [
        gd.stochastic_rounding(ADAM, 3),
        gd.with_split_weights(ADAM, 3),
        gd.store(ADAM, "bf16", min_size=1),
    ],
    ids=lambda tx: tx.name,
)
def test_what_is_random_begins_with_one_array_for_all_arrays(tx):
    """One array behind one barrier, whatever the number of arrays: one kernel makes it."""

    def barriers(number):
        params = {str(i): jnp.ones((8, 8), jnp.bfloat16) for i in range(number)}
        program = jax.make_jaxpr(tx.step)(params, tx.init(params), params)
        found = [e for e in program.eqns if e.primitive.name == "optimization_barrier"]
        return [var.aval.size for e in found for var in e.outvars]

    a_word_each = 1 if tx.name == "store" else 2
    for number in (2, 5):
        # `store` rounds second moments alone at random, but counts all that it keeps
        arrays = number * (2 if tx.name == "store" else 1)
        assert barriers(number) == [arrays * a_word_each]

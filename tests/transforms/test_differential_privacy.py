"""Aggregation of per-example gradients with differential privacy."""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.oracles import problem
from tests.references import Agree, rule, split
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.differentially_private_aggregate(1.0, 0.1, 3), batch=3),
]

# How the gradients of four examples differ from that of the problem: some are long, some short.
_SIZES = np.array([0.02, 0.1, 0.5, 2.0])[:, None]
EXAMPLES = _SIZES * np.random.default_rng(1).standard_normal((4, 8))


def of_examples(grads, t):
    """The gradients of the examples, along the first axis of every array."""
    return jax.vmap(lambda e: jax.tree.map(jnp.add, grads, split(e)))(jnp.asarray(EXAMPLES))


def noise(seed):
    """Standard normal numbers [60, 8], drawn from the key of each step and the path of the leaf."""
    key, draws = jax.random.key(seed), []
    for _ in range(problem.STEPS):
        now, key = jax.random.split(key)
        of = lambda name, now=now: jax.random.fold_in(now, zlib.crc32(name.encode()))
        draw = {n: jax.random.normal(of(n), s, jnp.float64) for n, s in problem.SHAPES.items()}
        draws.append(problem.join(draw))
    return np.stack(draws)


def private_descent(gradient, theta0, steps, *, eta, clip, multiplier, seed, mu=0.0):
    """Abadi et al. 2016, algorithm 1, with the heavy ball: noise of deviation σC on the sum."""
    drawn, v = noise(seed), np.zeros_like(theta0)

    def step(theta, t):
        nonlocal v
        examples = gradient(theta, t) + EXAMPLES
        shares = np.minimum(1.0, clip / np.sqrt(np.sum(examples**2, axis=1)))
        total = shares @ examples + multiplier * clip * drawn[t]
        v = mu * v + total / len(examples)
        return theta - at(eta, t) * v

    return trajectory(theta0, steps, step)


def agree(tx, **arguments):
    return Agree(tx, rule(private_descent, **arguments), gradients=of_examples)


AGREE = {
    "numpy-aggregate": agree(
        gd.chain(gd.differentially_private_aggregate(0.8, 0.5, 3), gd.sgd(0.3)),
        eta=0.3,
        clip=0.8,
        multiplier=0.5,
        seed=3,
    ),
    "numpy-aggregate-without-noise": agree(
        gd.chain(gd.differentially_private_aggregate(1.5, 0.0), gd.sgd(0.3)),
        eta=0.3,
        clip=1.5,
        multiplier=0.0,
        seed=0,
    ),
}


def examples(seed=0):
    rng = np.random.default_rng(seed)
    scales = np.array([0.1, 1.0, 10.0, 3.0])
    return {
        "w": scales[:, None, None] * rng.standard_normal((4, 2, 3)),
        "b": scales[:, None] * rng.standard_normal((4, 2)),
    }


def test_the_mean_of_clipped_gradients(x64):
    """Against NumPy, and optax does the same."""
    import optax

    grads = examples()
    flat = np.concatenate([grads["w"].reshape(4, 6), grads["b"]], 1)
    lengths = np.linalg.norm(flat, axis=1)
    assert (lengths > 1.5).any() and (lengths < 1.5).any()
    mean = (flat * np.minimum(1, 1.5 / lengths)[:, None]).mean(0)
    for library in (gd, optax.contrib):
        tx = library.differentially_private_aggregate(1.5, 0.0, jax.random.key(1))
        params = jax.tree.map(lambda g: jnp.zeros(g.shape[1:]), grads)
        updates, _ = tx.update(jax.tree.map(jnp.asarray, grads), tx.init(params), params)
        got = np.concatenate([updates["w"].ravel(), updates["b"]])
        np.testing.assert_allclose(got, mean, rtol=1e-12)


def test_the_noise_has_the_deviation_of_the_formula():
    tx = gd.differentially_private_aggregate(2.0, 3.0, 5)
    grads, params = jnp.zeros((4, 20_000)), jnp.zeros(20_000)
    first, state = tx.update(grads, tx.init(params), params)
    second, _ = tx.update(grads, state, params)
    assert abs(float(first.std()) - 2.0 * 3.0 / 4) < 0.03
    assert abs(float(first.mean())) < 0.03 and abs(float((first * second).mean())) < 0.05


def test_parameters_that_are_numbers():
    """Their gradients have the axis of the examples alone."""
    tx, params = gd.differentially_private_aggregate(1.0, 0.0), {"b": jnp.asarray(2.0)}
    updates, _ = tx.update({"b": jnp.asarray([0.5, -4.0])}, tx.init(params), params)
    np.testing.assert_allclose(updates["b"], -0.25)

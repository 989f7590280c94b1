"""Gradient noise."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.transforms.noise import key_of
from tests.cases import Row

ROWS = [
    Row(gd.add_noise(0.01, 0.55, key=0)),
]


def noise_of(tx, params, steps=1):
    state = tx.init(params)
    zeros = jax.tree.map(jnp.zeros_like, params)
    for _ in range(steps):
        updates, state = tx.update(zeros, state)
    return updates


def test_noise_of_a_leaf_depends_on_its_path_alone():
    tx = gd.add_noise(1.0, 0.5, key=3)
    alone = noise_of(tx, {"b": jnp.zeros(4)})
    among = noise_of(tx, {"a": jnp.zeros(7), "b": jnp.zeros(4), "c": {"b": jnp.zeros(4)}})
    np.testing.assert_array_equal(alone["b"], among["b"])
    assert not np.allclose(among["b"], among["c"]["b"])
    assert not np.allclose(alone["b"], noise_of(tx, {"b": jnp.zeros(4)}, 2)["b"])
    assert not np.allclose(alone["b"], noise_of(tx.replace(key=4), {"b": jnp.zeros(4)})["b"])


def test_variance_of_noise_falls():
    params = jnp.zeros(100_000)
    for steps, variance in ((1, 2.0), (2, 2.0 * 0.5**0.7), (5, 2.0 * 0.2**0.7)):
        got = noise_of(gd.add_noise(2.0, 0.7, key=0), params, steps)
        np.testing.assert_allclose(got.var(), variance, rtol=0.02)
        np.testing.assert_allclose(got.mean(), 0.0, atol=0.02)


def test_complex_noise_has_the_same_variance():
    got = noise_of(gd.add_noise(2.0, 0.7, key=0), jnp.zeros(100_000, jnp.complex64))
    np.testing.assert_allclose(jnp.mean(jnp.abs(got) ** 2), 2.0, rtol=0.02)


@pytest.mark.parametrize(
    "make", [lambda: 5, lambda: jax.random.key(5), lambda: jax.random.PRNGKey(5)]
)
def test_any_key_will_do(make):
    expected = noise_of(gd.add_noise(1.0, 0.5, key=5), jnp.zeros(3))
    tx = gd.add_noise(1.0, 0.5, key=make())
    np.testing.assert_array_equal(noise_of(tx, jnp.zeros(3)), expected)


def test_the_kind_of_key_is_kept():
    key = jax.random.key(5, impl="rbg")
    tx = gd.add_noise(1.0, 0.5, key=key)
    state = tx.init(jnp.zeros(3))
    assert jax.random.key_impl(key_of(state.rng_key, key)) == jax.random.key_impl(key)
    assert jnp.all(jnp.isfinite(tx.update(jnp.zeros(3), state)[0]))


@pytest.mark.parametrize("wrong", [None, 0.5, "seed", True])
def test_a_wrong_key_raises(wrong):
    with pytest.raises(TypeError, match="add_noise: key must be a seed"):
        gd.add_noise(1.0, 0.5, key=wrong)

"""Differentially private SGD."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import halving
from tests.transforms.test_differential_privacy import agree

ROWS = [
    Row(gd.dpsgd(0.1, 1.0, 0.05, 3, momentum=0.5), batch=3),
]

AGREE = {
    "numpy-dpsgd": agree(gd.dpsgd(0.3, 0.8, 0.5, 3), eta=0.3, clip=0.8, multiplier=0.5, seed=3),
    "numpy-dpsgd-momentum": agree(
        gd.dpsgd(halving(0.1), 1.5, 0.1, 7, momentum=0.9),
        eta=halving(0.1),
        clip=1.5,
        multiplier=0.1,
        seed=7,
        mu=0.9,
    ),
}


def test_descends_on_a_parabola():
    tx = gd.dpsgd(0.1, 1.0, 0.01, 0)
    params, data = jnp.array([3.0]), jnp.linspace(-1, 1, 8)[:, None]
    state = tx.init(params)
    for _ in range(60):
        grads = jax.vmap(jax.grad(lambda p, x: jnp.sum((p - x) ** 2)), (None, 0))(params, data)
        params, state = tx.step(grads, state, params)
    assert abs(float(params[0])) < 0.3


def test_wrong_examples_are_told():
    tx = gd.dpsgd(0.1, 1.0, 0.0, 0)
    params = {"w": jnp.zeros(3), "b": jnp.zeros(2)}
    for wrong, word in (
        ({"w": jnp.ones((4, 2)), "b": jnp.ones((4, 2))}, "'w'"),
        ({"w": jnp.ones((4, 3)), "b": jnp.ones((5, 2))}, "the same number of"),
        ({"w": jnp.ones((4, 3))}, "'b'"),
    ):
        with pytest.raises(ValueError, match=word):
            tx.update(wrong, tx.init(params), params)

"""Cautious weight decay."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, recorded, rule
from tests.transcription import adam_direction, at, trajectory

ROWS = [
    Row(gd.add_cautious_weight_decay(0.1)),
]


def cautious_decay_adam(gradient, theta0, steps, *, eta, b1, b2, lam, eps=1e-8):
    """Chen et al. 2025, algorithm 1 on Adam: decay where it and the update have one sign."""
    adam = adam_direction(b1, b2, eps)

    def step(theta, t):
        u = adam(gradient(theta, t), t)
        return theta - at(eta, t) * (u + lam * (u * theta >= 0) * theta)

    return trajectory(theta0, steps, step)


AGREE = {
    "numpy-cautious-decay": Agree(
        descent(gd.scale_by_adam(), gd.add_cautious_weight_decay(0.5), eta=0.05),
        rule(cautious_decay_adam, eta=0.05, b1=0.9, b2=0.999, lam=0.5),
    ),
    # heavyball computes in float32.
    "torch-heavyball_cautious_decay": Agree(
        descent(gd.scale_by_adam(0.9, 0.99), gd.add_cautious_weight_decay(0.5), eta=0.05),
        recorded("modern", "torch/heavyball_cautious_decay"),
        tolerance=1e-6,
    ),
}


def test_cautious_decay_takes_zero_for_agreement():
    params = jnp.array([2.0, 2.0, -2.0, 2.0])
    updates = jnp.array([1e-30, -1e-30, 1e-30, 0.0])
    got, _ = gd.add_cautious_weight_decay(0.5).update(updates, gd.EmptyState(), params)
    np.testing.assert_array_equal(got, updates + jnp.array([1.0, 0.0, 0.0, 1.0]))


def test_cautious_decay_of_complex_numbers_goes_by_the_angle():
    params, updates = jnp.array([2j, 2j, 2.0]), jnp.array([1j, -1j, 1.0 - 1j])
    got, _ = gd.add_cautious_weight_decay(0.5).update(updates, gd.EmptyState(), params)
    np.testing.assert_allclose(got, [2j, -1j, 2.0 - 1j])


def test_cautious_decay_where_a_gradient_is_zero():
    tx = gd.add_cautious_weight_decay(0.1)
    params = jnp.array([2.0, 2.0, 2.0])
    updates, _ = tx.update(jnp.array([0.0, 1.0, -1.0]), tx.init(params), params)
    np.testing.assert_allclose(updates, [0.2, 1.2, -1.0], rtol=1e-6)
    params = jnp.array([1.0j, 1.0 + 0j, -1.0 + 0j])
    updates, _ = tx.update(jnp.ones(3, complex), tx.init(params), params)
    np.testing.assert_allclose(updates, [1 + 0.1j, 1.1, 1.0], rtol=1e-6)

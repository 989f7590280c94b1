"""Rprop."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import updates_of
from tests.references import Agree, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.rprop(0.1, eta_minus=0.4)),
    Row(gd.scale_by_rprop(0.1)),
]


def rprop(gradient, theta0, steps, *, eta, eta_minus=0.5, eta_plus=1.2, least=1e-6, largest=50.0):
    """The iRprop− of Igel and Hüsken 2003, figure 4: where the sign turned, g ← 0 and no step."""
    size, before = np.full_like(theta0, at(eta, 0)), np.zeros_like(theta0)

    def step(theta, t):
        g = gradient(theta, t)
        for i in range(len(g)):
            if g[i] * before[i] > 0:
                size[i] = min(size[i] * eta_plus, largest)
            elif g[i] * before[i] < 0:
                size[i] = max(size[i] * eta_minus, least)
                g[i] = 0.0
            before[i] = g[i]
        return theta - np.sign(g) * size

    return trajectory(theta0, steps, step)


AGREE = {
    "torch-rprop": Agree(gd.rprop(0.1), recorded("adam_kin", "torch/rprop")),
    "torch-rprop_bounds": Agree(
        gd.rprop(0.1, 0.4, 1.5, 0.05, 0.2), recorded("adam_kin", "torch/rprop_bounds")
    ),
    "numpy-rprop": Agree(gd.rprop(0.1), rule(rprop, eta=0.1)),
    "numpy-rprop-bounds": Agree(
        gd.rprop(0.1, 0.4, 1.5, 0.05, 0.2),
        rule(rprop, eta=0.1, eta_minus=0.4, eta_plus=1.5, least=0.05, largest=0.2),
    ),
}


def test_rprop_lengthens_the_very_next_step_and_rests_after_a_turn():
    moves = updates_of(gd.rprop(0.1), jnp.asarray([[1.0], [5.0], [-1.0], [-1.0], [-9.0]]))
    np.testing.assert_allclose(moves[:, 0], [-0.1, -0.12, 0, 0.06, 0.072], rtol=1e-6)


def test_signs_of_gradients_whose_product_vanishes_still_agree():
    moves = updates_of(gd.rprop(0.1), jnp.full((2, 1), 1e-30))
    np.testing.assert_allclose(moves[:, 0], [-0.1, -0.12], rtol=1e-6)


def test_rprop_keeps_its_sizes_where_a_gradient_is_zero():
    tx = gd.scale_by_rprop(0.1)
    state = tx.init(jnp.zeros(2))
    for g in ([1.0, 1.0], [0.0, 1.0]):
        _, state = tx.update(jnp.asarray(g), state)
    np.testing.assert_allclose(state.step_sizes, [0.1, 0.12], rtol=1e-6)

"""MADGRAD."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, falling, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.madgrad(0.1, weight_decay=0.01)),
    Row(gd.scale_by_madgrad(0.1)),
]


def madgrad(gradient, theta0, steps, *, eta, mu, eps, l2=0.0):
    """Defazio and Jelassi 2021, algorithm 1, with c = 1 − μ; `l2` adds l2·θ to the gradient."""
    s = np.zeros(len(theta0))
    v = np.zeros(len(theta0))

    def step(theta, k):
        nonlocal s, v
        g = gradient(theta, k) + l2 * theta
        rate = at(eta, k) * np.sqrt(k + 1)
        s = s + rate * g
        v = v + rate * g**2
        z = theta0 - s / (np.cbrt(v) + eps)
        return mu * theta + (1.0 - mu) * z

    return trajectory(theta0, steps, step)


def test_a_gradient_whose_square_is_0_is_divided_by_eps():
    tx = gd.scale_by_madgrad(1.0, eps=1e-6)
    p = jnp.zeros(1)
    u, _ = tx.update(jnp.full(1, 1e-30), tx.init(p), p)
    np.testing.assert_allclose(u, -1e-24 * (1 - 0.9), rtol=1e-6)


AGREE = {
    # The authors' program, and what was made after it, adds eps to the rate.
    "torch-madgrad": Agree(gd.madgrad(0.05 + 1e-3, eps=1e-3), recorded("modern", "torch/madgrad")),
    "torch-timm_madgrad": Agree(
        gd.madgrad(0.05 + 1e-3, eps=1e-3), recorded("modern", "torch/timm_madgrad")
    ),
    "torch-madgrad_l2": Agree(
        gd.madgrad(0.05 + 1e-6, 0.8, 0.1), recorded("modern", "torch/madgrad_l2")
    ),
    "torch-madgrad_plain": Agree(
        gd.madgrad(0.05 + 1e-6, 0.0), recorded("modern", "torch/madgrad_plain")
    ),
    "numpy-madgrad": Agree(
        gd.madgrad(falling, 0.8, 0.1, 1e-2), rule(madgrad, eta=falling, mu=0.8, eps=1e-2, l2=0.1)
    ),
    "numpy-scale_by_madgrad": Agree(
        gd.scale_by_madgrad(0.05), rule(madgrad, eta=0.05, mu=0.9, eps=1e-6)
    ),
}

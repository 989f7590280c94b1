"""Yogi."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import BETAS, ROOT, Agree, descent, recorded, rule
from tests.transcription import descend

ROWS = [
    Row(gd.yogi(0.1, b1=0.8)),
    Row(gd.scale_by_yogi(0.9, 0.99, initial_accumulator_value=1e-3)),
]


def yogi(gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-3, eps_root=0.0, initial=1e-6):
    """Yogi, v ← v − (1 − b2)·sign(v − g²)·g² (Zaheer et al. 2018, algorithm 2), debiased."""
    m, v = np.zeros_like(theta0), np.full_like(theta0, initial)

    def direction(g, t):
        nonlocal m, v
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * np.where(v > g**2, 1.0, -1.0) * g**2
        m_hat, v_hat = m / (1 - b1 ** (t + 1)), v / (1 - b2 ** (t + 1))
        return m_hat / (np.sqrt(v_hat + eps_root) + eps)

    return descend(gradient, theta0, steps, eta, direction)


def test_a_square_equal_to_its_mean_keeps_it():
    tx = gd.scale_by_yogi(initial_accumulator_value=0.0)
    u, state = tx.update(jnp.zeros(1), tx.init(jnp.zeros(1)))
    assert u == 0 and state.nu == 0


AGREE = {
    "pytorch_optimizer-yogi": Agree(
        descent(gd.scale_by_yogi(**BETAS, initial_accumulator_value=0.0), eta=0.05),
        recorded("adam_kin", "pytorch_optimizer/yogi"),
    ),
    "torch_optimizer-yogi": Agree(
        descent(gd.scale_by_yogi(**BETAS, initial_accumulator_value=0.0), eta=0.05),
        recorded("adam_kin", "torch_optimizer/yogi"),
    ),
    "optax-yogi": Agree(
        descent(gd.scale_by_yogi(**ROOT, initial_accumulator_value=0.0), eta=0.05),
        recorded("adam_kin", "optax/yogi"),
    ),
    "numpy-yogi": Agree(gd.yogi(0.05), rule(yogi, eta=0.05)),
    "numpy-yogi-betas": Agree(gd.yogi(0.05, **BETAS), rule(yogi, eta=0.05, **BETAS)),
    "numpy-yogi-initial": Agree(
        descent(gd.scale_by_yogi(**ROOT, initial_accumulator_value=0.1), eta=0.05),
        rule(yogi, eta=0.05, **ROOT, initial=0.1),
    ),
}

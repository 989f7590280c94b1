"""Adan."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, halving, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.adan(0.1, b1=0.9, weight_decay=0.01)),
    Row(gd.scale_by_adan(0.9, 0.92, 0.99)),
    Row(gd.proximal_decay(0.1)),
]


def adan(
    gradient,
    theta0,
    steps,
    *,
    eta,
    betas=(0.02, 0.08, 0.01),
    eps=1e-8,
    eps_root=0.0,
    lam=0.0,
):
    """Adan (Xie et al. 2022, algorithm 1) in the paper's β, without restarts, averages debiased."""
    beta1, beta2, beta3 = betas
    m, v, n = np.zeros_like(theta0), np.zeros_like(theta0), np.zeros_like(theta0)
    before = None

    def step(theta, t):
        nonlocal m, v, n, before
        g = gradient(theta, t)
        change = g - (g if before is None else before)
        before = g
        m = (1 - beta1) * m + beta1 * g
        v = (1 - beta2) * v + beta2 * change
        n = (1 - beta3) * n + beta3 * (g + (1 - beta2) * change) ** 2
        c1, c2, c3 = (1 - (1 - beta) ** (t + 1) for beta in betas)
        rate = at(eta, t) / (np.sqrt(n / c3 + eps_root) + eps)
        moved = theta - rate * (m / c1 + (1 - beta2) * v / c2)
        return moved / (1 + lam * at(eta, t))

    return trajectory(theta0, steps, step)


AGREE = {
    "pytorch_optimizer-adan": Agree(
        gd.adan(0.05, 0.9, 0.8, 0.95, 1e-2, 0.0, 0.1),
        recorded("adam_kin", "pytorch_optimizer/adan"),
    ),
    "pytorch_optimizer-adan_defaults": Agree(
        gd.adan(0.05, eps_root=0.0), recorded("adam_kin", "pytorch_optimizer/adan_defaults")
    ),
    "optax-adan_half": Agree(
        gd.adan(0.05, 0.9, 0.5, 0.95, 1e-2, 1e-3), recorded("adam_kin", "optax/adan_half")
    ),
    "numpy-adan": Agree(gd.adan(0.05), rule(adan, eta=0.05, eps_root=1e-8)),
    "numpy-adan-decay": Agree(
        gd.adan(halving(0.05), 0.9, 0.8, 0.95, 1e-2, 1e-3, 0.1),
        rule(
            adan,
            eta=halving(0.05),
            **{"betas": (0.1, 0.2, 0.05), "eps": 1e-2, "eps_root": 1e-3},
            lam=0.1,
        ),
    ),
    "numpy-adan-part": Agree(
        gd.chain(
            gd.scale_by_adan(0.9, 0.8, 0.95, 1e-2, 1e-3),
            gd.scale_by_learning_rate(0.05),
            gd.proximal_decay(0.05 * 0.1),
        ),
        rule(adan, eta=0.05, **{"betas": (0.1, 0.2, 0.05), "eps": 1e-2, "eps_root": 1e-3}, lam=0.1),
    ),
}


def test_decay_of_adan_is_proximal_and_masked():
    params = {"w": jnp.asarray([2.0, -4.0]), "b": jnp.asarray([3.0])}
    grads = jax.tree.map(jnp.zeros_like, params)
    tx = gd.adan(0.5, weight_decay=4.0, mask={"w": True, "b": False})
    after, _ = tx.step(grads, tx.init(params), params)
    np.testing.assert_allclose(after["w"], params["w"] / 3, rtol=1e-6)
    np.testing.assert_array_equal(after["b"], params["b"])
    with pytest.raises(ValueError, match="proximal_decay: update needs the parameters"):
        gd.proximal_decay(0.1).update(grads, gd.EmptyState())
    with pytest.raises(ValueError, match="scale_by_novograd: update needs the parameters"):
        gd.scale_by_novograd().update(grads, gd.scale_by_novograd().init(params))

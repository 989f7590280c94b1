"""Trust ratios: LARS and LAMB."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.oracles.problem import join, split
from tests.references import Agree, descent, halving, recorded, rule
from tests.transcription import at, each_tensor, trajectory

ROWS = [
    Row(gd.scale_by_trust_ratio(0.01, 0.1, 1e-6)),
    Row(gd.scale_by_lars(0.1, trust_coefficient=0.1)),
    Row(gd.lars(0.5, trust_coefficient=0.1)),
    Row(gd.lars(0.5, 0.1, trust_coefficient=0.1, nesterov=True), label="lars-nesterov"),
    Row(gd.lamb(0.02)),
    Row(gd.lamb(0.02, weight_decay=0.1, eps_root=1e-6), label="lamb-decay"),
]


def ratio(weights, updates, coefficient=1.0, eps=0.0):
    """c‖w‖/(‖u‖ + ε), and 1 where a norm is 0."""
    if weights == 0 or updates == 0:
        return 1.0
    return coefficient * weights / (updates + eps)


def trust(gradient, theta0, steps, *, eta, min_norm=0.0, coefficient=1.0, eps=0.0):
    """Descent, each block with rate η·c·‖w‖/(‖g‖ + ε), norms no smaller than `min_norm`."""

    def scaled(g, w):
        return g * ratio(
            max(np.linalg.norm(w), min_norm), max(np.linalg.norm(g), min_norm), coefficient, eps
        )

    def step(theta, t):
        return theta - at(eta, t) * each_tensor(scaled, gradient(theta, t), theta)

    return trajectory(theta0, steps, step)


def lars(gradient, theta0, steps, *, eta, mu, c, beta=0.0, eps=0.0, nesterov=False, parts="wb"):
    """LARS (You et al. 2017, algorithm 1): local rates, weight decay in both, momentum.

    `parts` are the blocks that have a local rate.
    """
    v = np.zeros(8)

    def step(theta, t):
        nonlocal v
        gs, ws = split(gradient(theta, t)), split(theta)
        moved = {}
        for name, g in gs.items():
            w = ws[name]
            local = (
                ratio(np.linalg.norm(w), np.linalg.norm(g) + beta * np.linalg.norm(w), c, eps)
                if name in parts
                else 1.0
            )
            moved[name] = at(eta, t) * local * (g + beta * w)
        u = join(moved)
        v = mu * v + u
        return theta - (u + mu * v if nesterov else v)

    return trajectory(theta0, steps, step)


def lamb(gradient, theta0, steps, *, eta, b1, b2, eps, eps_root=0.0, lam=0.0):
    """LAMB (You et al. 2019, algorithm 2), with the identity as φ."""
    m, v = np.zeros(8), np.zeros(8)

    def step(theta, t):
        nonlocal m, v
        g = gradient(theta, t)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        r = (m / (1 - b1 ** (t + 1))) / (np.sqrt(v / (1 - b2 ** (t + 1)) + eps_root) + eps)
        r = r + lam * theta
        return theta - at(eta, t) * each_tensor(
            lambda u, w: u * ratio(np.linalg.norm(w), np.linalg.norm(u)), r, theta
        )

    return trajectory(theta0, steps, step)


AGREE = {
    "numpy-trust": Agree(descent(gd.scale_by_trust_ratio(), eta=0.05), rule(trust, eta=0.05)),
    "numpy-trust-coefficient": Agree(
        descent(gd.scale_by_trust_ratio(0.5, 0.3, 0.1)),
        rule(trust, eta=0.3, min_norm=0.5, coefficient=0.3, eps=0.1),
    ),
    "numpy-lars": Agree(
        gd.lars(halving(0.2), 0.1, trust_coefficient=0.1, momentum=0.8),
        rule(lars, eta=halving(0.2), mu=0.8, c=0.1, beta=0.1),
    ),
    "numpy-lars-eps-nesterov": Agree(
        gd.lars(0.1, 0.1, None, 0.2, 0.3, momentum=0.8, nesterov=True),
        rule(lars, eta=0.1, mu=0.8, c=0.2, beta=0.1, eps=0.3, nesterov=True),
    ),
    "numpy-lars-masked": Agree(
        gd.lars(0.1, trust_coefficient=0.2, trust_ratio_mask={"w": True, "b": False}),
        rule(lars, eta=0.1, mu=0.9, c=0.2, parts="w"),
    ),
    "numpy-lars-default": Agree(gd.lars(2.0), rule(lars, eta=2.0, mu=0.9, c=0.001)),
    "numpy-scale_by_lars": Agree(
        descent(gd.scale_by_lars(0.1, trust_coefficient=0.1)),
        rule(lars, eta=0.3, mu=0.0, c=0.1, beta=0.1),
    ),
    "numpy-scale_by_lars-default": Agree(
        descent(gd.scale_by_lars(), eta=20.0), rule(lars, eta=20.0, mu=0.0, c=0.001)
    ),
    "numpy-lamb": Agree(gd.lamb(0.02), rule(lamb, eta=0.02, b1=0.9, b2=0.999, eps=1e-6)),
    "numpy-lamb-all": Agree(
        gd.lamb(0.02, 0.8, 0.99, 1e-2, 1e-3, 0.1),
        rule(lamb, eta=0.02, b1=0.8, b2=0.99, eps=1e-2, eps_root=1e-3, lam=0.1),
    ),
    "timm-lars": Agree(
        gd.lars(0.1, 0.1, trust_coefficient=0.1, eps=1e-8, momentum=0.8),
        recorded("layerwise", "timm/lars"),
    ),
    "timm-lamb": Agree(gd.lamb(0.02, weight_decay=0.1), recorded("layerwise", "timm/lamb")),
    "timm-lamb_without_decay": Agree(
        gd.lamb(0.02, 0.8, 0.99), recorded("layerwise", "timm/lamb_without_decay")
    ),
}

# Defaults that the optimizer has and its parts have not.
ITS_OWN = {("lamb", "eps")}


@pytest.mark.parametrize("size", [1e-3, 0.2, 3.0])
def test_trust_ratios_of_short_vectors(size):
    """Only where a norm is zero nothing is known."""
    tx = gd.scale_by_trust_ratio()
    p, g = jnp.asarray([0.6, 0.8]) * size, jnp.asarray([4.0, -3.0]) * 0.01
    np.testing.assert_allclose(tx.update(g, tx.init(p), p)[0], [0.8 * size, -0.6 * size], rtol=1e-5)
    tiny = tx.update(g * 1e-3, tx.init(p), p)[0]
    np.testing.assert_allclose(tiny, [0.8 * size, -0.6 * size], rtol=1e-5)


@pytest.mark.parametrize("tx", [gd.scale_by_trust_ratio(), gd.scale_by_lars()], ids=str)
def test_weights_of_length_0_have_no_trust_ratio(tx):
    g, zero = jnp.asarray([4.0, -3.0]), jnp.zeros(2)
    np.testing.assert_array_equal(tx.update(g, tx.init(zero), zero)[0], g)

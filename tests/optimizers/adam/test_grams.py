"""Grams."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import BETAS, Agree, halving, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.grams(0.1, b2=0.99)),
    Row(gd.grams(0.1, weight_decay=0.1, mask="matrices"), label="grams-decay"),
    Row(gd.scale_by_grams(0.9, 0.99)),
]


def grams(gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-8, lam=0.0):
    """Grams (Cao, Li and Song 2024, algorithm 1)."""
    m, v = np.zeros_like(theta0), np.zeros_like(theta0)

    def step(theta, t):
        nonlocal m, v
        g = gradient(theta, t)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        size = np.abs(m / (1 - b1 ** (t + 1))) / (np.sqrt(v / (1 - b2 ** (t + 1))) + eps)
        return theta - at(eta, t) * (np.sign(g) * size + lam * theta)

    return trajectory(theta0, steps, step)


AGREE = {
    "numpy-grams": Agree(gd.grams(0.05), rule(grams, eta=0.05)),
    "numpy-grams-decay": Agree(
        gd.grams(halving(0.05), 0.8, 0.95, 1e-3, weight_decay=0.1),
        rule(grams, eta=halving(0.05), b1=0.8, b2=0.95, eps=1e-3, lam=0.1),
    ),
    "numpy-grams-betas": Agree(gd.grams(0.05, **BETAS), rule(grams, eta=0.05, **BETAS)),
}

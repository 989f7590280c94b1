"""AdaMax and AdaMaxW."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import BETAS, Agree, halving, recorded, rule
from tests.transcription import descend

ROWS = [
    Row(gd.adamax(0.1, b1=0.8)),
    Row(gd.adamaxw(0.1, b2=0.99, weight_decay=0.01)),
    Row(gd.scale_by_adamax(0.9, 0.99)),
]


def adamax(gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-8, lam=0.0):
    """AdaMax, u ← max(b2·u, |g| + ε), θ ← θ − η/(1 − b1ᵗ)·m/u (Kingma and Ba 2014, section 7)."""
    m, u = np.zeros_like(theta0), np.zeros_like(theta0)

    def direction(g, t):
        nonlocal m, u
        m = b1 * m + (1 - b1) * g
        u = np.maximum(b2 * u, np.abs(g) + eps)
        return m / u / (1 - b1 ** (t + 1))

    return descend(gradient, theta0, steps, eta, direction, lam)


AGREE = {
    "torch-adamax": Agree(gd.adamax(0.05, **BETAS), recorded("adam_kin", "torch/adamax")),
    "keras-adamax": Agree(gd.adamax(0.05, 0.8, 0.95, 0.0), recorded("adam_kin", "keras/adamax")),
    "optax-adamaxw": Agree(
        gd.adamaxw(0.05, **BETAS, weight_decay=0.1), recorded("adam_kin", "optax/adamaxw")
    ),
    "numpy-adamax": Agree(gd.adamax(0.05), rule(adamax, eta=0.05)),
    "numpy-adamax-eps": Agree(
        gd.adamax(halving(0.05), **BETAS), rule(adamax, eta=halving(0.05), **BETAS)
    ),
    "numpy-adamaxw": Agree(
        gd.adamaxw(halving(0.05), **BETAS, weight_decay=0.1),
        rule(adamax, eta=halving(0.05), **BETAS, lam=0.1),
    ),
}

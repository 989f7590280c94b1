"""ADADELTA."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, halving, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.adadelta(decay=0.8)),
    Row(gd.adadelta(0.5, eps=1e-3, weight_decay=0.1), label="adadelta-rate"),
    Row(gd.scale_by_adadelta(0.9)),
]


def adadelta(gradient, theta0, steps, *, eta=1.0, rho=0.9, eps=1e-6, lam=0.0):
    """ADADELTA (Zeiler 2012, algorithm 1); λ is L2 regularisation, g ← g + λθ."""
    e_g, e_x = np.zeros_like(theta0), np.zeros_like(theta0)

    def step(theta, t):
        nonlocal e_g, e_x
        g = gradient(theta, t) + lam * theta
        e_g = rho * e_g + (1 - rho) * g**2
        x = -np.sqrt(e_x + eps) / np.sqrt(e_g + eps) * g
        e_x = rho * e_x + (1 - rho) * x**2
        return theta + at(eta, t) * x

    return trajectory(theta0, steps, step)


AGREE = {
    "torch-adadelta": Agree(
        gd.adadelta(0.5, 0.8, 1e-2, 0.1), recorded("adam_kin", "torch/adadelta")
    ),
    "optax-adadelta": Agree(
        gd.adadelta(0.5, 0.8, 1e-2, 0.1), recorded("adam_kin", "optax/adadelta")
    ),
    "numpy-adadelta": Agree(gd.adadelta(eps=1e-4), rule(adadelta, eps=1e-4)),
    "numpy-adadelta-l2": Agree(
        gd.adadelta(halving(0.05), 0.8, 1e-2, 0.1),
        rule(adadelta, eta=halving(0.05), rho=0.8, eps=1e-2, lam=0.1),
    ),
    "numpy-adadelta-part": Agree(
        gd.chain(gd.scale_by_adadelta(), gd.scale(-10.0)), rule(adadelta, eta=10.0)
    ),
}

"""Fromage."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, halving, recorded, rule
from tests.transcription import at, each_tensor, trajectory

ROWS = [
    Row(gd.fromage(0.05)),
]


def fromage(gradient, theta0, steps, *, eta, min_norm=0.0):
    """Fromage (Bernstein et al. 2020, algorithm 1): w ← (w − η‖w‖/‖g‖ g)/√(1 + η²)."""

    def moved(g, w):
        rate = at(eta, moved.t)
        size = max(np.linalg.norm(w), min_norm) / max(np.linalg.norm(g), min_norm)
        return (w - rate * size * g) / np.sqrt(1 + rate**2)

    def step(theta, t):
        moved.t = t
        return each_tensor(moved, gradient(theta, t), theta)

    return trajectory(theta0, steps, step)


AGREE = {
    "numpy-fromage": Agree(
        gd.fromage(halving(0.2)), rule(fromage, eta=halving(0.2), min_norm=1e-6)
    ),
    "numpy-fromage-min-norm": Agree(gd.fromage(0.1, 0.8), rule(fromage, eta=0.1, min_norm=0.8)),
    "pytorch_optimizer-fromage": Agree(
        gd.fromage(0.05, 0.0), recorded("layerwise", "pytorch_optimizer/fromage")
    ),
}

# Defaults that the optimizer has and its parts have not.
ITS_OWN = {("fromage", "min_norm")}

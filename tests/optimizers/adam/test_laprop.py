"""LaProp."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import BETAS, Agree, halving, recorded, rule
from tests.transcription import descend

ROWS = [
    Row(gd.laprop(0.1, b1=0.8)),
    Row(gd.scale_by_laprop(0.9, 0.99)),
]


def laprop(gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-15):
    """LaProp (Ziyin et al. 2020, algorithm 1), whose μ and ν are b1 and b2."""
    m, n = np.zeros_like(theta0), np.zeros_like(theta0)

    def direction(g, t):
        nonlocal m, n
        n = b2 * n + (1 - b2) * g**2
        m = b1 * m + (1 - b1) * g / (np.sqrt(n / (1 - b2 ** (t + 1))) + eps)
        return m / (1 - b1 ** (t + 1))

    return descend(gradient, theta0, steps, eta, direction)


AGREE = {
    # It widens nothing: its own arithmetic, or a part of it, is in float32.
    "heavyball-laprop": Agree(
        gd.laprop(0.05, 0.8, 0.95, 0.0), recorded("adam_kin", "heavyball/laprop"), tolerance=1e-6
    ),
    "numpy-laprop": Agree(gd.laprop(0.05), rule(laprop, eta=0.05)),
    "numpy-laprop-betas": Agree(
        gd.laprop(halving(0.05), **BETAS), rule(laprop, eta=halving(0.05), **BETAS)
    ),
}

"""Tiger."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, halving, rule
from tests.transcription import at, trajectory

ROWS = [Row(gd.tiger(0.1, 0.9))]


def tiger(gradient, theta0, steps, *, eta, b1=0.965, lam=0.01):
    """Tiger (Su 2023)."""
    m = np.zeros_like(theta0)

    def step(theta, t):
        nonlocal m
        m = b1 * m + (1 - b1) * gradient(theta, t)
        return theta - at(eta, t) * (np.sign(m) + lam * theta)

    return trajectory(theta0, steps, step)


AGREE = {
    "numpy-tiger": Agree(gd.tiger(0.05), rule(tiger, eta=0.05)),
    "numpy-tiger-decay": Agree(
        gd.tiger(halving(0.05), 0.8, weight_decay=0.5),
        rule(tiger, eta=halving(0.05), b1=0.8, lam=0.5),
    ),
}

"""Orthogonalized matrices."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.orthogonalize()),
    Row(gd.orthogonalize("svd"), label="orthogonalize-svd"),
    Row(gd.orthogonalize("qdwh"), label="orthogonalize-qdwh"),
    Row(gd.orthogonalize("polar_express", 6, gram=True), label="orthogonalize-gram"),
]


def polar(gradient, theta0, steps, *, eta, beta):
    """θ ← θ − η·U·Vᵀ of the unbiased mean U·S·Vᵀ; a vector is a matrix of one column."""
    mean = np.zeros_like(theta0)

    def step(theta, t):
        nonlocal mean
        mean = beta * mean + (1 - beta) * gradient(theta, t)
        u, _, vt = np.linalg.svd(mean[:6].reshape(2, 3), full_matrices=False)
        b = mean[6:]
        return theta - at(eta, t) * np.concatenate([(u @ vt).ravel(), b / np.linalg.norm(b)])

    return trajectory(theta0, steps, step)


AGREE = {
    "orthogonalize-svd": Agree(
        descent(gd.ema(0.9), gd.orthogonalize("svd"), eta=0.05), rule(polar, eta=0.05, beta=0.9)
    ),
    "orthogonalize-qdwh": Agree(
        descent(gd.ema(0.9), gd.orthogonalize("qdwh"), eta=0.05), rule(polar, eta=0.05, beta=0.9)
    ),
    "orthogonalize": Agree(
        descent(gd.ema(0.9), gd.orthogonalize("classical", 25, 0.0), eta=0.05),
        rule(polar, eta=0.05, beta=0.9),
    ),
}

"""AdamC."""

from __future__ import annotations

import gdjax as gd
from tests.cases import Row
from tests.oracles.record_modern import FALLING
from tests.references import Agree, falling, recorded, rule
from tests.transcription import adam_direction, at, trajectory

ROWS = [
    Row(gd.adamc(0.1, 0.2, weight_decay=0.1)),
]


def adamc(gradient, theta0, steps, *, eta, eta_max, b1, b2, lam, eps=1e-8):
    """Defazio 2025: AdamW whose decay is η²/η_max·λ."""
    adam = adam_direction(b1, b2, eps)

    def step(theta, t):
        rate, u = at(eta, t), adam(gradient(theta, t), t)
        return theta - rate * u - rate**2 / eta_max * lam * theta

    return trajectory(theta0, steps, step)


AGREE = {
    "torch-timm_adamc": Agree(
        gd.adamc(falling, FALLING["rates"][0], 0.9, 0.99, weight_decay=0.5),
        recorded("modern", "torch/timm_adamc"),
    ),
    "numpy-adamc": Agree(
        gd.adamc(falling, 0.08, b2=0.99, eps=1e-3, weight_decay=0.5),
        rule(adamc, eta=falling, eta_max=0.08, b1=0.9, b2=0.99, eps=1e-3, lam=0.5),
    ),
}

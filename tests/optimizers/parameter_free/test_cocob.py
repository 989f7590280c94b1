"""COCOB."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, halving, recorded, rule, value
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.scale_by_cocob(10.0)),
    Row(gd.cocob(0.5, 10.0, 1e-3, 0.01)),
]


def cocob(gradient, theta0, steps, *, eta=1.0, alpha=100.0, eps=1e-8, lam=0.0):
    """COCOB-Backprop (Orabona and Tommasi 2017, Algorithm 2); L starts at ε."""
    most = np.full_like(theta0, eps)
    total, reward, bet = np.zeros_like(theta0), np.zeros_like(theta0), np.zeros_like(theta0)

    def step(theta, t):
        nonlocal most, total, reward, bet
        g = gradient(theta, t) + lam * theta
        most = np.maximum(most, np.abs(g))
        total = total + np.abs(g)
        reward = np.maximum(reward - (theta - theta0) * g, 0)
        bet = bet - g
        new = theta0 + bet / (most * np.maximum(total + most, alpha * most)) * (most + reward)
        return theta + at(eta, t) * (new - theta)

    return trajectory(theta0, steps, step)


AGREE = {
    "optax-cocob": Agree(
        gd.cocob(1.0, 10.0, 1e-3, 0.1), recorded("parameter_free", "optax/cocob"), extra=value
    ),
    "numpy-cocob": Agree(
        gd.cocob(halving(0.8), 10.0, 0.3, 0.1),
        rule(cocob, eta=halving(0.8), alpha=10.0, eps=0.3, lam=0.1),
        extra=value,
    ),
    "numpy-scale_by_cocob": Agree(gd.scale_by_cocob(), rule(cocob), extra=value),
}

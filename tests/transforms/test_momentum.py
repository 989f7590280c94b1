"""Traces and running means."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.optimizers.sgd.test_sgd import momentum
from tests.references import Agree, descent, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.trace(0.9)),
    Row(gd.trace(0.9, nesterov=True), label="trace-nesterov"),
    Row(gd.ema(0.9)),
    Row(gd.ema(0.9, debias=False), label="ema-biased"),
]


def ema(gradient, theta0, steps, *, eta, beta, debias):
    """Descent along the running mean of the gradients, divided by 1 − βᵗ if `debias`."""
    m = np.zeros_like(theta0)

    def step(theta, t):
        nonlocal m
        m = beta * m + (1.0 - beta) * gradient(theta, t)
        return theta - at(eta, t) * (m / (1.0 - beta ** (t + 1)) if debias else m)

    return trajectory(theta0, steps, step)


AGREE = {
    "numpy-trace": Agree(
        gd.chain(gd.trace(0.9), gd.scale(-0.05)), rule(momentum, eta=0.05, mu=0.9)
    ),
    "numpy-ema": Agree(descent(gd.ema(0.9), eta=0.3), rule(ema, eta=0.3, beta=0.9, debias=True)),
    "numpy-ema-biased": Agree(
        descent(gd.ema(0.9, debias=False), eta=0.3), rule(ema, eta=0.3, beta=0.9, debias=False)
    ),
}

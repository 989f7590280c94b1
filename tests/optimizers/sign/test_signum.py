"""Sign descent and Signum."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, halving, recorded, rule
from tests.transcription import descend

ROWS = [
    Row(gd.sign_sgd(0.05)),
    Row(gd.signum(0.05, b1=0.8)),
    Row(gd.scale_by_sign()),
]


def sign_sgd(gradient, theta0, steps, *, eta):
    """θ ← θ − η·sign(g) (Bernstein et al. 2018, algorithm 1)."""
    return descend(gradient, theta0, steps, eta, lambda g, t: np.sign(g))


def signum(gradient, theta0, steps, *, eta, beta):
    """θ ← θ − η·sign(m), m ← βm + (1 − β)g (Bernstein et al. 2018, algorithm 2)."""
    m = np.zeros_like(theta0)

    def direction(g, t):
        nonlocal m
        m = beta * m + (1 - beta) * g
        return np.sign(m)

    return descend(gradient, theta0, steps, eta, direction)


AGREE = {
    "pytorch_optimizer-sign_sgd": Agree(
        gd.sign_sgd(0.05), recorded("adam_kin", "pytorch_optimizer/sign_sgd")
    ),
    "pytorch_optimizer-signum": Agree(
        gd.signum(0.05, 0.8), recorded("adam_kin", "pytorch_optimizer/signum")
    ),
    "optax-sign_sgd": Agree(gd.sign_sgd(0.05), recorded("adam_kin", "optax/sign_sgd")),
    "optax-signum": Agree(gd.signum(0.05, 0.8), recorded("adam_kin", "optax/signum")),
    "numpy-sign_sgd": Agree(gd.sign_sgd(halving(0.05)), rule(sign_sgd, eta=halving(0.05))),
    "numpy-signum": Agree(gd.signum(halving(0.05)), rule(signum, eta=halving(0.05), beta=0.9)),
}

"""ADOPT."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import BETAS, Agree, halving, recorded, rule
from tests.transcription import descend

ROWS = [
    Row(gd.adopt(0.1, b2=0.99)),
    Row(gd.adopt(0.1, nesterov=True, use_clipping=False), label="adopt-nesterov"),
    Row(gd.scale_by_adopt(0.9, 0.99), descends=False),  # its first step tells no sign
]


def adopt(gradient, theta0, steps, *, eta, b1=0.9, b2=0.9999, eps=1e-6, power=0.25, nesterov=False):
    """ADOPT (Taniguchi et al. 2024, algorithm 2; algorithm 1 with `power` None).

    The paper's g₀, of which v₀ is made, is the gradient of the first step, which does not move.
    """
    m, v = np.zeros_like(theta0), None

    def direction(g, t):
        nonlocal m, v
        if t == 0:
            v = g**2
            return np.zeros_like(g)
        scaled = g / np.maximum(np.sqrt(v), eps)
        if power is not None:
            scaled = np.clip(scaled, -(t**power), t**power)
        m = b1 * m + (1 - b1) * scaled
        v = b2 * v + (1 - b2) * g**2
        return b1 * m + (1 - b1) * scaled if nesterov else m

    return descend(gradient, theta0, steps, eta, direction)


AGREE = {
    "pytorch_optimizer-adopt": Agree(
        gd.adopt(0.05, **BETAS), recorded("adam_kin", "pytorch_optimizer/adopt")
    ),
    "optax-adopt": Agree(gd.adopt(0.05, **BETAS), recorded("adam_kin", "optax/adopt")),
    "optax-adopt_nesterov": Agree(
        gd.adopt(0.05, **BETAS, nesterov=True), recorded("adam_kin", "optax/adopt_nesterov")
    ),
    "optax-adopt_unclipped": Agree(
        gd.adopt(0.05, **BETAS, use_clipping=False), recorded("adam_kin", "optax/adopt_unclipped")
    ),
    "numpy-adopt": Agree(gd.adopt(0.05), rule(adopt, eta=0.05)),
    "numpy-adopt-betas": Agree(
        gd.adopt(halving(0.05), **BETAS), rule(adopt, eta=halving(0.05), **BETAS)
    ),
    # Few gradients are smaller than 0.01: this eps holds the first denominators.
    "numpy-adopt-unclipped": Agree(
        gd.adopt(0.05, 0.8, 0.95, 0.1, use_clipping=False),
        rule(adopt, eta=0.05, b1=0.8, b2=0.95, eps=0.1, power=None),
    ),
    "numpy-adopt-nesterov": Agree(
        gd.adopt(0.05, 0.8, 0.95, 1e-4, nesterov=True, clip_value_fn=lambda t: t**0.5),
        rule(adopt, eta=0.05, b1=0.8, b2=0.95, eps=1e-4, power=0.5, nesterov=True),
    ),
}

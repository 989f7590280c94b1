"""AdaBelief."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import BETAS, ROOT, Agree, recorded, rule
from tests.transcription import debiased_mean, descend

ROWS = [
    Row(gd.adabelief(0.1, b1=0.8)),
    Row(gd.adabelief(0.1, nesterov=True), label="adabelief-nesterov"),
    Row(gd.scale_by_belief(0.9, 0.99)),
]


def adabelief(
    gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, nesterov=False
):
    """AdaBelief, s ← b2·s + (1 − b2)(g − m)² + ε (Zhuang et al. 2020, algorithm 2)."""
    m, s = np.zeros_like(theta0), np.zeros_like(theta0)

    def direction(g, t):
        nonlocal m, s
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps_root
        s_hat = s / (1 - b2 ** (t + 1))
        return debiased_mean(m, g, b1, t, nesterov) / (np.sqrt(s_hat) + eps)

    return descend(gradient, theta0, steps, eta, direction)


AGREE = {
    "pytorch_optimizer-adabelief": Agree(
        gd.adabelief(0.05, **BETAS, eps_root=1e-2),
        recorded("adam_kin", "pytorch_optimizer/adabelief"),
    ),
    "torch_optimizer-adabelief": Agree(
        gd.adabelief(0.05, **BETAS, eps_root=1e-2),
        recorded("adam_kin", "torch_optimizer/adabelief"),
    ),
    "optax-adabelief": Agree(gd.adabelief(0.05, **ROOT), recorded("adam_kin", "optax/adabelief")),
    "optax-adabelief_nesterov": Agree(
        gd.adabelief(0.05, **ROOT, nesterov=True), recorded("adam_kin", "optax/adabelief_nesterov")
    ),
    "numpy-adabelief": Agree(gd.adabelief(0.05), rule(adabelief, eta=0.05)),
    "numpy-adabelief-root": Agree(gd.adabelief(0.05, **ROOT), rule(adabelief, eta=0.05, **ROOT)),
    "numpy-adabelief-nesterov": Agree(
        gd.adabelief(0.05, **ROOT, nesterov=True), rule(adabelief, eta=0.05, **ROOT, nesterov=True)
    ),
}

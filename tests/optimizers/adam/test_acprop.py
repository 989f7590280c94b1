"""ACProp."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import ROOT, Agree, descent, halving, recorded, rule
from tests.transcription import descend

ROWS = [
    Row(gd.acprop(0.05, b1=0.8, weight_decay=0.01)),
    Row(gd.scale_by_acprop(0.9, 0.99)),
]


def acprop(gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, lam=0.0):
    """ACProp, θ ← θ − ηg / (√ŝ₋ + ε), ŝ₋ of the step before (Zhuang et al. 2021).

    Before the first step there is no ŝ₋, and 1 stands for it.
    """
    m, s = np.zeros_like(theta0), np.zeros_like(theta0)

    def direction(g, t):
        nonlocal m, s
        before = s / (1 - b2**t) if t else 1.0
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps_root
        return g / (np.sqrt(before) + eps)

    return descend(gradient, theta0, steps, eta, direction, lam)


AGREE = {
    "optax-acprop": Agree(
        descent(gd.scale_by_acprop(**ROOT), eta=0.05), recorded("adam_kin", "optax/acprop")
    ),
    "numpy-acprop": Agree(
        gd.acprop(halving(0.05), **ROOT, weight_decay=0.1),
        rule(acprop, eta=halving(0.05), **ROOT, lam=0.1),
    ),
    "numpy-acprop-part": Agree(
        descent(gd.scale_by_acprop(), gd.add_decayed_weights(0.1), eta=0.05),
        rule(acprop, eta=0.05, lam=0.1),
    ),
}

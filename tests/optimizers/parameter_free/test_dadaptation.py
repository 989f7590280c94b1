"""D-Adaptation."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, halving, recorded, rule, value
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.dadapt_adamw(1.0, estim_lr0=1e-2, weight_decay=0.01)),
]


def dadapt_adam(gradient, theta0, steps, *, eta=1.0, b1=0.9, b2=0.999, eps=1e-8, d0=1e-6, lam=0.0):
    """Adam with D-Adaptation (Defazio and Mishchenko 2023), decay as in AdamW.

    r weighs ⟨g, s⟩ by the matrix that made θ, as dual averaging has it and the authors run it.
    """
    b3 = np.sqrt(b2)
    d, r = d0, 0.0
    m, v, s = np.zeros_like(theta0), np.zeros_like(theta0), np.zeros_like(theta0)

    def step(theta, t):
        nonlocal d, r, m, v, s
        g = gradient(theta, t)
        gamma = at(eta, t) * np.sqrt(1 - b2 ** (t + 1)) / (1 - b1 ** (t + 1))
        rate = d * gamma
        r = b3 * r + (1 - b3) * rate * np.sum(g * s / (np.sqrt(v) + eps))
        m = b1 * m + (1 - b1) * rate * g
        v = b2 * v + (1 - b2) * g**2
        a = np.sqrt(v) + eps
        s = b3 * s + (1 - b3) * rate * g
        d = max(d, r / ((1 - b3) * np.sum(np.abs(s))))
        return theta - m / a - rate * lam * theta

    return trajectory(theta0, steps, step)


AGREE = {
    "dadaptation-adam": Agree(
        gd.dadapt_adamw(estim_lr0=1e-2), recorded("parameter_free", "dadaptation/adam"), extra=value
    ),
    "dadaptation-decay": Agree(
        gd.dadapt_adamw(0.8, (0.8, 0.95), 1e-2, 1e-2, 0.1),
        recorded("parameter_free", "dadaptation/decay"),
        extra=value,
    ),
    "optax-dadapt_adamw": Agree(
        gd.dadapt_adamw(eps=1e-2, estim_lr0=1e-2, weight_decay=0.1),
        recorded("parameter_free", "optax/dadapt_adamw"),
        extra=value,
    ),
    "numpy-dadapt_adamw": Agree(
        gd.dadapt_adamw(halving(0.8), (0.8, 0.95), 1e-2, 1e-2, 0.1),
        rule(dadapt_adam, eta=halving(0.8), b1=0.8, b2=0.95, eps=1e-2, d0=1e-2, lam=0.1),
        extra=value,
    ),
    "numpy-dadapt_adamw-defaults": Agree(
        gd.dadapt_adamw(estim_lr0=1e-2), rule(dadapt_adam, d0=1e-2), extra=value
    ),
}

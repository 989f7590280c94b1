"""AdEMAMix and its simplified form."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, falling, real, recorded, rule
from tests.transcription import at, descend, ema_of, trajectory

ROWS = [
    Row(gd.ademamix(0.1, b3=0.99, alpha=2.0, weight_decay=0.01)),
    Row(gd.ademamix(0.1, mu_dtype=jnp.bfloat16), label="ademamix-bfloat16"),
    Row(gd.simplified_ademamix(0.01, alpha=2.0, weight_decay=0.01)),
    Row(gd.scale_by_ademamix(b3=0.99)),
    Row(gd.scale_by_simplified_ademamix(alpha=1.0)),
]


def ademamix(gradient, theta0, steps, *, eta, b1, b2, b3, alpha, eps=1e-8, eps_root=0.0, lam=0.0):
    """Pagliardini, Ablin and Grangier 2024, algorithm 1: a fast mean and a slow one, mixed.

    `b3` and `alpha` may be functions of t.
    """
    m1, m2, v = (np.zeros(len(theta0)) for _ in range(3))

    def direction(g, t):
        nonlocal m1, m2, v
        m1 = ema_of(m1, g, b1)
        m2 = ema_of(m2, g, at(b3, t))
        v = ema_of(v, g * g, b2)
        mixed = m1 / (1.0 - b1 ** (t + 1)) + at(alpha, t) * m2
        return mixed / (np.sqrt(v / (1.0 - b2 ** (t + 1)) + eps_root) + eps)

    return descend(gradient, theta0, steps, eta, direction, lam)


def simplified_ademamix(
    gradient, theta0, steps, *, eta, b1, b2, alpha, eps=1e-8, eps_root=0.0, lam=0.0
):
    """Morwani et al. 2025: θ ← θ − η (αg + m)/√v̂ with m ← β₁m + g, a sum and not a mean."""
    m = np.zeros(len(theta0))
    v = np.zeros(len(theta0))

    def step(theta, t):
        nonlocal m, v
        g = gradient(theta, t)
        m = b1 * m + g
        v = ema_of(v, g * g, b2)
        u = (at(alpha, t) * g + m) / (np.sqrt(v / (1.0 - b2 ** (t + 1)) + eps_root) + eps)
        return theta - at(eta, t) * (u + lam * theta)

    return trajectory(theta0, steps, step)


def rising_alpha(t, last=5.0, warmup=40):
    """The paper's schedule of α; steps count from 1 there."""
    return jnp.minimum((real(t) + 1) * last / warmup, last)


def rising_b3(t, first=0.9, last=0.999, warmup=40):
    """The paper's schedule of β₃: the half-life of the mean grows linearly."""
    done = jnp.minimum((real(t) + 1) / warmup, 1.0)
    a, b = math.log(first), math.log(last)
    return jnp.exp(a * b / ((1 - done) * b + done * a))


MIX = {"b1": 0.8, "b2": 0.95, "b3": 0.99, "alpha": 3.0, "eps": 1e-3}
SUM = {"b1": 0.9, "b2": 0.95, "alpha": 2.0, "eps": 1e-3, "eps_root": 1e-3}
AGREE = {
    "torch-ademamix": Agree(
        gd.ademamix(0.05, 0.9, 0.99, 0.995), recorded("modern", "torch/ademamix")
    ),
    "torch-ademamix_decay": Agree(
        gd.ademamix(0.05, **MIX, weight_decay=0.1), recorded("modern", "torch/ademamix_decay")
    ),
    "torch-ademamix_warmup": Agree(
        gd.ademamix(0.05, 0.9, 0.99, rising_b3, rising_alpha),
        recorded("modern", "torch/ademamix_warmup"),
    ),
    "optax-ademamix": Agree(
        gd.ademamix(0.05, 0.9, 0.99, 0.995), recorded("modern", "optax/ademamix")
    ),
    "optax-ademamix_decay": Agree(
        gd.ademamix(0.05, **MIX, eps_root=1e-3, weight_decay=0.1),
        recorded("modern", "optax/ademamix_decay"),
    ),
    "optax-simplified_ademamix": Agree(
        gd.simplified_ademamix(0.05, **SUM, weight_decay=0.1),
        recorded("modern", "optax/simplified_ademamix"),
    ),
    "numpy-ademamix": Agree(
        gd.ademamix(falling, **MIX, eps_root=1e-3, weight_decay=0.1),
        rule(ademamix, eta=falling, **MIX, eps_root=1e-3, lam=0.1),
    ),
    "numpy-ademamix-warmup": Agree(
        gd.ademamix(0.05, b3=rising_b3, alpha=rising_alpha),
        rule(ademamix, eta=0.05, b1=0.9, b2=0.999, b3=rising_b3, alpha=rising_alpha),
    ),
    "numpy-scale_by_ademamix": Agree(
        descent(gd.scale_by_ademamix(), eta=0.05),
        rule(ademamix, eta=0.05, b1=0.9, b2=0.999, b3=0.9999, alpha=5.0),
    ),
    "numpy-simplified_ademamix": Agree(
        gd.simplified_ademamix(0.05, **SUM, weight_decay=0.1),
        rule(simplified_ademamix, eta=0.05, **SUM, lam=0.1),
    ),
    "numpy-scale_by_simplified_ademamix": Agree(
        descent(gd.scale_by_simplified_ademamix(), eta=0.005),
        rule(simplified_ademamix, eta=0.005, b1=0.99, b2=0.95, alpha=0.0),
    ),
}

"""Optimistic gradient descent and optimistic Adam."""

from __future__ import annotations

import gdjax as gd
from tests.cases import Row
from tests.references import ROOT, Agree, halving, recorded, rule
from tests.transcription import adam_direction, at, trajectory

ROWS = [
    Row(gd.optimistic_gradient_descent(0.1, beta=0.5)),
    Row(gd.optimistic_adam(0.1, b1=0.8)),
    Row(gd.optimistic_adam(0.1, 0.05, nesterov=True), label="optimistic_adam-nesterov"),
    Row(gd.optimistic_adam_v2(0.1, beta=0.5)),
    Row(gd.scale_by_optimistic_gradient(1.0, 0.5)),
]


def optimistic_gradient(gradient, theta0, steps, *, eta, alpha=1.0, beta=1.0):
    """θ ← θ − η(α + β)g + ηβg₋, from g₋ = g (Mokhtari et al. 2019, equation 4)."""
    before = None

    def step(theta, t):
        nonlocal before
        g = gradient(theta, t)
        last, before = (g if before is None else before), g
        return theta - at(eta, t) * (alpha + beta) * g + at(eta, t) * beta * last

    return trajectory(theta0, steps, step)


def optimistic_adam(
    gradient,
    theta0,
    steps,
    *,
    eta,
    optimism,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    nesterov=False,
):
    """θ ← θ − (η + o)r + o·r₋, r Adam's step (Daskalakis et al. 2017, algorithm 1: o = η)."""
    adam, before = adam_direction(b1, b2, eps, eps_root, nesterov=nesterov), None

    def step(theta, t):
        nonlocal before
        r = adam(gradient(theta, t), t)
        last, before = (r if before is None else before), r
        rate, o = at(eta, t), at(optimism, t)
        return theta - (rate + o) * r + o * last

    return trajectory(theta0, steps, step)


AGREE = {
    "optax-optimistic_gradient": Agree(
        gd.optimistic_gradient_descent(0.2, 0.7, 0.4),
        recorded("adam_kin", "optax/optimistic_gradient"),
    ),
    "optax-optimistic_adam": Agree(
        gd.optimistic_adam(0.05, 0.03, **ROOT), recorded("adam_kin", "optax/optimistic_adam")
    ),
    "optax-optimistic_adam_nesterov": Agree(
        gd.optimistic_adam_v2(0.05, alpha=0.7, beta=0.4, **ROOT, nesterov=True),
        recorded("adam_kin", "optax/optimistic_adam_nesterov"),
    ),
    "numpy-optimistic": Agree(
        gd.optimistic_gradient_descent(halving(0.05)), rule(optimistic_gradient, eta=halving(0.05))
    ),
    "numpy-optimistic-generalized": Agree(
        gd.optimistic_gradient_descent(0.2, 0.7, 0.4),
        rule(optimistic_gradient, eta=0.2, alpha=0.7, beta=0.4),
    ),
    "numpy-optimistic_adam": Agree(
        gd.optimistic_adam(halving(0.05)),
        rule(optimistic_adam, eta=halving(0.05), optimism=halving(0.05)),
    ),
    "numpy-optimistic_adam-root": Agree(
        gd.optimistic_adam(0.05, 0.03, **ROOT, nesterov=True),
        rule(optimistic_adam, eta=0.05, optimism=0.03, **ROOT, nesterov=True),
    ),
    "numpy-optimistic_adam_v2": Agree(
        gd.optimistic_adam_v2(0.05), rule(optimistic_adam, eta=0.05, optimism=0.05)
    ),
    "numpy-optimistic_adam_v2-root": Agree(
        gd.optimistic_adam_v2(0.1, alpha=0.7, beta=0.4, **ROOT),
        rule(optimistic_adam, eta=0.07, optimism=0.04, **ROOT),
    ),
}

"""MARS."""

from __future__ import annotations

import math

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, recorded, rule
from tests.transcription import adam_direction, descend, each_tensor

ROWS = [
    Row(gd.mars(gd.adam(0.1, b1=0.9), b1=0.9)),
]


def mars_adamw(
    gradient, theta0, steps, *, eta, b1, b2, gamma, eps=1e-8, lam=0.0, bound=1.0, decay=None
):
    """Yuan et al. 2024, algorithm 2 with the gradient of the step before (MARS-approx).

    x₀ = x₁, so the first correction is none. Each tensor is clipped by itself. `decay` is β₁ in
    the correction where it differs from Adam's.
    """
    adam, last = adam_direction(b1, b2, eps), None
    beta = b1 if decay is None else decay

    def clipped(c):
        return c * min(1.0, bound / np.linalg.norm(c))

    def direction(g, t):
        nonlocal last
        c = g if last is None else g + gamma * beta / (1.0 - beta) * (g - last)
        last = g
        return adam(each_tensor(clipped, c), t)

    return descend(gradient, theta0, steps, eta, direction, lam)


AGREE = {
    "torch-timm_mars": Agree(
        gd.mars(gd.adamw(0.05, 0.9, 0.99, 1e-3, weight_decay=0.1), gamma=0.1, b1=0.9),
        recorded("modern", "torch/timm_mars"),
    ),
    "numpy-mars": Agree(
        gd.mars(gd.adamw(0.05, 0.9, 0.99, weight_decay=0.1), 0.2, 0.8, 0.5),
        rule(mars_adamw, eta=0.05, b1=0.9, b2=0.99, gamma=0.2, lam=0.1, bound=0.5, decay=0.8),
    ),
    "numpy-mars-unclipped": Agree(
        gd.mars(gd.adam(0.05, 0.95, 0.99), max_norm=None),
        rule(mars_adamw, eta=0.05, b1=0.95, b2=0.99, gamma=0.025, bound=math.inf),
    ),
}


def test_passes_extra_arguments_on():
    assert gd.mars(gd.hutchinson_estimator_diag_hessian()).extra_args["obj_fn"] is True

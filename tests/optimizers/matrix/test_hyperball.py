"""AdamH and MuonH: optimizers on a sphere."""

from __future__ import annotations

import gdjax as gd
from tests.cases import Row
from tests.optimizers.matrix.test_muon import mean_gradient, orthogonal
from tests.references import Agree, halving, rule
from tests.transcription import adam_direction, adamw_of_tensor, at, by_tensor
from tests.transforms.test_weight_norm import on_sphere

ROWS = [
    Row(gd.adam_hyperball(0.05, adam_learning_rate=0.1)),
    Row(gd.muon_hyperball(0.05, adam_learning_rate=0.1)),
]


def adam_hyperball(gradient, theta0, steps, *, eta, b1, b2, eps, adam):
    """AdamH of w, AdamW of b."""
    direction = adam_direction(b1, b2, eps)
    rule = lambda w, g, t: on_sphere(w, direction(g, t), at(eta, t))
    return by_tensor(gradient, theta0, steps, w=rule, b=adamw_of_tensor(*adam))


def muon_hyperball(gradient, theta0, steps, *, eta, beta, eps, adam, nesterov=True):
    """MuonH of w, AdamW of b."""
    mean = mean_gradient(beta, nesterov)
    rule = lambda w, g, t: on_sphere(w, orthogonal(mean(g, t), eps), at(eta, t))
    return by_tensor(gradient, theta0, steps, w=rule, b=adamw_of_tensor(*adam))


AGREE = {
    "numpy-adam_hyperball": Agree(
        gd.adam_hyperball(
            halving(0.2), 0.8, 0.99, 1e-3, adam_weight_decay=0.1, adam_learning_rate=0.02
        ),
        rule(
            adam_hyperball,
            eta=halving(0.2),
            b1=0.8,
            b2=0.99,
            eps=1e-3,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
    "numpy-muon_hyperball": Agree(
        gd.muon_hyperball(
            halving(0.2),
            b1=0.8,
            eps=1e-3,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
        ),
        rule(
            muon_hyperball,
            eta=halving(0.2),
            beta=0.8,
            eps=1e-3,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
    "numpy-muon_hyperball-plain": Agree(
        gd.muon_hyperball(0.05, nesterov=False),
        rule(muon_hyperball, eta=0.05, beta=0.95, eps=1e-8, adam=(0.05,), nesterov=False),
    ),
}

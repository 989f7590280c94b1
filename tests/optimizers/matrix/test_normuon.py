"""NorMuon."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.optimizers.matrix.test_muon import mean_gradient, orthogonal
from tests.references import Agree, halving, recorded, rule
from tests.transcription import adamw_of_tensor, at, by_tensor

ROWS = [
    Row(gd.scale_by_neurons(0.9)),
    Row(gd.normuon(0.05, weight_decay=0.1)),
]


def normuon(gradient, theta0, steps, *, eta, b1, b2, eps, rms, lam, adam, polar_eps=1e-8):
    """NorMuon (Li et al. 2025, algorithm 1) of w, whose neurons are columns, AdamW of b.

    With rms None the matrix keeps the Frobenius norm that it had, as in the authors' program.
    """
    mean, v = mean_gradient(b1, nesterov=False), 0.0

    def rule(w, g, t):
        nonlocal v
        o = orthogonal(mean(g, t), polar_eps)
        v = b2 * v + (1 - b2) * np.mean(o**2, axis=0)
        u = o / (np.sqrt(v) + eps)
        size = np.linalg.norm(o) if rms is None else rms * np.sqrt(w.size)
        return w - at(eta, t) * (size * u / np.linalg.norm(u) + lam * w)

    return by_tensor(gradient, theta0, steps, w=rule, b=adamw_of_tensor(*adam))


ADAM = {
    "adam_b1": 0.8,
    "adam_b2": 0.99,
    "adam_weight_decay": 0.1,
    "adam_learning_rate": 0.02,
}

AGREE = {
    "numpy-normuon": Agree(
        gd.normuon(halving(0.2), 0.9, 0.8, 1e-3, 0.1, adam_learning_rate=0.02),
        rule(
            normuon,
            eta=halving(0.2),
            b1=0.9,
            b2=0.8,
            eps=1e-3,
            rms=0.2,
            lam=0.1,
            adam=(0.02, 0.9, 0.999, 1e-3, 0.0),
            polar_eps=1e-3,
        ),
    ),
    "numpy-normuon-default": Agree(
        gd.normuon(0.1),
        rule(normuon, eta=0.1, b1=0.95, b2=0.95, eps=1e-8, rms=0.2, lam=0.0, adam=(0.1,)),
    ),
    "numpy-normuon-length": Agree(
        gd.normuon(0.05, rms=None, adam_b1=0.8, adam_b2=0.99, adam_weight_decay=0.1),
        rule(
            normuon,
            eta=0.05,
            b1=0.95,
            b2=0.95,
            eps=1e-8,
            rms=None,
            lam=0.0,
            adam=(0.05, 0.8, 0.99, 1e-8, 0.1),
        ),
    ),
    "pytorch_optimizer-normuon": Agree(
        gd.normuon(0.05, 0.9, 0.8, 0.0, 0.1, **ADAM),
        recorded("muon_kin", "pytorch_optimizer/normuon"),
    ),
    "pytorch_optimizer-normuon_length": Agree(
        gd.chain(
            gd.partition(
                {"w": "w", "b": "b"},
                # The package scales by the shape besides.
                w=gd.chain(
                    gd.scale_by_muon(b1=0.9, eps=0.0, nesterov=False),
                    gd.scale_by_neurons(0.8, 0.0, None),
                    gd.scale_by_shape(),
                    gd.add_decayed_weights(0.1),
                    gd.scale_by_learning_rate(0.05),
                ),
                b=gd.adamw(0.02, 0.8, 0.99, 0.0, weight_decay=0.1),
            )
        ),
        recorded("muon_kin", "pytorch_optimizer/normuon_length"),
    ),
}

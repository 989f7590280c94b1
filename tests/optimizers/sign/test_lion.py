"""Lion."""

from __future__ import annotations

import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, halving, recorded, rule
from tests.transcription import descend

ROWS = [
    Row(gd.lion(0.05, b1=0.8, weight_decay=0.01)),
    Row(gd.scale_by_lion(0.9, 0.99)),
]


def lion(gradient, theta0, steps, *, eta, b1=0.9, b2=0.99, lam=0.0):
    """Lion (Chen et al. 2023, program 1 and algorithm 2)."""
    m = np.zeros_like(theta0)

    def direction(g, t):
        nonlocal m
        u = np.sign(b1 * m + (1 - b1) * g)
        m = b2 * m + (1 - b2) * g
        return u

    return descend(gradient, theta0, steps, eta, direction, lam)


AGREE = {
    "pytorch_optimizer-lion": Agree(
        gd.lion(0.05, 0.8, 0.95, weight_decay=0.1), recorded("adam_kin", "pytorch_optimizer/lion")
    ),
    "lion_pytorch-lion": Agree(
        gd.lion(0.05, 0.8, 0.95, weight_decay=0.1), recorded("adam_kin", "lion_pytorch/lion")
    ),
    "keras-lion": Agree(
        gd.lion(0.05, 0.8, 0.95, weight_decay=0.0), recorded("adam_kin", "keras/lion")
    ),
    "optax-lion": Agree(
        gd.lion(0.05, 0.8, 0.95, weight_decay=0.1), recorded("adam_kin", "optax/lion")
    ),
    "numpy-lion": Agree(gd.lion(0.02), rule(lion, eta=0.02, lam=1e-3)),
    "numpy-lion-decay": Agree(
        gd.lion(halving(0.05), 0.8, 0.95, weight_decay=0.1),
        rule(lion, eta=halving(0.05), b1=0.8, b2=0.95, lam=0.1),
    ),
}


def test_lion_needs_a_memory():
    with pytest.raises(ValueError, match=r"b2 must lie in \(0, 1\)"):
        gd.lion(0.1, b2=0.0)

"""Dion2."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.optimizers.matrix.test_muon import orthogonal
from tests.references import Agree, halving, rule
from tests.transcription import adamw_of_tensor, at, by_tensor

ROWS = [
    Row(gd.scale_by_dion2(0.5)),
    Row(gd.dion2(0.05, 0.5)),
]


def dion2(gradient, theta0, steps, *, eta, mu, fraction, eps, lam, adam, transposed=False):
    """Dion2 (Ahn, Amsel and Langford 2025, algorithm 1) of w, AdamW of b.

    The rows of the shorter side whose sums of absolute values are largest are chosen.
    """
    m = 0.0

    def rule(w, g, t):
        nonlocal m
        rows, columns = w.shape[::-1] if transposed else w.shape
        m = m + g
        across = 1 if w.shape[0] < w.shape[1] else 0  # the axis that is summed over
        sums = np.abs(m).sum(axis=across)
        chosen = np.argsort(-sums)[: max(1, int(np.ceil(fraction * len(sums))))]
        where = (chosen, slice(None)) if across else (slice(None), chosen)
        u = np.zeros_like(w)
        u[where] = orthogonal(m[where], eps)
        m = m.copy()
        m[where] *= mu
        return w - at(eta, t) * (np.sqrt(columns / rows) * u + lam * w)

    return by_tensor(gradient, theta0, steps, w=rule, b=adamw_of_tensor(*adam))


AGREE = {
    "numpy-dion2": Agree(
        gd.dion2(
            halving(0.2),
            0.5,
            0.8,
            1e-3,
            0.1,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
        ),
        rule(
            dion2,
            eta=halving(0.2),
            mu=0.8,
            fraction=0.5,
            eps=1e-3,
            lam=0.1,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
    "numpy-dion2-transposed": Agree(
        gd.dion2(0.05, 0.3, matrix_axes="out in"),
        rule(
            dion2,
            eta=0.05,
            mu=0.95,
            fraction=0.3,
            eps=1e-8,
            lam=0.0,
            adam=(0.05,),
            transposed=True,
        ),
    ),
    "numpy-dion2-all": Agree(
        gd.dion2(0.05, 0.6),
        rule(dion2, eta=0.05, mu=0.95, fraction=0.6, eps=1e-8, lam=0.0, adam=(0.05,)),
    ),
}


def test_dion2_chooses_every_row_in_time(x64):
    """What waits adds up: with equal gradients the rows take turns."""
    g = jnp.eye(4, 6) * jnp.array([4.0, 3.0, 2.0, 1.0])[:, None]
    tx = gd.scale_by_dion2(0.25, 0.0, backend="svd")
    state, chosen = tx.init(g), set()
    for _ in range(8):
        u, state = tx.update(g, state)
        rows = np.flatnonzero(np.any(u != 0, axis=1))
        assert len(rows) == 1
        chosen |= set(rows.tolist())
    assert chosen == {0, 1, 2, 3}


def test_the_fraction_is_checked():
    with pytest.raises(ValueError, match=r"fraction must lie in \(0, 1\]"):
        gd.scale_by_dion2(0.0)

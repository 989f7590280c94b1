"""Dion3."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import normal
from tests.optimizers.matrix.test_muon import orthogonal
from tests.references import Agree, halving, rule
from tests.transcription import adamw_of_tensor, at, by_tensor

ROWS = [
    Row(gd.scale_by_dion3(0.5)),
    Row(gd.dion3(0.05, 0.5)),
]


def dion3(
    gradient, theta0, steps, *, eta, mu=0.95, b2=0.95, fraction, eps=1e-8, lam=0.0, adam,
    transposed=False,
):  # fmt: skip
    """NorDion2 of w as in the authors' program, whose neurons are rows; AdamW of b."""
    m, v = 0.0, None

    def matrix(w, g, t):
        nonlocal m, v
        if not transposed:
            w, g = w.T, g.T
        outputs, inputs = w.shape
        v = np.zeros(outputs) if v is None else v.copy()
        m = m + g
        chosen = np.argsort(-np.abs(m).sum(1))[: max(1, int(np.ceil(fraction * outputs)))]
        o = orthogonal(m[chosen], eps)
        v[chosen] = b2 * v[chosen] + (1 - b2) * np.mean(o**2, axis=1)
        n = o / (np.sqrt(v[chosen]) + eps)[:, None]
        u = np.zeros_like(w)
        u[chosen] = n * np.linalg.norm(o) / np.linalg.norm(n)
        m = m.copy()
        m[chosen] *= mu
        w = w - at(eta, t) * (np.sqrt(outputs / inputs) * u + lam * w)
        return w if transposed else w.T

    return by_tensor(gradient, theta0, steps, w=matrix, b=adamw_of_tensor(*adam))


AGREE = {
    "numpy-dion3": Agree(
        gd.dion3(
            halving(0.2),
            0.5,
            0.8,
            0.7,
            1e-3,
            0.1,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
        ),
        rule(
            dion3,
            eta=halving(0.2),
            mu=0.8,
            b2=0.7,
            fraction=0.5,
            eps=1e-3,
            lam=0.1,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
    "numpy-dion3-transposed": Agree(
        gd.dion3(0.05, 0.3, matrix_axes="out in"),
        rule(dion3, eta=0.05, fraction=0.3, adam=(0.05,), transposed=True),
    ),
    "numpy-dion3-all": Agree(
        gd.dion3(0.05, 1.0), rule(dion3, eta=0.05, fraction=1.0, adam=(0.05,))
    ),
}


def test_all_neurons_are_those_of_normuon(x64):
    """With all of them selected it is `scale_by_neurons` after orthogonalization."""
    tx = gd.scale_by_dion3(1.0, 0.9, 0.8, backend="svd")
    parts = gd.chain(gd.trace(0.9), gd.orthogonalize("svd"), gd.scale_by_neurons(0.8, rms=None))
    states = tx.init(jnp.zeros((3, 5))), parts.init(jnp.zeros((3, 5)))
    for seed in range(3):
        g = jnp.asarray(normal(3, 5, seed=seed))
        u, first = tx.update(g, states[0])
        v, second = parts.update(g, states[1])
        states = first, second
        np.testing.assert_allclose(u, v, rtol=1e-10)


def test_neurons_that_wait_keep_their_squares(x64):
    tx = gd.scale_by_dion3(0.25, 0.0, 0.5, backend="svd")
    g = jnp.eye(4) * jnp.array([4.0, 3.0, 2.0, 1.0])[:, None]
    state, before = tx.init(g), np.zeros(4)
    for _ in range(8):
        u, state = tx.update(g, state)
        (chosen,) = np.flatnonzero(np.any(u != 0, axis=0))
        others = np.arange(4) != chosen
        np.testing.assert_array_equal(state.nu[others], before[others])
        assert state.nu[chosen] == (before[chosen] + 0.25) / 2
        before = np.asarray(state.nu)
    assert np.all(before > 0)
    with pytest.raises(ValueError, match=r"scale_by_dion3: fraction must lie in \(0, 1\]"):
        gd.scale_by_dion3(0.0)

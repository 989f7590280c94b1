"""Aurora."""

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
    Row(gd.orthogonalize_uniformly()),
    Row(gd.aurora(0.05, weight_decay=0.1)),
]

SIMPLE = ((2.0, -1.5, 0.5),) * 12


def uniform(g, rounds, beta, eps, polar):
    """The authors' preconditioned polar factor: D weighs the rows of the longer side."""
    m, n = g.shape
    if m == n:
        return polar(g)
    if m < n:
        return uniform(g.T, rounds, beta, eps, polar).T
    d = 1 / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), eps)
    for k in range(rounds):
        u = polar(d * g)
        if k < rounds - 1:
            d = d * ((n / m) / np.sum(u**2, axis=1, keepdims=True)) ** beta
    return u


def aurora(
    gradient, theta0, steps, *, eta, mu=0.95, nesterov=True, rounds=2, beta=0.5, eps=1e-8,
    lam=0.0, r=None, polar=lambda x: orthogonal(x, coefficients=SIMPLE), transposed=False, adam,
):  # fmt: skip
    """Aurora of w, AdamW of b, as in the authors' program; its mean is (1 − μ) times the sum."""
    m = 0.0

    def matrix(w, g, t):
        nonlocal m
        m = mu * m + g
        u = uniform(g + mu * m if nesterov else m, rounds, beta, eps, polar)
        rows, columns = w.shape[::-1] if transposed else w.shape
        size = max(1, columns / rows) ** 0.5 if r is None else r * max(rows, columns) ** 0.5
        return w - at(eta, t) * (size * u + lam * w)

    return by_tensor(gradient, theta0, steps, w=matrix, b=adamw_of_tensor(*adam))


def by_svd(x):
    u, _, vt = np.linalg.svd(x, full_matrices=False)
    return u @ vt


AGREE = {
    "numpy-aurora": Agree(
        gd.aurora(halving(0.1)),
        rule(aurora, eta=halving(0.1), adam=(halving(0.1), 0.9, 0.999, 1e-8, 0.0)),
    ),
    "numpy-aurora-transposed": Agree(
        gd.aurora(0.05, matrix_axes="out in"),
        rule(aurora, eta=0.05, transposed=True, adam=(0.05,)),
    ),
    "numpy-aurora-all": Agree(
        gd.aurora(
            0.05,
            0.8,
            1e-3,
            0.1,
            nesterov=False,
            rounds=4,
            power=0.3,
            backend="svd",
            consistent_rms=0.3,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
        ),
        rule(
            aurora,
            eta=0.05,
            mu=0.8,
            nesterov=False,
            rounds=4,
            beta=0.3,
            eps=1e-3,
            lam=0.1,
            r=0.3,
            polar=by_svd,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
}


@pytest.mark.parametrize("shape", [(6, 24), (24, 6)])
def test_rows_become_equally_long_and_the_matrix_stays_orthogonal(shape, x64):
    g = jnp.asarray(normal(*shape)) * jnp.logspace(-3, 0, shape[1])[None]
    spread = []
    for rounds in (1, 2, 20):
        tx = gd.orthogonalize_uniformly(rounds, backend="svd")
        u = tx.update(g, tx.init(g))[0]
        np.testing.assert_allclose(np.linalg.svd(u, compute_uv=False), 1, rtol=1e-12)
        rows = np.linalg.norm(u, axis=int(shape[0] > shape[1]))
        spread.append(np.ptp(rows**2) / (6 / 24))
    assert spread[0] > 2 * spread[1] and spread[2] < 1e-3


def test_a_square_matrix_is_as_muon_makes_it(x64):
    g = jnp.asarray(normal(5, 5))
    same = gd.orthogonalize("svd").update(g, gd.EmptyState())[0]
    tx = gd.orthogonalize_uniformly(3, backend="svd")
    np.testing.assert_allclose(tx.update(g, gd.EmptyState())[0], same, rtol=1e-12)
    with pytest.raises(ValueError, match="rounds must be 1 or more, got 0"):
        gd.orthogonalize_uniformly(0)

"""NAMO."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import normal
from tests.optimizers.matrix.test_muon import orthogonal
from tests.references import Agree, halving, rule
from tests.transcription import adamw_of_tensor, at, by_tensor

ROWS = [
    Row(gd.scale_by_namo(0.9, 0.9, weight_decay=0.1)),
    Row(gd.namo(0.05, weight_decay=0.1)),
]


def namo(
    gradient, theta0, steps, *, eta, mu1=0.95, mu2=0.99, eps=1e-8, lam=0.0, r=0.2, adam,
):  # fmt: skip
    """NAMO (Zhang, Liu and Schaeffer 2026, algorithm 1) of w, AdamW of b.

    The orthogonal term has the factor of the authors' program, r·√max(in, out), or none.
    """
    m = v = 0.0

    def matrix(w, g, t):
        nonlocal m, v
        m = mu1 * m + (1 - mu1) * g
        v = mu2 * v + (1 - mu2) * np.sum(g**2)
        c1, c2 = 1 - mu1 ** (t + 1), 1 - mu2 ** (t + 1)
        alpha = np.sqrt(c2) / c1 * np.linalg.norm(m) / (np.sqrt(v) + eps)
        size = 1 if r is None else r * np.sqrt(max(w.shape))
        return w - at(eta, t) * alpha * (size * orthogonal(m / c1, eps) + lam * w)

    return by_tensor(gradient, theta0, steps, w=matrix, b=adamw_of_tensor(*adam))


AGREE = {
    "numpy-namo": Agree(
        gd.namo(halving(0.2)),
        rule(namo, eta=halving(0.2), adam=(halving(0.2), 0.9, 0.999, 1e-8, 0.0)),
    ),
    "numpy-namo-all": Agree(
        gd.namo(
            0.05,
            0.8,
            0.9,
            0.1,
            0.2,
            consistent_rms=None,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
        ),
        rule(
            namo,
            eta=0.05,
            mu1=0.8,
            mu2=0.9,
            eps=0.1,
            lam=0.2,
            r=None,
            adam=(0.02, 0.8, 0.99, 0.1, 0.1),
        ),
    ),
}


def test_noise_shortens_the_steps(x64):
    """Gradients of random signs have a short mean, those that stay the same a long one."""
    g, lengths = jnp.asarray(normal(4, 6)), []
    signs = np.where(normal(40) > 0, 1.0, -1.0)
    for turns in (np.ones(40), signs):
        tx = gd.scale_by_namo(0.9, 0.9, backend="svd", consistent_rms=None)
        state = tx.init(g)
        for sign in turns:
            u, state = tx.update(sign * g, state, g)
        lengths.append(float(jnp.linalg.norm(u)))
    np.testing.assert_allclose(lengths[0], 2.0, rtol=1e-6)  # √4, and α = 1
    assert lengths[1] < 0.6 * lengths[0]


def test_decay_may_be_of_some_parameters_alone(x64):
    params = {"a": jnp.asarray(normal(3, 4)), "b": jnp.asarray(normal(3, 4, seed=1))}
    steps = [
        tx.update(params, tx.init(params), params)[0]
        for tx in (gd.namo(0.1), gd.namo(0.1, weight_decay=0.5, mask={"a": True, "b": False}))
    ]
    # α is 1 in the first step.
    np.testing.assert_allclose(steps[1]["a"] - steps[0]["a"], -0.05 * params["a"], rtol=1e-6)
    np.testing.assert_allclose(steps[1]["b"], steps[0]["b"], rtol=1e-12)

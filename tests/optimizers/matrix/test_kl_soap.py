"""KL-SOAP."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import over
from tests.references import Agree, halving, rule
from tests.transcription import adam_direction, at, by_tensor

# Gradients of the examples span less than their columns; see test_soap.
ROWS = [
    Row(gd.scale_by_kl_soap(0.9, 0.95, 0.1, every=2, factor_eps=1e-3)),
    Row(gd.kl_soap(0.05, eps=0.1, weight_decay=0.1, factor_eps=1e-3)),
]


def kl_soap(
    gradient,
    theta0,
    steps,
    *,
    eta,
    b1=0.95,
    b2=0.95,
    b3=None,
    eps=1e-8,
    factor_eps=1e-8,
    every=10,
    diagonal=(),
    lam=0.0,
):
    """KL-SOAP (Lin et al. 2025): the covariances of KL-Shampoo, Adam in their bases, Adam for b.

    The covariances and bases take the gradient in before the step. `diagonal` are the sides of w
    that are not rotated.
    """
    b3 = b2 if b3 is None else b3
    floored = lambda x: np.maximum(x, factor_eps * x.max())
    s = {}

    def matrix(w, G, t):
        if t == 0:
            s["M"], s["V"] = np.zeros_like(G), np.zeros_like(G)
            first = np.sqrt(np.mean(G**2))
            s["S"] = [first * np.eye(d) for d in G.shape]
            s["Q"] = [np.eye(d) for d in G.shape]
            s["l"] = [first * np.ones(d) for d in G.shape]
        inverse = [Q @ np.diag(1 / floored(x)) @ Q.T for Q, x in zip(s["Q"], s["l"])]
        deltas = G @ inverse[1] @ G.T / G.shape[1], G.T @ inverse[0] @ G / G.shape[0]
        for k, delta in enumerate(deltas):
            Q = s["Q"][k]
            s["S"][k] = b3 * s["S"][k] + (1 - b3) * delta
            s["l"][k] = b3 * s["l"][k] + (1 - b3) * np.diag(Q.T @ delta @ Q)
            if t % every == 0 and k not in diagonal:
                order = np.argsort(-np.diag(Q.T @ s["S"][k] @ Q), kind="stable")
                s["Q"][k] = np.linalg.qr(s["S"][k] @ Q[:, order])[0]
                s["l"][k], s["V"] = s["l"][k][order], np.take(s["V"], order, k)
        Qa, Qb = s["Q"]
        s["M"] = b1 * s["M"] + (1 - b1) * G
        s["V"] = b2 * s["V"] + (1 - b2) * (Qa.T @ G @ Qb) ** 2
        turned = Qa.T @ s["M"] @ Qb / (1 - b1 ** (t + 1))
        u = Qa @ (turned / (np.sqrt(s["V"] / (1 - b2 ** (t + 1))) + eps)) @ Qb.T
        return w - at(eta, t) * (u + lam * w)

    adam = adam_direction(b1, b2, eps)
    vector = lambda w, g, t: w - at(eta, t) * (adam(g, t) + lam * w)
    return by_tensor(gradient, theta0, steps, w=matrix, b=vector)


AGREE = {
    "numpy-kl_soap": Agree(
        gd.kl_soap(halving(0.05), every=1, eps=1e-3),
        rule(kl_soap, eta=halving(0.05), every=1, eps=1e-3),
    ),
    "numpy-kl_soap-all": Agree(
        gd.kl_soap(0.05, 0.8, 0.9, 0.1, 0.2, b3=0.7, every=3, factor_eps=0.2),
        rule(
            kl_soap,
            eta=0.05,
            b1=0.8,
            b2=0.9,
            b3=0.7,
            eps=0.1,
            factor_eps=0.2,
            every=3,
            lam=0.2,
        ),
    ),
    "numpy-kl_soap-diagonal": Agree(
        gd.kl_soap(0.05, eps=0.01, max_precond_dim=2, every=2),
        rule(kl_soap, eta=0.05, eps=0.01, diagonal=(1,), every=2),
    ),
}


def test_kl_soap_does_not_see_the_scale(x64):
    tx = gd.scale_by_kl_soap(eps=0.0, every=2)
    gradients = jax.random.normal(jax.random.key(0), (6, 3, 2))
    one, million = (over(tx, scale * gradients)[0] for scale in (1.0, 1e6))
    np.testing.assert_allclose(one, million, rtol=1e-9)


def test_layers_in_a_stack_are_as_layers_apart(x64):
    tx = lambda axes: gd.scale_by_kl_soap(every=2, matrix_axes=axes)
    stacked = jax.random.normal(jax.random.key(0), (4, 3, 2, 3))
    apart = {str(i): stacked[:, i] for i in range(3)}
    together, _ = over(tx("n in out"), stacked)
    alone, _ = over(tx(None), apart)
    np.testing.assert_allclose(together, np.stack(list(alone.values()), 1), rtol=1e-9)


def test_vectors_are_updated_by_adam():
    g = jax.random.normal(jax.random.key(0), (5, 4))
    np.testing.assert_allclose(
        over(gd.scale_by_kl_soap(), g)[0], over(gd.scale_by_adam(0.95, 0.95), g)[0], rtol=1e-6
    )
    column = over(gd.scale_by_kl_soap(), g[:, :, None])[0]
    np.testing.assert_allclose(column[..., 0], over(gd.scale_by_kl_soap(), g)[0], rtol=1e-6)


def test_kl_soap_needs_a_step_between_decompositions():
    with pytest.raises(ValueError, match="scale_by_kl_soap: every must be 1 or more, got 0"):
        gd.scale_by_kl_soap(every=0)

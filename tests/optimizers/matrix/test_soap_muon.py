"""SOAP-Muon."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import normal
from tests.optimizers.matrix.test_soap import soap_direction
from tests.references import Agree, halving, rule
from tests.transcription import adamw_of_tensor, at, by_tensor

# Gradients of the examples span less than their columns, and what is rounding there is divided by
# its own size: eps is more, here.
ROWS = [
    Row(gd.soap_muon(0.05, eps=0.1, weight_decay=0.1)),
]


def soap_muon(
    gradient, theta0, steps, *, eta, b1=0.95, b2=0.95, b3=None, eps=1e-8, lam=0.0, frequency=10,
    longest=10000, skip=True, r=None, adam,
):  # fmt: skip
    """The orthogonal factor of SOAP's direction, scaled as Muon's; vectors by AdamW.

    `adam` holds its rate, both decays and its weight decay; they have one ε.
    """
    b3 = b2 if b3 is None else b3
    numbers = dict(b1=b1, b2=b2, b3=b3, eps=eps, frequency=frequency, longest=longest, skip=skip)
    kept = {}

    def matrix(w, g, t):
        u, s, vt = np.linalg.svd(soap_direction(g, kept, t, **numbers), full_matrices=False)
        u = u @ vt * (s[0] > 0)
        inputs, outputs = w.shape
        scale = max(1, outputs / inputs) ** 0.5 if r is None else r * max(w.shape) ** 0.5
        return w - at(eta, t) * (scale * u + lam * w)

    rate, beta1, beta2, decay = adam
    vector = adamw_of_tensor(rate, beta1, beta2, eps, decay)
    return by_tensor(gradient, theta0, steps, w=matrix, b=vector)


AGREE = {
    "numpy-soap_muon": Agree(
        gd.soap_muon(halving(0.05), backend="svd"),
        rule(soap_muon, eta=halving(0.05), adam=(halving(0.05), 0.9, 0.999, 0.0)),
    ),
    "numpy-soap_muon-all": Agree(
        gd.soap_muon(
            0.05,
            0.8,
            0.9,
            0.1,
            0.2,
            b3=0.7,
            every=3,
            max_precond_dim=2,
            backend="svd",
            skip_first=False,
            consistent_rms=0.3,
            adam_b1=0.7,
            adam_b2=0.8,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
        ),
        rule(
            soap_muon,
            eta=0.05,
            b1=0.8,
            b2=0.9,
            eps=0.1,
            lam=0.2,
            b3=0.7,
            frequency=3,
            longest=2,
            skip=False,
            r=0.3,
            adam=(0.02, 0.7, 0.8, 0.1),
        ),
    ),
}


def test_soap_muon_is_a_chain_of_its_parts(x64):
    """Matrices by the parts, embeddings by AdamW."""
    params = {"up": jnp.zeros((2, 4)), "embed": jnp.zeros((5, 2))}
    tx = gd.soap_muon(0.1, backend="polar_express", steps=8)
    by_hand = gd.chain(
        gd.scale_by_soap(),
        gd.orthogonalize("polar_express", 8),
        gd.scale_by_shape(),
        gd.scale(-0.1),
    )
    adamw = gd.adamw(0.1, weight_decay=0.0)
    states = tx.init(params), by_hand.init(params["up"]), adamw.init(params["embed"])
    for seed in range(3):
        g = {k: jnp.asarray(normal(*p.shape, seed=seed)) for k, p in params.items()}
        u, first = tx.update(g, states[0], params)
        v, second = by_hand.update(g["up"], states[1], params["up"])
        w, third = adamw.update(g["embed"], states[2], params["embed"])
        states = first, second, third
        np.testing.assert_allclose(u["up"], v, atol=1e-12)
        np.testing.assert_allclose(u["embed"], w, atol=1e-12)
    # 8 steps of the iteration leave singular values of one, times √(out/in).
    np.testing.assert_allclose(np.linalg.svd(v, compute_uv=False), 0.1 * 2**0.5, rtol=1e-3)

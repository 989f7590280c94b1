"""Muown."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import normal
from tests.optimizers.matrix.test_muon import DION, QUINTIC, orthogonal
from tests.references import Agree, halving, rule
from tests.transcription import adamw_of_tensor, at, by_tensor

ROWS = [
    Row(gd.muown(0.05, weight_decay=0.1)),
]


def muown(
    gradient, theta0, steps, *, eta, momentum=0.95, betas=(0.9, 0.95), eps=1e-8, lam=0.0, r=0.2,
    rate=None, coefficients=QUINTIC, nesterov=True, transposed=False, adam,
):  # fmt: skip
    """Muown of w as in the authors' program, whose neurons are rows; AdamW of b.

    Its weight decay is of the norms alone, as the program's documentation has it. The momentum is
    a sum there, so that ε, beside its norm, is that of a mean here: it is divided by 1 − βᵗ⁺¹.
    """
    g = size = None
    m_v = m_g = v_g = 0.0
    beta1, beta2 = betas

    def matrix(w, grad, t):
        nonlocal g, size, m_v, m_g, v_g
        if not transposed:
            w, grad = w.T, grad.T
        if g is None:
            g = np.linalg.norm(w, axis=1, keepdims=True)
            size = g.copy()
        u = w / g
        grad_g = np.sum(grad * u, axis=1, keepdims=True)
        grad_v = g / size * (grad - u * grad_g)
        m_v = momentum * m_v + grad_v
        step = grad_v + momentum * m_v if nesterov else m_v
        mean = (1 - momentum) * step / (1 - momentum ** (t + 1 + nesterov))
        outputs, inputs = w.shape
        scale = max(1, outputs / inputs) ** 0.5 if r is None else r * max(w.shape) ** 0.5
        v = u * size - at(eta, t) * scale * orthogonal(mean, eps, coefficients)
        m_g = beta1 * m_g + (1 - beta1) * grad_g
        v_g = beta2 * v_g + (1 - beta2) * grad_g**2
        c1, c2 = 1 - beta1 ** (t + 1), 1 - beta2 ** (t + 1)
        of_g = at(eta if rate is None else rate, t)
        g = g - of_g * (m_g / c1 / (np.sqrt(v_g / c2) + eps) + lam * g)
        size = np.linalg.norm(v, axis=1, keepdims=True)
        w = g * v / size
        return w if transposed else w.T

    return by_tensor(gradient, theta0, steps, w=matrix, b=adamw_of_tensor(*adam))


AGREE = {
    "numpy-muown": Agree(
        gd.muown(halving(0.02)),
        rule(muown, eta=halving(0.02), adam=(halving(0.02), 0.9, 0.999, 1e-8, 0.0)),
    ),
    "numpy-muown-transposed": Agree(
        gd.muown(0.02, backend="dion", nesterov=False, matrix_axes="out in"),
        rule(muown, eta=0.02, coefficients=DION, nesterov=False, transposed=True, adam=(0.02,)),
    ),
    "numpy-muown-all": Agree(
        gd.muown(
            0.02,
            0.8,
            1e-3,
            0.2,
            magnitude_b1=0.7,
            magnitude_b2=0.8,
            magnitude_learning_rate=0.01,
            consistent_rms=None,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.03,
        ),
        rule(
            muown,
            eta=0.02,
            momentum=0.8,
            betas=(0.7, 0.8),
            eps=1e-3,
            lam=0.2,
            r=None,
            rate=0.01,
            adam=(0.03, 0.8, 0.99, 1e-3, 0.1),
        ),
    ),
}


def test_norms_move_by_their_own_rate_alone(x64):
    w = jnp.asarray(normal(4, 6))
    tx = gd.muown(0.3, magnitude_learning_rate=0.0)
    after, state = w, tx.init(w)
    for seed in range(5):
        after, state = tx.step(jnp.asarray(normal(4, 6, seed=seed + 1)), state, after)
    norm = lambda w: np.linalg.norm(w, axis=0)
    np.testing.assert_allclose(norm(after), norm(w), rtol=1e-12)
    assert np.linalg.norm(after - w) > 0.5
    # One number for each neuron, and V is not kept.
    assert gd.state.find(state, "size").shape == (6,)

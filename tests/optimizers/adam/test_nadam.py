"""NAdam and NAdamW."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import updates_of
from tests.references import BETAS, ROOT, Agree, descent, halving, recorded, rule
from tests.transcription import adam_direction, descend

ROWS = [
    Row(gd.nadam(0.1, b1=0.8)),
    Row(gd.nadamw(0.1, b2=0.99, weight_decay=0.01)),
    Row(gd.scale_by_nadam(0.9, 0.99, momentum_decay=0.02)),
]


def nadam(gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, lam=0.0):
    """Adam with Nesterov's momentum, μ constant (Dozat 2016, algorithm 2)."""
    return descend(
        gradient, theta0, steps, eta, adam_direction(b1, b2, eps, eps_root, nesterov=True), lam
    )


def nadam_scheduled(gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-8, psi=4e-3):
    """The same under μₜ = b1(1 − ½·0.96^(ψt)); m is averaged by b1, as torch documents it."""
    m, v = np.zeros_like(theta0), np.zeros_like(theta0)
    mus = [b1 * (1 - 0.5 * 0.96 ** (psi * k)) for k in range(1, steps + 2)]

    def direction(g, t):
        nonlocal m, v
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = mus[t + 1] * m / (1 - np.prod(mus[: t + 2]))
        m_hat = m_hat + (1 - mus[t]) * g / (1 - np.prod(mus[: t + 1]))
        return m_hat / (np.sqrt(v / (1 - b2 ** (t + 1))) + eps)

    return descend(gradient, theta0, steps, eta, direction)


AGREE = {
    "torch-nadam": Agree(
        descent(gd.scale_by_nadam(**BETAS, momentum_decay=0.02), eta=0.05),
        recorded("adam_kin", "torch/nadam"),
    ),
    "torch-nadamw": Agree(
        descent(gd.scale_by_nadam(**BETAS), gd.add_decayed_weights(0.1), eta=0.05),
        recorded("adam_kin", "torch/nadamw"),
    ),
    "keras-nadam": Agree(
        descent(gd.scale_by_nadam(**BETAS, momentum_decay=1.0), eta=0.05),
        recorded("adam_kin", "keras/nadam"),
    ),
    "optax-nadam": Agree(gd.nadam(0.05, **ROOT), recorded("adam_kin", "optax/nadam")),
    "optax-nadamw": Agree(
        gd.nadamw(0.05, **ROOT, weight_decay=0.1), recorded("adam_kin", "optax/nadamw")
    ),
    "numpy-nadam": Agree(gd.nadam(0.05), rule(nadam, eta=0.05)),
    "numpy-nadam-root": Agree(gd.nadam(0.05, **ROOT), rule(nadam, eta=0.05, **ROOT)),
    "numpy-nadamw": Agree(
        gd.nadamw(halving(0.05), **ROOT, weight_decay=0.1),
        rule(nadam, eta=halving(0.05), **ROOT, lam=0.1),
    ),
    "numpy-nadam-scheduled": Agree(
        descent(gd.scale_by_nadam(), eta=0.05), rule(nadam_scheduled, eta=0.05)
    ),
    "numpy-nadam-scheduled-fast": Agree(
        descent(gd.scale_by_nadam(**BETAS, momentum_decay=0.5), eta=halving(0.05)),
        rule(nadam_scheduled, eta=halving(0.05), **BETAS, psi=0.5),
    ),
}


def test_nadam_is_its_scheduled_form_under_a_constant_momentum(x64):
    """ψ large and t ≥ 1 put 0.96^(ψt) to 0: μ is b1 from the first step on."""
    grads = jnp.cos(jnp.arange(12.0)).reshape(6, 2)
    scheduled = updates_of(gd.scale_by_nadam(0.8, momentum_decay=1e4), grads)
    plain = updates_of(gd.scale_by_adam(0.8, nesterov=True), grads)
    np.testing.assert_allclose(scheduled, plain, rtol=1e-12)

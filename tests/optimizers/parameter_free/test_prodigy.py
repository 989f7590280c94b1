"""Prodigy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.lab import problems
from tests.cases import Row
from tests.references import Agree, halving, recorded, rule, value
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.prodigy(1.0, estim_lr0=1e-2, weight_decay=0.01)),
    Row(gd.prodigy(beta3=0.9, safeguard_warmup=True, estim_lr0=1e-2), label="prodigy-safeguard"),
]


def prodigy(
    gradient,
    theta0,
    steps,
    *,
    eta=1.0,
    b1=0.9,
    b2=0.999,
    b3=None,
    eps=1e-8,
    d0=1e-6,
    coef=1.0,
    lam=0.0,
    safeguard_warmup=False,
):
    """Prodigy's Adam form (Mishchenko and Defazio 2023, Algorithm 4).

    With Adam's bias correction in the rate and the decay of AdamW, as the authors' package has
    them; it has the new d beside eps, and the paper the old one. A constant factor of r and s
    cancels in their quotient.
    """
    b3 = np.sqrt(b2) if b3 is None else b3
    d, r = d0, 0.0
    m, v, s = np.zeros_like(theta0), np.zeros_like(theta0), np.zeros_like(theta0)

    def step(theta, t):
        nonlocal d, r, m, v, s
        g = gradient(theta, t)
        gamma = at(eta, t) * np.sqrt(1 - b2 ** (t + 1)) / (1 - b1 ** (t + 1))
        rate = d * gamma
        m = b1 * m + (1 - b1) * d * g
        v = b2 * v + (1 - b2) * (d * g) ** 2
        r = b3 * r + (1 - b3) * d * rate * (g @ (theta0 - theta))
        s = b3 * s + (1 - b3) * d * (d if safeguard_warmup else rate) * g
        move = rate * (m / (np.sqrt(v) + d * eps) + lam * theta)
        d = max(d, coef * r / np.sum(np.abs(s)))
        return theta - move

    return trajectory(theta0, steps, step)


PRODIGY = {"estim_lr0": 1e-2, "eps": 1e-14}
AGREE = {
    "prodigyopt-prodigy": Agree(
        gd.prodigy(**PRODIGY), recorded("parameter_free", "prodigyopt/prodigy"), extra=value
    ),
    "prodigyopt-decay": Agree(
        gd.prodigy(0.8, (0.8, 0.95), 0.9, estim_lr_coef=0.7, weight_decay=0.1, **PRODIGY),
        recorded("parameter_free", "prodigyopt/decay"),
        extra=value,
    ),
    "prodigyopt-safeguard": Agree(
        gd.prodigy(0.5, safeguard_warmup=True, **PRODIGY),
        recorded("parameter_free", "prodigyopt/safeguard"),
        extra=value,
    ),
    "optax-prodigy": Agree(
        gd.prodigy(weight_decay=0.1, **PRODIGY),
        recorded("parameter_free", "optax/prodigy"),
        extra=value,
    ),
    "numpy-prodigy": Agree(
        gd.prodigy(0.8, (0.8, 0.95), None, 1e-2, 1e-2, 0.7, 0.1),
        rule(prodigy, eta=0.8, b1=0.8, b2=0.95, eps=1e-2, d0=1e-2, coef=0.7, lam=0.1),
        extra=value,
    ),
    "numpy-prodigy-defaults": Agree(gd.prodigy(), rule(prodigy), extra=value),
    "numpy-prodigy-schedule": Agree(
        gd.prodigy(halving(0.8), beta3=0.9, estim_lr0=1e-2),
        rule(prodigy, eta=halving(0.8), b3=0.9, d0=1e-2),
        extra=value,
    ),
    "numpy-prodigy-safeguard": Agree(
        gd.prodigy(halving(0.8), estim_lr0=1e-2, safeguard_warmup=True),
        rule(prodigy, eta=halving(0.8), d0=1e-2, safeguard_warmup=True),
        extra=value,
    ),
}


def test_float32_parameters_keep_float32_scalars(x64):
    state = gd.prodigy().init(jnp.ones(2, jnp.float32))
    assert state.estim_lr.dtype == state.numerator_weighted.dtype == jnp.float32


def test_needs_the_parameters():
    with pytest.raises(ValueError, match="needs the parameters"):
        gd.prodigy().update(jnp.ones(2), gd.prodigy().init(jnp.ones(2)))


def test_digits_without_tuning(x64):
    """The iterations it takes to gaps of 1e-2, 1e-4 and 1e-6."""
    digits = problems.digits()
    start = digits.init(jax.random.key(0)).astype(jnp.float64)
    run = gd.minimize(digits.loss, start, gd.prodigy(1.0), 170)
    gaps = np.asarray(digits.gap(run.history.loss))
    for bound, most in ((1e-2, 73), (1e-4, 118), (1e-6, 163)):
        assert np.argmax(gaps <= bound) <= most and (gaps <= bound).any(), bound
    assert float(run.state.estim_lr) > 0.1


def test_the_first_sum_of_gradients_is_the_gradient_times_the_rate():
    tx, g = gd.prodigy(1.0), np.float32([2.0, -3.0])
    _, state = tx.update(g, tx.init(jnp.zeros(2)), jnp.zeros(2))
    rate = 1e-6 * np.sqrt(1 - 0.999) / (1 - 0.9)
    np.testing.assert_allclose(state.grad_sum, rate * g, rtol=1e-4)

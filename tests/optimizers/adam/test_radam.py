"""RAdam."""

from __future__ import annotations

from fractions import Fraction
from math import factorial

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.optimizers.adam.radam import _langevin, _length
from tests.cases import Row
from tests.helpers import updates_of
from tests.references import ROOT, Agree, recorded, rule
from tests.transcription import debiased_mean, descend

ROWS = [
    Row(gd.radam(0.1, b2=0.99)),
    Row(gd.radam(0.1, b2=0.9, threshold=3.0, nesterov=True), label="radam-nesterov"),
    Row(gd.scale_by_radam(0.9, 0.99)),
]


def radam(
    gradient,
    theta0,
    steps,
    *,
    eta,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    threshold=5.0,
    nesterov=False,
):
    """RAdam (Liu et al. 2019, algorithm 2): rectified where the length ρ allows, else momentum."""
    m, v = np.zeros_like(theta0), np.zeros_like(theta0)
    final = 2 / (1 - b2) - 1

    def direction(g, t):
        nonlocal m, v
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        k = t + 1
        rho = final - 2 * k * b2**k / (1 - b2**k)
        m_hat = debiased_mean(m, g, b1, t, nesterov)
        if rho < threshold or rho <= 4:
            return m_hat
        r = np.sqrt((rho - 4) * (rho - 2) * final / ((final - 4) * (final - 2) * rho))
        return r * m_hat / (np.sqrt(v / (1 - b2**k) + eps_root) + eps)

    return descend(gradient, theta0, steps, eta, direction)


AGREE = {
    "torch-radam": Agree(gd.radam(0.05, 0.8, 0.95, 0.0), recorded("adam_kin", "torch/radam")),
    # It widens nothing: its own arithmetic, or a part of it, is in float32.
    "torch_optimizer-radam": Agree(
        gd.radam(0.05, 0.8, 0.95, 0.0),
        recorded("adam_kin", "torch_optimizer/radam"),
        tolerance=1e-6,
    ),
    "optax-radam": Agree(
        gd.radam(0.05, **ROOT, threshold=6.0), recorded("adam_kin", "optax/radam")
    ),
    "optax-radam_nesterov": Agree(
        gd.radam(0.05, **ROOT, nesterov=True), recorded("adam_kin", "optax/radam_nesterov")
    ),
    "numpy-radam": Agree(gd.radam(0.05), rule(radam, eta=0.05)),
    "numpy-radam-root": Agree(gd.radam(0.05, **ROOT), rule(radam, eta=0.05, **ROOT)),
    "numpy-radam-least-threshold": Agree(
        gd.radam(0.05, **ROOT, threshold=0.0), rule(radam, eta=0.05, **ROOT, threshold=0.0)
    ),
    "numpy-radam-short": Agree(
        gd.radam(0.05, b2=0.5, threshold=1.0), rule(radam, eta=0.05, b2=0.5, threshold=1.0)
    ),
    "numpy-radam-nesterov": Agree(
        gd.radam(0.05, **ROOT, threshold=8.0, nesterov=True),
        rule(radam, eta=0.05, **ROOT, threshold=8.0, nesterov=True),
    ),
}


@pytest.mark.parametrize("b2", (0.9, 0.99, 0.999, 0.9999))
def test_rectification_keeps_its_digits_in_float32(b2):
    t = jnp.asarray([1, 5, 6, 7, 20, 100, 1000, 10**8])
    power = np.float64(b2) ** np.asarray(t)
    final = 2 / (1 - b2) - 1
    rho, length = _length(b2, t)
    assert rho.dtype == jnp.float32
    np.testing.assert_allclose(length, final, rtol=1e-5)
    np.testing.assert_allclose(rho, final - 2 * np.asarray(t) * power / (1 - power), rtol=1e-5)


def test_the_series_of_the_langevin_function_is_exact():
    """coth y − 1/y = Σ 2²ⁿ·B₂ₙ·y²ⁿ⁻¹ / (2n)!, in fractions."""
    bernoulli = map(Fraction, ("1/6", "-1/30", "1/42", "-1/30", "5/66"))
    y = Fraction(1, 7)
    terms = ((2 * n, b) for n, b in enumerate(bernoulli, start=1))
    assert _langevin(y) == sum(2**k * b * y ** (k - 1) / factorial(k) for k, b in terms)


def test_steps_before_the_rectification_are_momentum():
    grads = jnp.full((6, 1), 3.0)
    moves = updates_of(gd.scale_by_radam(), grads)[:, 0]
    np.testing.assert_allclose(moves[:5], 3.0, rtol=1e-5)
    assert 0 < moves[5] < 0.1


def test_a_threshold_below_5_rectifies_sooner():
    """ρ is 4.996 in the fifth step of b2 = 0.999: between 4, from which on r is real, and 5."""
    txs = [gd.scale_by_radam(threshold=threshold) for threshold in (4.5, 5.0)]
    sooner, later = (updates_of(tx, np.ones(5, np.float32))[-1] for tx in txs)
    rho = _length(0.999, jnp.asarray(5))[0]
    assert 4 < rho < 5 and sooner < 0.1 and later > 0.9

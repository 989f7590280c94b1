"""RMSProp."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.optimizers.adaptive.test_adagrad import root_with_eps
from tests.references import Agree, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.rmsprop(0.05)),
    Row(gd.rmsprop(0.01, 0.9, centered=True, momentum=0.5), label="rmsprop-centered"),
    Row(gd.scale_by_rms(0.9)),
    Row(gd.scale_by_rms(0.9, bias_correction=True, eps_in_sqrt=True), label="scale_by_rms-debias"),
    Row(gd.scale_by_stddev(0.9)),
]


def rmsprop(
    gradient,
    theta0,
    steps,
    *,
    eta,
    alpha,
    eps,
    initial_scale=0.0,
    eps_in_sqrt=False,
    centered=False,
    mu=0.0,
    bias_correction=False,
):
    """RMSProp, G ← αG + (1 − α)g², u = g / (√G + ε) (Hinton 2012; centred: Graves 2013).

    `centered` subtracts from G the square of the running mean of g (which starts at 0);
    `bias_correction` divides both averages by 1 − αᵗ; `mu` is a heavy ball on u, the rate last.
    """
    square, mean, v = np.full_like(theta0, initial_scale), 0.0, 0.0

    def step(theta, t):
        nonlocal square, mean, v
        g = gradient(theta, t)
        square = alpha * square + (1.0 - alpha) * g**2
        mean = alpha * mean + (1.0 - alpha) * g
        unbias = 1.0 - alpha ** (t + 1) if bias_correction else 1.0
        variance = square / unbias - (mean / unbias) ** 2 if centered else square / unbias
        v = mu * v + g / root_with_eps(variance, eps, eps_in_sqrt)
        return theta - at(eta, t) * v

    return trajectory(theta0, steps, step)


AGREE = {
    # torch 2.13.0: eps beside the root, no bias correction.
    "torch-rmsprop": Agree(gd.rmsprop(0.02), recorded("seminar", "rmsprop")),
    "torch-rmsprop_centered": Agree(
        gd.rmsprop(0.02, centered=True), recorded("seminar", "rmsprop_centered")
    ),
    "torch-rmsprop_momentum": Agree(
        gd.rmsprop(0.02, momentum=0.5), recorded("seminar", "rmsprop_momentum")
    ),
    "torch-rmsprop_centered_momentum": Agree(
        gd.rmsprop(0.02, centered=True, momentum=0.5),
        recorded("seminar", "rmsprop_centered_momentum"),
    ),
    "numpy-rmsprop": Agree(gd.rmsprop(0.02), rule(rmsprop, eta=0.02, alpha=0.9, eps=1e-8)),
    "numpy-rmsprop-root": Agree(
        gd.rmsprop(0.02, 0.95, 1e-6, 0.5, eps_in_sqrt=True),
        rule(rmsprop, eta=0.02, alpha=0.95, eps=1e-6, initial_scale=0.5, eps_in_sqrt=True),
    ),
    "numpy-rmsprop-debias": Agree(
        gd.rmsprop(0.02, bias_correction=True),
        rule(rmsprop, eta=0.02, alpha=0.9, eps=1e-8, bias_correction=True),
    ),
    "numpy-rmsprop-centered-momentum": Agree(
        gd.rmsprop(0.02, centered=True, momentum=0.5),
        rule(rmsprop, eta=0.02, alpha=0.9, eps=1e-8, centered=True, mu=0.5),
    ),
    "numpy-rmsprop-centered-root-debias": Agree(
        gd.rmsprop(0.02, 0.9, 1e-3, 0.5, eps_in_sqrt=True, centered=True, bias_correction=True),
        rule(
            rmsprop,
            eta=0.02,
            alpha=0.9,
            eps=1e-3,
            initial_scale=0.5,
            eps_in_sqrt=True,
            centered=True,
            bias_correction=True,
        ),
    ),
    "numpy-scale_by_rms": Agree(
        gd.chain(gd.scale_by_rms(0.9), gd.sgd(0.02)), rule(rmsprop, eta=0.02, alpha=0.9, eps=1e-8)
    ),
    "numpy-scale_by_stddev": Agree(
        gd.chain(gd.scale_by_stddev(0.9), gd.sgd(0.02)),
        rule(rmsprop, eta=0.02, alpha=0.9, eps=1e-8, centered=True),
    ),
}


@pytest.mark.parametrize("eps_in_sqrt", [False, True])
@pytest.mark.parametrize("make", [gd.scale_by_rms, gd.scale_by_stddev, gd.scale_by_rss])
def test_a_traced_eps_is_the_same_eps(make, eps_in_sqrt):
    grads = jnp.asarray([1.0, -0.1])
    go = lambda eps: (tx := make(eps=eps, eps_in_sqrt=eps_in_sqrt)).update(grads, tx.init(grads))[0]
    np.testing.assert_allclose(jax.jit(go)(0.25), go(0.25), rtol=1e-6)
    assert jnp.all(jnp.isfinite(jax.jit(go)(0.0)))

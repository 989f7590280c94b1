"""SGD and momentum."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import path_from
from tests.references import Agree, halving, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.sgd(0.1)),
    Row(gd.sgd(0.05, momentum=0.9), label="sgd-momentum"),
    Row(gd.sgd(0.05, 0.9, nesterov=True), label="sgd-nesterov"),
    Row(gd.momentum(0.1, decay=0.8)),
]


def sgd(gradient, theta0, steps, *, eta):
    """Steepest descent, θ ← θ − ηg."""
    return trajectory(theta0, steps, lambda theta, t: theta - at(eta, t) * gradient(theta, t))


def momentum(gradient, theta0, steps, *, eta, mu):
    """The heavy ball, v ← μv + g, θ ← θ − ηv (Polyak 1964; Sutskever et al. 2013)."""
    v = np.zeros_like(theta0)

    def step(theta, t):
        nonlocal v
        v = mu * v + gradient(theta, t)
        return theta - at(eta, t) * v

    return trajectory(theta0, steps, step)


def nesterov(gradient, theta0, steps, *, eta, mu):
    """Nesterov's momentum at the point looked ahead to, v ← μv + g, θ ← θ − η(g + μv)."""
    v = np.zeros_like(theta0)

    def step(theta, t):
        nonlocal v
        g = gradient(theta, t)
        v = mu * v + g
        return theta - at(eta, t) * (g + mu * v)

    return trajectory(theta0, steps, step)


def averaged_momentum(gradient, theta0, steps, *, eta, beta):
    """Descent along the running mean, v ← βv + (1 − β)g from 0, θ ← θ − ηv."""
    v = np.zeros_like(theta0)

    def step(theta, t):
        nonlocal v
        v = beta * v + (1.0 - beta) * gradient(theta, t)
        return theta - at(eta, t) * v

    return trajectory(theta0, steps, step)


AGREE = {
    "torch-sgd": Agree(gd.sgd(0.3), recorded("seminar", "sgd")),
    "torch-sgd_momentum": Agree(gd.sgd(0.05, momentum=0.9), recorded("seminar", "sgd_momentum")),
    "torch-sgd_nesterov": Agree(
        gd.sgd(0.05, momentum=0.9, nesterov=True), recorded("seminar", "sgd_nesterov")
    ),
    "numpy-sgd": Agree(gd.sgd(0.3), rule(sgd, eta=0.3)),
    "numpy-sgd-schedule": Agree(gd.sgd(halving(0.05)), rule(sgd, eta=halving(0.05))),
    "numpy-momentum": Agree(gd.sgd(0.05, 0.9), rule(momentum, eta=0.05, mu=0.9)),
    "numpy-nesterov": Agree(gd.sgd(0.05, 0.9, True), rule(nesterov, eta=0.05, mu=0.9)),
    "numpy-averaged-momentum": Agree(
        gd.momentum(0.3, decay=0.8), rule(averaged_momentum, eta=0.3, beta=0.8)
    ),
}


def threshold(make, curvature, low, high, steps=4000):
    """The largest rate under which λx²/2 does not grow, by bisection, to 1e-5."""

    @jax.jit
    def grows(rate):
        path = path_from(make(rate), lambda x: curvature * x, jnp.asarray(1.0), steps)
        return ~(jnp.max(jnp.abs(path[-50:])) < 1e3)

    while high - low > 1e-5 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) else (middle, high)
    return (low + high) / 2


@pytest.mark.parametrize("curvature", [1.0, 7.0])
@pytest.mark.parametrize(
    "make, law, number",
    [
        (lambda r: gd.sgd(r), lambda b: 2, 2.0),
        (lambda r: gd.sgd(r, 0.9), lambda b: 2 * (1 + b), 3.8),
        (lambda r: gd.momentum(r, 0.9), lambda b: 2 * (1 + b) / (1 - b), 38.0),
        (lambda r: gd.sgd(r, 0.9, True), lambda b: 2 * (1 + b) / (1 + 2 * b), 1.357),
    ],
    ids=["descent", "heavy ball", "averaged", "nesterov"],
)
def test_threshold_of_stability(make, law, number, curvature, x64):
    """The rate times the curvature from which on descent diverges, and its value at β = 0.9."""
    expected = law(0.9) / curvature
    found = threshold(make, curvature, 0.5 * expected, 1.5 * expected)
    assert found == pytest.approx(expected, rel=2e-3)
    assert found * curvature == pytest.approx(number, rel=2e-3)


def test_momentum_is_sgd_with_another_rate(x64):
    grad = lambda x: jnp.asarray([1.0, 10.0]) * x
    start = jnp.asarray([1.0, -1.0])
    averaged = path_from(gd.momentum(0.5, decay=0.9), grad, start, 50)
    heavy = path_from(gd.sgd(0.5 * (1 - 0.9), momentum=0.9), grad, start, 50)
    np.testing.assert_allclose(averaged, heavy, rtol=1e-12, atol=1e-15)

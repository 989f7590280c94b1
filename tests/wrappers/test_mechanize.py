"""Mechanic."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, recorded, rule, value
from tests.transcription import trajectory

ROWS = [
    Row(gd.mechanize(gd.sgd(0.1, momentum=0.9), s_init=0.1, num_betas=3)),
]


def mechanic(base, gradient, theta0, steps, *, lam=0.01, eps=1e-8, s_init=1e-8, n=6):
    """Mechanic (Cutkosky, Defazio and Mehta 2023, Algorithm 1) on `base(g, theta, t)`.

    The base gives its update u, a step downhill, its rate included.
    """
    beta = 1 - 0.1 ** np.arange(1, n + 1)
    delta = np.zeros_like(theta0)
    s, m, v, r = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)

    def step(theta, t):
        nonlocal delta, s, m, v, r
        g = gradient(theta, t)
        u = base(g, theta, t)
        pull = lam * np.sum(s) * np.linalg.norm(g) / np.linalg.norm(theta) * theta
        h = delta @ (g + pull)
        m = np.maximum(beta * m, abs(h))
        v = beta**2 * v + h**2
        r = np.maximum(0, beta * r - s * h)
        s = (s_init / n * m + r) / (np.sqrt(v) + eps)
        delta = delta + u
        return theta0 + np.sum(s) * delta

    return trajectory(theta0, steps, step)


def over_sgd(rate, **arguments):
    def path(gradient, theta0, steps):
        return mechanic(lambda g, x, t: -rate * g, gradient, theta0, steps, **arguments)

    return rule(path)


AGREE = {
    "mechanic-pytorch-sgd": Agree(
        gd.mechanize(gd.sgd(1e6), 0.0, 1e5, 1e-7),
        recorded("parameter_free", "mechanic-pytorch/sgd"),
        extra=value,
    ),
    "numpy-mechanize": Agree(
        gd.mechanize(gd.sgd(0.1), 0.1, 1e-3, 0.1, 4),
        over_sgd(0.1, lam=0.1, eps=1e-3, s_init=0.1, n=4),
        extra=value,
    ),
    "numpy-mechanize-defaults": Agree(
        gd.mechanize(gd.sgd(10.0)), over_sgd(10.0, s_init=1e-6), extra=value
    ),
}


def test_the_first_step_of_mechanic_is_zero_and_the_second_is_the_factor_to_begin_with():
    tx, params = gd.mechanize(gd.sgd(1.0), 0.0, 0.0, s_init=0.25), jnp.array([1.0, 2.0])
    grads = jnp.array([1.0, -1.0])
    state = tx.init(params)
    params, state = tx.step(grads, state, params)
    np.testing.assert_array_equal(params, [1.0, 2.0])
    params, state = tx.step(grads, state, params)  # the way is that of two steps
    np.testing.assert_allclose(params, [1.0 - 0.25 * 2, 2.0 + 0.25 * 2], rtol=1e-6)


def test_the_number_of_betas_is_checked():
    with pytest.raises(ValueError, match="num_betas"):
        gd.mechanize(gd.sgd(1.0), num_betas=0)

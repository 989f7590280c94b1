"""What is known to come out: iterations to an accuracy, and problems on which Adam goes astray."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.lab.problems import digits, rosenbrock
from gdjax.run.minimize import minimize


def iterations(problem, tx, steps, gaps):
    """After how many steps the loss is within each of the gaps of the optimum."""
    start = problem.init(jax.random.key(0))
    losses = minimize(problem.loss, start, tx, steps).history.loss - problem.optimum
    assert losses[-1] <= min(gaps)
    return [int(np.argmax(losses <= gap)) for gap in gaps]


def test_rosenbrock(x64):
    """The valley from (−1.2, 1): 35 iterations, as in the literature on quasi-Newton methods."""
    (taken,) = iterations(rosenbrock(), gd.lbfgs(), 40, [1e-8])
    assert taken <= 35


# 1/L with L = λmax(XᵀX)/2n + λ the greatest curvature of softmax regression.
ONE_OVER_CURVATURE = 0.190875

DIGITS = {
    "adam": (gd.adam(0.1), [51, 125, 210]),
    "nesterov": (gd.sgd(ONE_OVER_CURVATURE, 0.95, nesterov=True), [140, 435, 856]),
    "lbfgs": (gd.lbfgs(), [15, 37, 58]),
}


@pytest.mark.parametrize("name", DIGITS)
def test_digits(name, x64):
    """Softmax regression on digits: iterations to 10⁻², 10⁻⁴ and 10⁻⁶ above the optimum."""
    tx, most = DIGITS[name]
    taken = iterations(digits(), tx, most[-1] + 5, [1e-2, 1e-4, 1e-6])
    assert all(a <= b for a, b in zip(taken, most)), taken


def online(tx, large, steps=6000):
    """Reddi, Kale and Kumar 2018: slopes C, −1, −1, C, ..., x in [−1, 1]; the best x is −1.

    Gives the mean of x over the last tenth.
    """

    def body(carry, t):
        x, state = carry
        grad = jnp.where(t % 3 == 0, large, -1.0).astype(x.dtype)
        x, state = tx.step(grad, state, x)
        x = jnp.clip(x, -1.0, 1.0)
        return (x, state), x

    start = jnp.zeros([])
    path = jax.lax.scan(body, (start, tx.init(start)), jnp.arange(steps))[1]
    return float(jnp.mean(path[-steps // 10 :]))


def rate(t):
    return 0.1 / jnp.sqrt(1.0 + t.astype(float))


@pytest.mark.parametrize("large", [3.0, 4.0])
class TestReddi:
    """Theorem 1 of On the convergence of Adam and beyond: b1 = 0, b2 = 1 / (1 + C²)."""

    def test_adam_goes_the_wrong_way(self, large):
        assert online(gd.adam(rate, 0.0, 1 / (1 + large**2)), large) > 0.99

    def test_others_do_not(self, large):
        b2 = 1 / (1 + large**2)
        paper = {"bias_correction_mu": False, "bias_correction_nu": False}
        for tx in (
            gd.amsgrad(rate, 0.0, b2, **paper),
            gd.amsgrad(rate, 0.0, b2),
            gd.adopt(rate, 0.0, b2),
            gd.adam(rate, 0.0, 0.999),  # a long memory is a remedy too
        ):
            assert online(tx, large) < -0.99, tx

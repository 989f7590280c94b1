"""MoMo and MoMo-Adam."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.oracles import problem
from tests.references import Agree, halving, recorded, rule, value
from tests.transcription import at, trajectory

VALUE = {"value": jnp.asarray(2.0)}
ROWS = [
    Row(gd.momo(0.5, 0.8, weight_decay=0.01), VALUE),
    Row(gd.momo(0.5, adapt_lower_bound=True, lower_bound=0.0), VALUE, label="momo-bound"),
    Row(gd.momo_adam(0.1, b2=0.99, weight_decay=0.01), VALUE),
    Row(gd.momo_adam(0.1, adapt_lower_bound=True), VALUE, label="momo_adam-bound"),
]


def momo(gradient, theta0, steps, *, loss, eta=1.0, beta=0.9, bound=0.0, lam=0.0, star=False):
    """MoMo (Schaipp et al. 2023, Algorithm 1), with `star` its online bound.

    The averages begin with the first values.
    """
    d, f, gamma, fstar = None, 0.0, 0.0, bound

    def step(theta, t):
        nonlocal d, f, gamma, fstar
        g, value, a = gradient(theta, t), loss(theta, t), at(eta, t)
        if d is None:
            d, f, gamma = g, value, g @ theta
        d = beta * d + (1 - beta) * g
        f = beta * f + (1 - beta) * value
        gamma = beta * gamma + (1 - beta) * (g @ theta)
        square, shrink = d @ d, 1 + a * lam
        h = shrink * (f - gamma) + d @ theta
        if star and h <= shrink * fstar:
            fstar = max(h / (2 * shrink), bound)
        tau = min(a, max(h - shrink * fstar, 0) / square)
        if star:
            fstar = max(f - gamma + d @ theta - 0.5 * tau * square, bound)
        return (theta - tau * d) / shrink

    return trajectory(theta0, steps, step)


def momo_adam(
    gradient,
    theta0,
    steps,
    *,
    loss,
    eta=0.01,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    bound=0.0,
    lam=0.0,
    star=False,
):
    """MoMo-Adam (Schaipp et al. 2023, Algorithm 2)."""
    d, v, f, gamma, fstar = np.zeros_like(theta0), np.zeros_like(theta0), 0.0, 0.0, bound

    def step(theta, t):
        nonlocal d, v, f, gamma, fstar
        g, value, a = gradient(theta, t), loss(theta, t), at(eta, t)
        d = b1 * d + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        f = b1 * f + (1 - b1) * value
        gamma = b1 * gamma + (1 - b1) * (g @ theta)
        rho = 1 - b1 ** (t + 1)
        scale = eps + np.sqrt(v / (1 - b2 ** (t + 1)))
        square = np.sum(d**2 / scale)
        shrink = 1 + a * lam
        h = shrink * (f - gamma) + d @ theta
        if star and h <= shrink * rho * fstar:
            fstar = max(h / (2 * shrink * rho), bound)
        tau = min(a / rho, max(h - shrink * rho * fstar, 0) / square)
        if star:
            fstar = max((f - gamma + d @ theta - 0.5 * tau * square) / rho, bound)
        return (theta - tau * d / scale) / shrink

    return trajectory(theta0, steps, step)


def raised(params, grads, t):
    """The loss raised by 2, so that a bound of 0 that is estimated is met from above."""
    return {"value": value(params, grads, t)["value"] + 2.0}


def of_loss(function, **arguments):
    return rule(function, loss=problem.loss, **arguments)


def of_raised_loss(function, **arguments):
    return rule(function, loss=lambda x, t: problem.loss(x, t) + 2.0, **arguments)


AGREE = {
    "momo-opt-momo": Agree(
        gd.momo(lower_bound=-2.0), recorded("parameter_free", "momo-opt/momo"), extra=value
    ),
    "momo-opt-momo_decay": Agree(
        gd.momo(0.9, 0.8, -3.0, 0.1), recorded("parameter_free", "momo-opt/momo_decay"), extra=value
    ),
    "momo-opt-momo_bound": Agree(
        gd.momo(3.0, 0.8, 0.0, 0.3, True),
        recorded("parameter_free", "momo-opt/momo_bound"),
        extra=raised,
    ),
    "momo-opt-adam": Agree(
        gd.momo_adam(0.1, lower_bound=-2.0),
        recorded("parameter_free", "momo-opt/adam"),
        extra=value,
    ),
    "momo-opt-adam_decay": Agree(
        gd.momo_adam(0.2, 0.8, 0.95, 1e-2, -3.0, 0.1),
        recorded("parameter_free", "momo-opt/adam_decay"),
        extra=value,
    ),
    "momo-opt-adam_bound": Agree(
        gd.momo_adam(0.9, 0.8, 0.95, 1e-2, 0.0, 0.3, True),
        recorded("parameter_free", "momo-opt/adam_bound"),
        extra=raised,
    ),
    "optax-momo": Agree(
        gd.momo(lower_bound=-2.0), recorded("parameter_free", "optax/momo"), extra=value
    ),
    "optax-momo_bound": Agree(
        gd.momo(lower_bound=-4.0, adapt_lower_bound=True),
        recorded("parameter_free", "optax/momo_bound"),
        extra=value,
    ),
    "optax-momo_adam": Agree(
        gd.momo_adam(0.1, lower_bound=-2.0),
        recorded("parameter_free", "optax/momo_adam"),
        extra=value,
    ),
    "optax-momo_adam_bound": Agree(
        gd.momo_adam(0.2, lower_bound=-4.0, adapt_lower_bound=True),
        recorded("parameter_free", "optax/momo_adam_bound"),
        extra=value,
    ),
    "numpy-momo": Agree(
        gd.momo(halving(0.8), 0.8, -2.0, 0.1),
        of_loss(momo, eta=halving(0.8), beta=0.8, bound=-2.0, lam=0.1),
        extra=value,
    ),
    "numpy-momo-bound": Agree(
        gd.momo(3.0, 0.8, 0.0, 0.3, True),
        of_raised_loss(momo, eta=3.0, beta=0.8, lam=0.3, star=True),
        extra=raised,
    ),
    "numpy-momo_adam": Agree(
        gd.momo_adam(halving(0.8), 0.8, 0.95, 1e-2, -2.0, 0.1),
        of_loss(momo_adam, eta=halving(0.8), b1=0.8, b2=0.95, eps=1e-2, bound=-2.0, lam=0.1),
        extra=value,
    ),
    "numpy-momo_adam-bound": Agree(
        gd.momo_adam(0.9, 0.8, 0.95, 1e-2, 0.0, 0.3, True),
        of_raised_loss(momo_adam, eta=0.9, b1=0.8, b2=0.95, eps=1e-2, lam=0.3, star=True),
        extra=raised,
    ),
}


@pytest.mark.parametrize("tx", [gd.momo(10.0), gd.momo_adam(10.0, eps=0.0)])
def test_momo_steps_to_where_its_model_is_zero(tx):
    """In the first step the model is the tangent."""
    x, grad = jnp.array([3.0, 4.0]), jnp.array([6.0, 8.0])
    updates, _ = tx.update(grad, tx.init(x), x, value=25.0)
    np.testing.assert_allclose(25.0 + jnp.vdot(grad, updates), 0, atol=1e-5)

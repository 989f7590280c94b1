"""Sophia."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.rule import tree
from tests.cases import Row
from tests.oracles import problem
from tests.oracles.record_modern import curvature
from tests.references import Agree, recorded, rule
from tests.transcription import at, ema_of, trajectory


def bowl(params: Any) -> Any:
    """A loss of any tree: what `sophia` asks the curvature of."""

    return tree.norm(params) ** 2


ROWS = [
    Row(gd.sophia(0.1, b1=0.9, gamma=0.1), extra={"obj_fn": bowl}),
    Row(
        gd.scale_by_sophia(gamma=1.0, clipping_threshold=None, every=2),
        extra={"obj_fn": bowl},
    ),
]


def sophia(gradient, theta0, steps, *, eta, b1, b2, gamma, eps, rho, every, curvature, lam=0.0):
    """Liu et al. 2023, algorithm 3: the mean gradient over the curvature, each entry clipped.

    `curvature(t)` is the estimate of the diagonal of the Hessian in step t.
    """
    m = np.zeros(len(theta0))
    h = np.zeros(len(theta0))

    def step(theta, t):
        nonlocal m, h
        m = ema_of(m, gradient(theta, t), b1)
        if t % every == 0:  # the paper counts from 1 and asks for t mod k = 1
            h = ema_of(h, curvature(t), b2)
        theta = theta - at(eta, t) * lam * theta
        return theta - at(eta, t) * np.clip(m / np.maximum(gamma * h, eps), -rho, rho)

    return trajectory(theta0, steps, step)


@gd.transformation
def given_curvature():
    """An estimator that is given: it passes the extra argument `curvature` on."""

    def update(updates, state, params=None, *, curvature, **extra):
        return curvature, state

    return lambda params: gd.EmptyState(), update


def given(params, grads, t):
    """The estimates of `record_modern.curvature`, [60, 8] made beforehand, as a tree."""
    flat = jnp.asarray(np.stack([curvature(step) for step in range(problem.STEPS)]))[t]
    return {"curvature": {"w": flat[:6].reshape(problem.SHAPES["w"]), "b": flat[6:]}}


SOPHIA = {"b1": 0.9, "b2": 0.95, "gamma": 0.5, "eps": 0.01}


def with_given_curvature(learning_rate, **arguments):
    return gd.sophia(learning_rate, hessian_diagonal_fn=given_curvature(), **arguments)


AGREE = {
    "torch-sophia": Agree(  # clip(m/max(h, 0.02), 0.01) is 0.01·clip(m/max(0.01h, 2e-4), 1)
        with_given_curvature(
            0.05,
            b1=0.9,
            b2=0.95,
            gamma=0.01,
            eps=2e-4,
            weight_decay=1.0,
            every=1,
        ),
        recorded("modern", "torch/sophia"),
        extra=given,
    ),
    "numpy-sophia-default": Agree(
        with_given_curvature(0.05),
        rule(
            sophia,
            eta=0.05,
            b1=0.965,
            b2=0.99,
            gamma=0.01,
            eps=1e-8,
            lam=1e-4,
            rho=1.0,
            every=10,
            curvature=curvature,
        ),
        extra=given,
    ),
    "numpy-sophia": Agree(
        with_given_curvature(0.05, **SOPHIA, weight_decay=0.1, clipping_threshold=0.8, every=3),
        rule(sophia, eta=0.05, **SOPHIA, lam=0.1, rho=0.8, every=3, curvature=curvature),
        extra=given,
    ),
    "numpy-sophia-unclipped": Agree(
        with_given_curvature(0.02, **SOPHIA, weight_decay=0.0, clipping_threshold=None, every=10),
        rule(sophia, eta=0.02, **SOPHIA, rho=math.inf, every=10, curvature=curvature),
        extra=given,
    ),
}


def test_sophia_asks_for_the_curvature_every_k_steps():
    tx = gd.scale_by_sophia(every=3)
    state, seen = tx.init(jnp.ones(2)), []
    for _ in range(7):
        _, state = tx.update(jnp.ones(2), state, jnp.ones(2), obj_fn=lambda p: jnp.sum(p**2))
        seen.append(float(state.nu[0]))
    np.testing.assert_allclose(np.diff(seen) > 0, [False, False, True, False, False, True])
    with pytest.raises(TypeError, match="obj_fn"):
        tx.update(jnp.ones(2), state, jnp.ones(2))


def test_a_wrong_period_raises():
    with pytest.raises(ValueError, match="must be"):
        gd.sophia(0.1, every=0)

"""Lookahead."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, recorded, rule
from tests.transcription import adam_direction, at, trajectory

ROWS = [
    Row(gd.lookahead(gd.adam(0.1), every=2, slow_step_size=0.5)),
    Row(gd.lookahead(gd.sgd(0.1), 2, 0.8, reset_state=True), label="lookahead-reset"),
]


def _lookahead(gradient, theta0, steps, inner, k, alpha, slow):
    """Zhang et al. 2019, algorithm 1: k fast steps, then both weights move to φ + α(θ − φ)."""
    phi = np.array(theta0)
    slows = [phi]

    def step(theta, t):
        nonlocal phi
        theta = inner(theta, t)
        if (t + 1) % k == 0:
            phi = phi + alpha * (theta - phi)
            theta = phi
        slows.append(phi)
        return theta

    fast = trajectory(theta0, steps, step)
    return np.stack(slows) if slow else fast


def lookahead_adam(gradient, theta0, steps, *, eta, b1, b2, k, alpha, eps=1e-8, reset=False):
    """Lookahead over Adam, whose moments are kept, or begin anew after each look ahead."""
    adam, first = adam_direction(b1, b2, eps), 0

    def inner(theta, t):
        nonlocal adam, first
        if reset and t % k == 0:
            adam, first = adam_direction(b1, b2, eps), t
        return theta - at(eta, t) * adam(gradient(theta, t), t - first)

    return _lookahead(gradient, theta0, steps, inner, k, alpha, False)


def lookahead_sgd(gradient, theta0, steps, *, eta, k, alpha, slow=False):
    """Lookahead over steepest descent; `slow` gives the path of φ."""

    def inner(theta, t):
        return theta - at(eta, t) * gradient(theta, t)

    return _lookahead(gradient, theta0, steps, inner, k, alpha, slow)


AGREE = {
    "torch-lookahead_sgd": Agree(
        gd.lookahead(gd.sgd(0.3), 5, 0.5), recorded("modern", "torch/lookahead_sgd")
    ),
    "torch-lookahead_adam": Agree(
        gd.lookahead(gd.adam(0.05), 4, 0.8), recorded("modern", "torch/lookahead_adam")
    ),
    "optax-lookahead": Agree(
        gd.lookahead(gd.sgd(0.3), 5, 0.5), recorded("modern", "optax/lookahead")
    ),
    "numpy-lookahead-reset": Agree(
        gd.lookahead(gd.adam(0.05, b2=0.99), 7, 0.6, reset_state=True),
        rule(lookahead_adam, eta=0.05, b1=0.9, b2=0.99, k=7, alpha=0.6, reset=True),
    ),
    "optax-lookahead_slow": Agree(
        gd.lookahead(gd.sgd(0.3), 5, 0.5),
        recorded("modern", "optax/lookahead_slow"),
        evaluate=True,
    ),
    "numpy-lookahead-slow": Agree(
        gd.lookahead(gd.sgd(0.3), 6, 0.7),
        rule(lookahead_sgd, eta=0.3, k=6, alpha=0.7, slow=True),
        evaluate=True,
    ),
}


def test_lookahead_evaluates_at_the_slow_weights_in_the_dtype_of_params():
    params = {"w": jnp.ones(2, jnp.bfloat16), "n": jnp.arange(2)}
    tx = gd.lookahead(gd.sgd(0.25), 3, 0.5)
    state = tx.init(params)
    grads = {"w": jnp.ones(2, jnp.bfloat16), "n": None}
    for _ in range(4):
        params, state = tx.step(grads, state, params)
    seen = gd.state.eval_params(tx, state, params)
    assert seen["w"].dtype == jnp.bfloat16 and seen["n"] is params["n"]
    np.testing.assert_allclose(seen["w"].astype(float), 0.625)
    np.testing.assert_allclose(params["w"].astype(float), 0.375)
    assert state.slow["w"].dtype == jnp.float32


def test_lookahead_joins_its_slow_weights_each_third_step():
    tx, params = gd.lookahead(gd.sgd(1.0), 3, 0.5), jnp.zeros(1)
    state, path = tx.init(params), []
    for _ in range(4):
        params, state = tx.step(jnp.ones(1), state, params)
        path.append(float(params[0]))
    assert path == [-1.0, -2.0, -1.5, -2.5]


def test_passes_extra_arguments_on():
    tx = gd.lookahead(gd.hutchinson_estimator_diag_hessian(), 2, 0.5)
    assert tx.extra_args["obj_fn"] is True


def test_a_wrong_period_raises():
    with pytest.raises(ValueError, match="must be"):
        gd.lookahead(gd.sgd(0.1), 0, 0.5)


def test_steps_since_the_last_joining_are_counted():
    tx, x = gd.lookahead(gd.sgd(0.1), 3, 0.5), jnp.ones(1)
    state = tx.init(x)
    for steps in (1, 2, 0, 1):
        _, state = tx.update(x, state, x)
        assert state.steps_since_sync == steps

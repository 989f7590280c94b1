"""Sharpness-aware minimization."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.rule import tree
from tests.cases import Row
from tests.oracles import problem
from tests.references import Agree, recorded, rule
from tests.transcription import trajectory
from tests.wrappers.guards.test_accumulate import HeavyBall
from tests.wrappers.shared import ONE, zeros

SGD = gd.sgd(0.1, momentum=0.9)
ADAMW = gd.adamw(0.1, b2=0.99, weight_decay=0.01)


def as_gradient(params: Any, i: Any) -> Any:
    return tree.map(lambda p: 2 * p, params)


ADVERSARY = gd.chain(gd.normalize(), gd.sgd(0.05))
ROWS = [
    # Its first update climbs, so it is taken for an ascent; the opaque row descends.
    Row(gd.sam(SGD, ADVERSARY), descends=False),
    Row(gd.sam(ADAMW, gd.adam(0.01), 3, reset_state=False), descends=False, label="sam-adamw"),
    Row(gd.sam(SGD, ADVERSARY, opaque_mode=True), {"grad_fn": as_gradient}, label="sam-opaque"),
    Row(gd.normalize_adaptively(0.1)),
]


def _climb(g, theta, rho, added):
    if added is None:  # Foret et al. 2020, equation 2 for p = 2
        return rho * g / np.sqrt(np.sum(g**2))
    size = np.abs(theta) + added  # Kwon et al. 2021, equation 9
    return rho * size**2 * g / np.sqrt(np.sum((size * g) ** 2))


def sam(gradient, theta0, steps, *, rho, climbs=1, added=None):
    """A gradient a call: up, and on the last one of a round down from where the climb began."""
    inner, start, count = HeavyBall(), None, 0

    def step(theta, t):
        nonlocal start, count
        g = gradient(theta, t)
        if count == 0:
            start = theta
        if count < climbs:
            count += 1
            return theta + _climb(g, theta, rho, added)
        count = 0
        return start + inner(g)

    return trajectory(theta0, steps, step)


def sam_opaque(gradient, theta0, steps, *, rho, climbs=1):
    """A whole step a call."""
    inner = HeavyBall()

    def step(theta, t):
        there = theta
        for _ in range(climbs):
            there = there + _climb(gradient(there, t), there, rho, None)
        return theta + inner(gradient(there, t))

    return trajectory(theta0, steps, step)


def gradient_at(params: Any, grads: Any, t: Any) -> dict[str, Any]:
    def grad_fn(params: Any, i: Any) -> Any:
        theta = jnp.concatenate([jnp.ravel(params["w"]), params["b"]])
        g = jnp.asarray(problem.H) @ theta - problem.C + 0.1 * jnp.asarray(problem.NOISE)[t]
        return {"w": g[:6].reshape(2, 3), "b": g[6:]}

    return {"grad_fn": grad_fn}


MOMENTUM = gd.sgd(0.05, momentum=0.9)
CLIMB = gd.chain(gd.normalize(), gd.sgd(0.5))
ADAPTIVE = gd.chain(gd.normalize_adaptively(0.3), gd.sgd(0.5))
AGREE = {
    "numpy-sam": Agree(gd.sam(MOMENTUM, CLIMB), rule(sam, rho=0.5)),
    "numpy-sam-3": Agree(gd.sam(MOMENTUM, CLIMB, 3), rule(sam, rho=0.5, climbs=2)),
    "numpy-asam": Agree(gd.sam(MOMENTUM, ADAPTIVE), rule(sam, rho=0.5, added=0.3)),
    "numpy-sam-opaque": Agree(
        gd.sam(MOMENTUM, CLIMB, opaque_mode=True),
        rule(sam_opaque, rho=0.5),
        extra=gradient_at,
    ),
    "numpy-sam-opaque-3": Agree(
        gd.sam(MOMENTUM, CLIMB, 3, opaque_mode=True),
        rule(sam_opaque, rho=0.5, climbs=2),
        extra=gradient_at,
    ),
    "optax-sam": Agree(gd.sam(MOMENTUM, CLIMB), recorded("wrappers", "optax/sam")),
    "optax-sam-3": Agree(
        gd.sam(MOMENTUM, gd.adam(0.1), 3, reset_state=False),
        recorded("wrappers", "optax/sam_3_kept"),
    ),
    "optax-sam-opaque": Agree(
        gd.sam(MOMENTUM, CLIMB, 3, opaque_mode=True),
        recorded("wrappers", "optax/sam_opaque"),
        extra=gradient_at,
    ),
}


def test_sam_tells_where_it_trains():
    tx = gd.sam(gd.sgd(0.1), gd.chain(gd.normalize(), gd.sgd(0.5)))
    params = jnp.asarray([3.0, 4.0])
    state = tx.init(params)
    up, state = tx.step(params, state, params)
    np.testing.assert_allclose(up, [3.3, 4.4], rtol=1e-6)
    np.testing.assert_array_equal(gd.state.eval_params(tx, state, up), params)
    down, state = tx.step(up, state, up)
    np.testing.assert_allclose(down, [2.67, 3.56], rtol=1e-6)
    np.testing.assert_array_equal(gd.state.eval_params(tx, state, down), down)
    names = {"inner/learning_rate", "adv_optimizer/sgd/learning_rate"}
    assert set(gd.state.hyperparams(tx, state)) == names


def test_sam_averages_over_devices():
    tx = gd.sam(gd.sgd(1.0), gd.sgd(0.5), opaque_mode=True, batch_axis_name="batch")

    def one(target):
        grad = lambda x, i=None: x - target
        x = jnp.zeros([])
        return tx.step(grad(x), tx.init(x), x, grad_fn=grad)[0]

    np.testing.assert_allclose(
        jax.vmap(one, axis_name="batch")(jnp.asarray([1.0, 3.0])), [3.0, 3.0]
    )


def test_what_sam_refuses():
    with pytest.raises(ValueError, match="every must be an integer of 2 or more, got 1"):
        gd.sam(gd.sgd(0.1), gd.sgd(0.1), 1)
    tx = gd.sam(gd.sgd(0.1), gd.sgd(0.1))
    with pytest.raises(ValueError, match="sam: update needs the parameters"):
        tx.update(ONE, tx.init(ONE))
    tx = gd.sam(gd.sgd(0.1), gd.sgd(0.1), opaque_mode=True)
    with pytest.raises(TypeError, match="sam: update needs the extra argument 'grad_fn'"):
        tx.update(ONE, tx.init(ONE), ONE)
    with pytest.raises(ValueError, match="normalize_adaptively: update needs the parameters"):
        gd.normalize_adaptively().update(ONE, gd.EmptyState())


def test_the_adaptive_climb_does_not_see_scale():
    """Where parameters are scaled by s and gradients by 1/s, the climb is scaled by s."""
    tx = gd.normalize_adaptively(0.0)
    p, g, s = jnp.asarray([1.0, -2.0]), jnp.asarray([0.5, 3.0]), jnp.asarray([10.0, 0.1])
    u, _ = tx.update(g, gd.EmptyState(), p)
    scaled, _ = tx.update(g / s, gd.EmptyState(), p * s)
    np.testing.assert_allclose(scaled, u * s, rtol=1e-6)
    np.testing.assert_allclose(jnp.linalg.norm(u / jnp.abs(p)), 1.0, rtol=1e-6)
    assert zeros(tx.update(0 * g, gd.EmptyState(), p)[0])

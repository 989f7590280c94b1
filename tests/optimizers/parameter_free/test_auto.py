"""`auto`: Mechanic over Muon, averaged."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from docs.scripts.without_a_rate import PROBLEMS, curve
from tests.cases import Row
from tests.helpers import normal
from tests.optimizers.matrix.test_muon import mean_gradient, orthogonal
from tests.references import Agree, rule
from tests.transcription import adam_direction, join, split

ROWS = [
    Row(gd.auto(), descends=False),
    Row(gd.auto(0.1, "matrices"), label="auto-decay", descends=False),
]


def auto(gradient, theta0, steps, *, lam=0.0, eta=8.0, n=6):
    """Mechanic (2023, algorithm 1) on Muon's steps of RMS 1; the polynomial average of its path."""
    beta = 1 - 0.1 ** np.arange(1, n + 1)
    mean, adam = mean_gradient(0.9), adam_direction(0.8, 0.95, 0.0)

    def direction(theta, g, t):
        w, b = split(theta)["w"], split(g)["b"]
        u = max(w.shape) ** 0.5 * orthogonal(mean(split(g)["w"], t))
        return join({"w": u, "b": adam(b, t)}) + lam * theta

    theta, average, path = theta0, theta0, [theta0]
    delta, s, m, v, r = np.zeros_like(theta0), *np.zeros((4, n))
    for t in range(steps):
        g = gradient(theta, t)
        h = delta @ g
        m, v = np.maximum(beta * m, abs(h)), beta**2 * v + h**2
        r = np.maximum(0, beta * r - s * h)
        s = (m / n + r) / np.sqrt(v) if t else s
        delta = delta - 0.003 * direction(theta, g, t)
        theta = theta0 + s.sum() * delta
        average = average + (eta + 1) / (t + 1 + eta) * (theta - average)
        path.append(average)
    return np.array(path)


AGREE = {
    "numpy-auto": Agree(gd.auto(), rule(auto), evaluate=True),
    "numpy-auto-decay": Agree(gd.auto(0.2), rule(auto, lam=0.2), evaluate=True),
}


def trained(tx, params, times=1.0, steps=40, dtype=None):
    """The parameters of evaluation after some steps on a small network, its loss times a number."""
    x, y = (jnp.asarray(normal(16, n, seed=n), dtype) for n in (3, 1))
    loss = lambda p: (
        times * jnp.mean((jnp.tanh(x @ p["up"] + p["bias"][None]) @ p["down"] - y) ** 2)
    )

    def one(carry, _):
        params, state = carry
        return tx.step(jax.grad(loss)(params), state, params), loss(params)

    (params, state), losses = jax.lax.scan(one, (params, tx.init(params)), None, steps)
    evaluated = gd.state.eval_params(tx, state, params)
    return evaluated, losses[0], loss(evaluated)


def network(dtype=None):
    sizes = {"up": (3, 8), "bias": (8,), "down": (8, 1)}
    return {k: jnp.asarray(0.5 * normal(*s, seed=9), dtype) for k, s in sizes.items()}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_loss_falls_on_each_development_problem(name):
    """Without any argument; to less than the start by a tenth in the first fifth of the steps."""
    _, losses = curve(PROBLEMS[name](), gd.auto(), part=0.2)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("times", [1e-3, 1e3])
def test_a_multiple_of_the_loss_changes_nothing(times, x64):
    one, *_ = trained(gd.auto(), network(jnp.float64))
    other, *_ = trained(gd.auto(), network(jnp.float64), times)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), one, other)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_it_trains_under_jit_and_scan(dtype):
    params, before, after = jax.jit(lambda p: trained(gd.auto(), p, dtype=dtype))(network(dtype))
    assert after < 0.5 * before
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype(dtype)}


def test_it_trains_many_at_once():
    """Each has a scale of its own."""
    many = jax.tree.map(lambda x: jnp.stack([x, 2 * x, 3 * x]), network())
    _, before, after = jax.vmap(lambda p: trained(gd.auto(), p))(many)
    assert (after < 0.5 * before).all()
    alone, *_ = trained(gd.auto(), network())
    together, *_ = jax.vmap(lambda p: trained(gd.auto(), p))(many)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[0], atol=1e-4), alone, together)


def test_it_is_a_composition_of_its_parts():
    muon = gd.muon(
        0.003, b1=0.9, eps=0.0, adam_b1=0.8, adam_b2=0.95, consistent_rms=1.0,
        matrix_axes={"up": "in out", "bias": None, "down": "in out"},
    )  # fmt: skip
    parts = gd.with_polynomial_averaging(gd.mechanize(muon, 0.0, 0.0, 1.0), 8.0)
    one, other = (trained(tx, network())[0] for tx in (gd.auto(), parts))
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_convolutions_are_matrices_and_stacks_need_their_axes():
    params = {
        "conv": jnp.ones((2, 2, 3, 4)),
        "stack": jnp.ones((2, 3, 4)),
        "embed": jnp.ones((5, 2)),
    }
    state = gd.state.find(gd.auto().init(params), "inner_states")["muon"]
    shapes = jax.tree.map(jnp.shape, gd.state.find(state, "mu"))
    assert shapes == {"conv": (2, 2, 3, 4), "stack": None, "embed": (5, 2)}
    named = gd.auto(matrix_axes=gd.matrix_axes({"stack": "n in out"})).init(params)
    shapes = jax.tree.map(
        jnp.shape, gd.state.find(gd.state.find(named, "inner_states")["muon"], "mu")
    )
    assert shapes == {"conv": None, "stack": (2, 3, 4), "embed": None}


def test_decay_is_of_the_masked_parameters():
    """With a scale that is not 0, weights that have no gradient shrink if they decay."""
    grads = {"w": jnp.ones((2, 3)), "still": jnp.zeros((2, 2)), "b": jnp.zeros(3)}
    params, tx = jax.tree.map(jnp.ones_like, grads), gd.auto(0.5, "matrices")
    state = tx.init(params)
    for _ in range(4):
        params, state = tx.step(grads, state, params)
    assert (params["still"] < 1).all() and (params["b"] == 1).all()


def test_it_prints_and_builds_as_one_call():
    assert repr(gd.auto()) == "auto()"
    assert gd.build(gd.spec(gd.auto(0.1))) == gd.auto(0.1)

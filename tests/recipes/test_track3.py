"""The record of modded-nanogpt's third track."""

from __future__ import annotations

import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.helpers import normal
from tests.optimizers.matrix.test_muon import orthogonal
from tests.optimizers.matrix.test_soap import soap_direction

# The constants of the record's program: c·max(0, 2900 − t)^1.2, at most the first rate.
POWER_C = {
    "embed": (0.3, 4.976805410800738e-05),
    "head": (1 / 320, 5.184172302917436e-07),
    "other": (0.01, 1.6589351369335795e-06),
    "hidden": (0.0375, 3.3169534699576625e-06),
}
PARAMS = {
    "wte": jnp.ones((5, 4)),
    "head": jnp.ones((4, 5)),
    "up": jnp.asarray(normal(4, 4), jnp.float32),
    "bias": jnp.zeros(4),
}


def recipe(steps=2900):
    return gd.recipes.track3_46(steps, embed="wte", head="head")


def part(tx, name):
    return ahead(tx).arguments["inner"].arguments["transformations"][name]


def ahead(tx):
    return tx.arguments["inner"]


@pytest.mark.parametrize("name", POWER_C)
def test_rates_are_those_of_the_program(name, x64):
    stage = part(recipe(), name)
    if name == "hidden":
        stage = stage.arguments["transformations"][5]
    t = np.arange(3000)
    first, c = POWER_C[name]
    want = np.minimum(first, c * np.maximum(0, 2900 - t) ** 1.2)
    got = stage.arguments["learning_rate"](jnp.asarray(t))
    # The record cools the hidden matrices down from step 513.6, a schedule from a whole one.
    np.testing.assert_allclose(got, want, rtol=3e-4, atol=1e-12)


def test_momentum_rises_and_falls_as_in_the_program(x64):
    t = np.arange(2901)
    want = np.interp(t, [0, 300, 2700, 2900], [0.85, 0.95, 0.95, 0.85])
    trace = part(recipe(), "hidden").arguments["transformations"][0]
    np.testing.assert_allclose(trace.arguments["decay"](jnp.asarray(t)), want, rtol=1e-12)


def test_the_lookahead_is_that_of_the_program(x64):
    """In step t, by the rates of the step before; 0 in the first 300 steps and the last 950."""
    t = np.arange(2900)
    first, c = POWER_C["embed"]
    rates = np.minimum(first, c * np.maximum(0, 2900 - (t - 1)) ** 1.2)
    want = np.where((t + 1 > 300) & (t < 1950), 0.3 * rates / first, 0.0)
    got = ahead(recipe()).arguments["step_size"](jnp.asarray(t[1:] - 1))
    np.testing.assert_allclose(got, want[1:], rtol=1e-6)
    assert want[0] == 0


def hidden(w, gradients, steps):
    """The steps of a square matrix, whose columns are the neurons, in NumPy."""
    velocity, kept = 0.0, {}
    numbers = dict(b1=0.0, b2=0.9, b3=0.9, eps=1e-8, frequency=1, longest=10000, skip=False)
    ramp, fall = round(300 * steps / 2900), round(200 * steps / 2900)
    length = round(2386 * steps / 2900)
    for t, g in enumerate(gradients):
        mu = np.interp(t, [0, ramp, steps - fall, steps], [0.85, 0.95, 0.95, 0.85])
        rate = 0.0375 * min(1.0, (steps - t) / length) ** 1.2
        velocity = mu * velocity + g
        u = orthogonal(
            soap_direction(g + mu * velocity, kept, t, **numbers), 1e-8, ((2.0, -1.5, 0.5),) * 12
        )
        least, found = (np.linalg.norm(x, axis=0) for x in (0.3825 * w, u))
        u = u * np.maximum(1, least / found)
        moved = w - rate * u
        before, after = np.linalg.norm(w), np.linalg.norm(moved)
        grown = after - before
        moved = moved * (before + (0.5 if grown > 0 else 1.0) * grown) / after
        shrinks = (moved - w) * w <= 0
        w = moved - rate * 0.025 * shrinks * w
    return w


def test_hidden_matrices_step_as_it_is_written(x64):
    w = normal(4, 4)
    gradients = [normal(4, 4, seed=seed + 1) for seed in range(8)]
    tx = part(recipe(20), "hidden")
    params = jnp.asarray(w)
    state, step = tx.init(params), jax.jit(tx.step)
    for g in gradients:
        params, state = step(jnp.asarray(g), state, params)
    np.testing.assert_allclose(params, hidden(w, gradients, 20), rtol=1e-8)


def test_it_is_data_and_it_trains():
    tx = recipe(60)
    assert gd.build(json.loads(json.dumps(gd.spec(tx)))) == tx == pickle.loads(pickle.dumps(tx))
    target = jax.tree.map(lambda p: p + 0.1, PARAMS)
    loss = lambda p: sum(jnp.sum((p[k] - target[k]) ** 2) for k in p)
    result = gd.minimize(loss, PARAMS, tx, 60)
    read = gd.state.eval_params(tx, result.state, result.params)
    assert loss(read) < 0.2 * loss(PARAMS)
    average = gd.state.find(result.state, "average")
    for k in read:  # 2/5 of the parameters, 3/5 of the average; by the end nothing is ahead
        want = 0.4 * result.params[k] + 0.6 * average[k]
        np.testing.assert_allclose(read[k], want, rtol=1e-5, atol=1e-6)


def test_parts_that_a_model_lacks_are_left_out():
    tx = gd.recipes.track3_46(100, hidden=gd.by_path("up"))
    assert set(ahead(tx).arguments["inner"].arguments["transformations"]) == {"hidden", "other"}
    with pytest.raises(ValueError, match="track3_46: steps must be 20 or more, got 10"):
        gd.recipes.track3_46(10)

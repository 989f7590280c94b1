"""Gradient accumulation."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import close
from tests.references import Agree, recorded, rule
from tests.transcription import at, trajectory
from tests.wrappers.shared import GRADS, NAN, ONE, PARAMS, go

SGD = gd.sgd(0.1, momentum=0.9)
ADAMW = gd.adamw(0.1, b2=0.99, weight_decay=0.01)


# Functions with a name, so that they pickle.
def shrinking(step: Any) -> Any:
    return jnp.where(step < 2, 3, 1)


def skip_large(updates: Any, gradient_step: Any, params: Any) -> Any:
    return gd.skip_large_updates(updates, gradient_step, params, 1e30)


ROWS = [
    Row(gd.accumulate(SGD, 2)),
    Row(gd.accumulate(ADAMW, 3, "tokens"), {"tokens": jnp.asarray(2)}, label="accumulate-adamw"),
    Row(
        gd.accumulate(ADAMW, shrinking, use_grad_mean=False, should_skip_update_fn=skip_large),
        label="accumulate-schedule",
    ),
    Row(
        gd.accumulate(
            gd.sgd(gd.linear_to_zero(0.1, 500)),
            2,
            should_skip_update_fn=None,
            accumulator_dtype=jnp.bfloat16,
        ),
        label="accumulate-bfloat16",
    ),
]

ETA, MU = 0.05, 0.9


class HeavyBall:
    """v ← μv + g, u = −ηv."""

    def __init__(self):
        self.v = 0.0

    def __call__(self, g):
        self.v = MU * self.v + g
        return -ETA * self.v


def accumulate(gradient, theta0, steps, *, k, weight=lambda t: 1.0, mean=True):
    """A step with the (weighted) mean, or the sum, of the gradients of k calls."""
    inner, held, weights, done = HeavyBall(), [], [], 0

    def step(theta, t):
        nonlocal done
        held.append(weight(t) * gradient(theta, t))
        weights.append(weight(t))
        if len(held) < at(k, done):
            return theta
        g = sum(held) / (sum(weights) if mean else 1.0)
        held.clear(), weights.clear()
        done += 1
        return theta + inner(g)

    return trajectory(theta0, steps, step)


def weight_of(params: Any, grads: Any, t: Any) -> dict[str, Any]:
    return {"tokens": 1 + t % 3}


MOMENTUM = gd.sgd(0.05, momentum=0.9)
AGREE = {
    "numpy-accumulate": Agree(gd.accumulate(MOMENTUM, 3), rule(accumulate, k=3)),
    "numpy-accumulate-weighted": Agree(
        gd.accumulate(MOMENTUM, 4, "tokens"),
        rule(accumulate, k=4, weight=lambda t: 1.0 + t % 3),
        extra=weight_of,
    ),
    "numpy-accumulate-sum": Agree(
        gd.accumulate(MOMENTUM, 2, use_grad_mean=False), rule(accumulate, k=2, mean=False)
    ),
    "numpy-accumulate-schedule": Agree(
        gd.accumulate(MOMENTUM, lambda step: jnp.where(step < 5, 4, 2)),
        rule(accumulate, k=lambda step: 4 if step < 5 else 2),
    ),
    "optax-accumulate": Agree(
        gd.accumulate(MOMENTUM, 3), recorded("wrappers", "optax/multi_steps")
    ),
}


@pytest.mark.parametrize("inner", [gd.sgd(0.1, 0.9), gd.adamw(0.1)], ids=["sgd", "adamw"])
def test_accumulation_is_the_large_batch(inner):
    gs = [jnp.asarray([1.0, 2.0]), jnp.asarray([3.0, -1.0]), jnp.asarray([2.0, 5.0])]
    path, state = go(gd.accumulate(inner, 3), gs * 2, ONE)
    large, kept = go(inner, [sum(gs) / 3] * 2, ONE)
    close([path[2], path[5]], large, rtol=1e-6)
    assert all(jnp.all(path[i] == (1.0, large[0])[i > 2]) for i in (0, 1, 3, 4))
    close(state.inner_opt_state, kept, rtol=1e-6)
    assert int(state.gradient_step) == 2 and int(state.mini_step) == 0


def test_a_nan_in_a_small_batch_is_left_out_and_counted():
    """optax's MultiSteps keeps it in its sum for good."""
    tx = gd.accumulate(gd.sgd(1.0), 2)
    gs = [NAN, ONE, jnp.inf * ONE, 3 * ONE, NAN]
    path, state = go(tx, gs, ONE)
    np.testing.assert_array_equal(path[-1], -ONE)
    assert int(state.skip_state.skipped) == 3 and int(state.gradient_step) == 1
    state, params, did = tx.init(ONE), ONE, []
    for g in gs:
        params, state = tx.step(g, state, params)
        did.append(bool(gd.did_step({"anywhere": state})))
    assert did == [False, False, False, True, False]
    path, _ = go(gd.accumulate(gd.sgd(1.0), 2, should_skip_update_fn=None), [NAN, ONE], ONE)
    assert jnp.isnan(path[-1][0])


def test_large_gradients_may_be_left_out():
    skip = functools.partial(gd.skip_large_updates, max_squared_norm=10.0)
    path, state = go(
        gd.accumulate(gd.sgd(1.0), 1, should_skip_update_fn=skip), [ONE, 3 * ONE, NAN, ONE], 2 * ONE
    )
    assert [float(p[0]) for p in path] == [1.0, 1.0, 1.0, 0.0]
    assert int(state.skip_state.skipped) == 2
    flag, told = gd.skip_large_updates({"w": 2 * ONE}, 0, None, 8.0)
    assert not flag and told["norm_squared"] == 8.0
    flag, told = gd.skip_not_finite({"w": NAN, "v": jnp.inf * ONE}, 0, None)
    assert flag and told["num_not_finite"] == 3


def test_weights_of_small_batches():
    tx = gd.accumulate(gd.sgd(1.0), 2, weight="tokens")
    state, params = tx.init(ONE), jnp.zeros(2)
    for g, w in ((ONE, 3.0), (5 * ONE, 1.0)):
        params, state = tx.step(g, state, params, tokens=w)
    np.testing.assert_allclose(params, -2 * ONE)
    for w in (0.0, 0.0):  # nothing was in the batches
        params, state = tx.step(7 * ONE, state, params, tokens=w)
    np.testing.assert_allclose(params, -2 * ONE)


def test_accumulation_of_16_bit_gradients_is_wide():
    tx = gd.accumulate(gd.sgd(1.0), 256)
    params = jnp.zeros(1, jnp.bfloat16)
    state = tx.init(params)
    state, _ = jax.lax.scan(
        lambda state, g: (tx.update(g, state)[1], None),
        state,
        jnp.full((255, 1), 1.01, jnp.bfloat16),
    )
    assert state.acc_grads.dtype == jnp.float32
    np.testing.assert_allclose(state.acc_grads, jnp.bfloat16(1.01).astype(float), rtol=1e-5)


@pytest.mark.parametrize("every", [0, 2.0, None])
def test_what_every_must_be(every):
    with pytest.raises(ValueError, match="accumulate: every must be an integer of 1 or more"):
        gd.accumulate(gd.sgd(0.1), every)


def test_did_step_asks_for_one_state():
    with pytest.raises(KeyError, match="did_step: 'MultiStepsState' must be .* got none"):
        gd.did_step(gd.sgd(0.1).init(ONE))
    twice = gd.accumulate(gd.accumulate(gd.sgd(0.1), 2), 1)  # the state that is given, of the two
    assert gd.did_step(twice.update(ONE, twice.init(ONE))[1])


def branches(text):
    return text.count("cond[")


def test_between_steps_the_inner_transformation_does_not_run():
    """It stands in a branch; `step` has the parameters in it too."""
    tx = gd.accumulate(gd.adamw(0.1), 4)
    state = tx.init(PARAMS)
    for function in (tx.update, tx.step):
        jaxpr = jax.make_jaxpr(function)(GRADS, state, PARAMS)
        assert branches(str(jaxpr)) >= 1
        outside = [e.primitive.name for e in jaxpr.jaxpr.eqns]
        assert "sqrt" not in outside and "sqrt" in str(jaxpr)


def test_accumulation_within_accumulation():
    path, _ = go(gd.accumulate(gd.accumulate(gd.sgd(1.0), 2), 2), [ONE, 2 * ONE] * 4, jnp.zeros(2))
    assert [float(p[0]) for p in path] == [0, 0, 0, -1.5, -1.5, -1.5, -1.5, -3.0]


def test_a_weight_has_the_name_it_was_given():
    tx = gd.accumulate(gd.sgd(1.0), 2, weight="tokens")
    assert tx.extra_args == {"tokens": True}
    state = tx.init(ONE)
    with pytest.raises(TypeError, match="needs the extra argument 'tokens'"):
        tx.update(ONE, state)
    with pytest.raises(TypeError, match="Did you mean tokens?"):
        tx.update(ONE, state, token=3)
    with pytest.raises(ValueError, match="weight must be the name of an extra argument"):
        gd.accumulate(gd.sgd(1.0), 2, weight="two words")
    outer = gd.chain(gd.clip_by_global_norm(100.0), tx)
    assert outer.extra_args == {"tokens": True}
    params, state = jnp.zeros(2), outer.init(ONE)
    for g, tokens in ((1.0, 300), (5.0, 100)):
        params, state = outer.step(g * ONE, state, params, tokens=tokens)
    np.testing.assert_allclose(params, -2 * ONE, rtol=1e-6)


def test_a_nan_has_no_weight():
    tx = gd.accumulate(gd.sgd(1.0), 2, weight="tokens")
    params, state = jnp.zeros(2), tx.init(ONE)
    for g, tokens in ((1.0, 300), (jnp.nan, 900), (5.0, 100)):
        params, state = tx.step(g * ONE, state, params, tokens=tokens)
    np.testing.assert_allclose(params, -2 * ONE, rtol=1e-6)
    assert gd.state.metrics(state)["skipped"] == 1 and gd.did_step(state)


def test_an_inner_transformation_that_narrows_does_not_narrow_the_mean():
    """Its updates cannot stand in the place of the mean, which float32 holds."""

    import optax

    narrow = optax.stateless(lambda u, p: (-u).astype(jnp.bfloat16))
    tx = gd.accumulate(narrow, 2)
    _, state = tx.update(ONE * 1.001, tx.init(ONE), ONE)
    np.testing.assert_array_equal(state.acc_grads, ONE * 1.001)
    updates, state = tx.update(ONE * 1.001, state, ONE)
    assert updates.dtype == jnp.bfloat16 and updates[0] == -1 and not state.acc_grads.any()


def test_the_rest_of_an_epoch_is_stepped_with():
    tx, params = gd.accumulate(gd.sgd(1.0), 4, weight="tokens"), {"w": jnp.zeros(2)}
    state = tx.init(params)
    for g, tokens in ((1.0, 300), (5.0, 100)):
        params, state = tx.step({"w": jnp.full(2, g)}, state, params, tokens=tokens)
    flush = jax.jit(lambda state, params: gd.flush(tx, state, params))
    moved, after = flush(state, params)
    np.testing.assert_allclose(moved["w"], -2.0)
    assert (int(after.mini_step), int(after.gradient_step)) == (0, 1)
    np.testing.assert_array_equal(after.acc_grads["w"], 0)
    again, same = flush(after, moved)  # nothing was gathered
    jax.tree.map(np.testing.assert_array_equal, (again, same), (moved, after))
    later, _ = tx.step({"w": jnp.ones(2)}, after, moved, tokens=7)
    np.testing.assert_array_equal(later["w"], moved["w"])
    with pytest.raises(TypeError, match="flush: tx must be made by accumulate, got sgd"):
        gd.flush(gd.sgd(0.1), state, params)


@pytest.mark.parametrize("mean", [True, False])
def test_of_one_nothing_is_gathered(mean):
    given = {"weight": "tokens", "use_grad_mean": mean}
    one, params = gd.accumulate(gd.adam(0.1), 1, **given), {"w": jnp.zeros(3), "n": None}
    many = gd.accumulate(gd.adam(0.1), lambda step: 1, **given)
    states = one.init(params), many.init(params)
    assert jax.tree.leaves(states[0].acc_grads) == [] and gd.state.nbytes(states[0]) < 60
    for g in (2.0, jnp.nan, -1.0):
        grads = {"w": jnp.full(3, g), "n": None}
        u, states = zip(
            *(tx.update(grads, s, params, tokens=3) for tx, s in zip((one, many), states))
        )
        np.testing.assert_allclose(u[0]["w"], u[1]["w"], rtol=1e-6)
    assert int(states[0].skip_state.skipped) == 1 and int(states[0].gradient_step) == 2


def test_a_mean_in_a_narrow_dtype_is_stepped_with_in_that_of_the_gradients():
    tx = gd.accumulate(gd.scale(0.1), 2, accumulator_dtype=jnp.bfloat16)
    g = jnp.ones(1)
    _, state = tx.update(g, tx.init(g), g)
    u, _ = tx.update(g, state, g)
    assert u.dtype == jnp.float32 and u == np.float32(0.1)

"""Averages of the parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, real, rule
from tests.transcription import at, trajectory
from tests.wrappers.averaging.ways import EMA, KEEPERS, MATRICES, SGD, close, start, way

ADAM = gd.adam(1e-2)
ROWS = [
    Row(gd.with_ema(ADAM, 0.9)),
    Row(gd.with_ema(gd.accumulate(ADAM, 2), 0.9, debias=False), label="with_ema-accumulate"),
    Row(gd.with_ema(ADAM, 0.9, share=0.5), label="with_ema-share"),
    Row(gd.with_swa(ADAM, 1, 2)),
    Row(gd.with_swa(gd.with_ema(ADAM, 0.5), 0), label="with_swa-of-ema"),
    Row(gd.with_polynomial_averaging(ADAM, 2.0)),
]


def _path(gradient, theta0, steps):
    return trajectory(theta0, steps, lambda theta, t: theta - 0.3 * gradient(theta, t))


def ema(gradient, theta0, steps, *, beta, debias=True):
    """Weights (1 − βₛ)·βₛ₊₁·…·βₜ of the point after step s; the start has the rest, or nothing."""
    path = _path(gradient, theta0, steps)
    out = [theta0]
    for t in range(1, steps + 1):
        betas = np.array([at(beta, s) for s in range(t)])  # of steps 1 to t
        after = np.concatenate([np.cumprod(betas[:0:-1])[::-1], [1.0]])
        weights = (1 - betas) * after
        if debias:
            out.append(weights @ path[1 : t + 1] / weights.sum())
        else:
            out.append(np.prod(betas) * path[0] + weights @ path[1 : t + 1])
    return np.stack(out)


def mixed(gradient, theta0, steps, *, share, start, tau):
    """The tail average of a record of modded-nanogpt: from step `start` on, mixed with the point.

    Its mean is the point of step `start` first, and then moves by 1/τ of the way to each.
    """
    path, mean = _path(gradient, theta0, steps), theta0
    out = [theta0]
    for t in range(1, steps + 1):
        mean = path[t] if t <= start else mean + (path[t] - mean) / tau
        out.append((1 - share) * path[t] + share * mean)
    return np.stack(out)


def swa(gradient, theta0, steps, *, start, every=1):
    """Algorithm 1 of Izmailov et al. 2018: the mean of the point at `start` and those after it."""
    path = _path(gradient, theta0, steps)
    out = [path[t] if t < start else path[start : t + 1 : every].mean(0) for t in range(steps + 1)]
    return np.stack(out)


def polynomial(gradient, theta0, steps, *, eta):
    """Shamir and Zhang 2013, equation (6): shares (η + 1)/(t + η), written out as weights."""
    path = _path(gradient, theta0, steps)
    out = [theta0]
    for t in range(1, steps + 1):
        shares = np.array([(at(eta, s - 1) + 1) / (s + at(eta, s - 1)) for s in range(1, t + 1)])
        left = np.concatenate([np.cumprod(1 - shares[:0:-1])[::-1], [1.0]])
        out.append((shares * left) @ path[1 : t + 1])
    return np.stack(out)


DESCENT = gd.sgd(0.3)


def rising(t):
    return 0.5 + 0.4 * real(t) / 60


def answer(tx, reference):
    return Agree(tx, reference, 1e-12, evaluate=True)


AGREE = {
    "numpy-ema": answer(gd.with_ema(DESCENT, 0.9), rule(ema, beta=0.9)),
    "numpy-ema-biased": answer(
        gd.with_ema(DESCENT, 0.95, debias=False), rule(ema, beta=0.95, debias=False)
    ),
    "numpy-ema-schedule": answer(gd.with_ema(DESCENT, rising), rule(ema, beta=rising)),
    "numpy-ema-tail": answer(
        gd.with_ema(DESCENT, lambda t: jnp.where(t < 20, 0.0, 1 - 1 / 15), share=0.6),
        rule(mixed, share=0.6, start=20, tau=15),
    ),
    "numpy-swa": answer(gd.with_swa(DESCENT, 10, 7), rule(swa, start=10, every=7)),
    "numpy-swa-from-the-start": answer(gd.with_swa(DESCENT, 0), rule(swa, start=0)),
    "numpy-polynomial": answer(gd.with_polynomial_averaging(DESCENT), rule(polynomial, eta=3.0)),
    "numpy-polynomial-mean-of-all": answer(
        gd.with_polynomial_averaging(DESCENT, 0.0), rule(polynomial, eta=0.0)
    ),
}


@pytest.mark.parametrize("keeper", ["ema", "ema-schedule", "swa", "polynomial", "ema-of-lookahead"])
def test_update_and_step_are_one(keeper):
    close(way(KEEPERS[keeper]), way(KEEPERS[keeper], stepped=False))


def test_the_way_is_not_changed():
    for name in ("ema", "swa", "polynomial"):
        close(way(KEEPERS[name])[0], way(SGD)[0], rtol=0, atol=0)


def test_a_part_has_its_own_average():
    """Of a partition the matrices are averaged, and the rest are where they are."""
    tx = gd.partition(MATRICES, matrix=EMA, rest=SGD)
    path, answers = way(tx)
    np.testing.assert_array_equal(answers["b"], path["b"])
    np.testing.assert_allclose(answers["w"], way(EMA)[1]["w"], rtol=1e-6)
    state = tx.init(start())
    assert gd.state.find(state, "average")["b"] is None


def test_calls_that_are_left_out_are_no_steps():
    """Inside of an accumulation or outside of it, the average is the same."""
    for make in (lambda tx: gd.with_ema(tx, 0.5), lambda tx: gd.with_swa(tx, 1, 2)):
        outside = way(make(gd.accumulate(SGD, 3)), 9)
        inside = way(gd.accumulate(make(SGD), 3), 9)
        close(outside, inside)
        assert np.ptp(inside[1]["w"], axis=0).min() > 1e-3
    tx = gd.with_ema(gd.apply_if_finite(SGD), 0.5)
    params, state = jnp.zeros(2), tx.init(jnp.zeros(2))
    for g, count, mean in ((-1.0, 1, 0.1), (jnp.nan, 1, 0.1), (-1.0, 2, 0.5 / 3)):
        params, state = tx.step(jnp.full(2, g), state, params)
        assert state.count == count == state.metrics()["steps"]
        np.testing.assert_allclose(gd.state.eval_params(tx, state, params), mean, rtol=1e-6)


@pytest.mark.parametrize(
    "base", [gd.sgd(lambda t: 0.1 * t.astype(float)), gd.adam(0.0), gd.adam(gd.live(0.0))], ids=repr
)
def test_a_step_at_a_rate_of_0_is_a_step(base):
    """It moves no parameter, and is counted: the average is that of an accumulation around it."""
    for make in (lambda tx: gd.with_ema(tx, 0.5), lambda tx: gd.with_swa(tx, 2)):
        outside, inside = make(gd.accumulate(base, 3)), gd.accumulate(make(base), 3)
        close(way(outside, 9), way(inside, 9))
        params, state = jnp.ones(2), outside.init(jnp.ones(2))
        for _ in range(3):
            params, state = outside.step(jnp.ones(2), state, params)
        assert state.count == 1
    # A guard inside of a guard, beside a stage that counts: what the inner one leaves out is none.
    stages = gd.chain(gd.scale(lambda t: 1.0), gd.apply_if_finite(base))
    tx = gd.with_ema(gd.accumulate(stages, 1, should_skip_update_fn=None), 0.5)
    _, state = tx.step(jnp.full(2, jnp.nan), tx.init(jnp.ones(2)), jnp.ones(2))
    assert state.count == 0


def test_the_climbs_of_sam_are_not_averaged():
    outside = way(gd.with_ema(gd.sam(SGD, gd.sgd(0.5)), 0.5), 8)
    inside = way(gd.sam(EMA, gd.sgd(0.5)), 8)
    close(outside, inside)
    assert np.abs(outside[0]["w"][0] - outside[1]["w"][0]).max() > 0.1  # it climbed


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_sixteen_bits_are_averaged_in_float32_as_they_are_rounded(dtype):
    """In one program, where XLA may leave out the rounding, as from call to call."""
    tx = gd.with_ema(gd.sgd(0.01), 0.75)
    params = jnp.linspace(0.1, 1.0, 50).astype(dtype)

    def three(params):
        state = tx.init(params)
        for t in range(3):
            params, state = tx.step(jnp.cos(t + params.astype(jnp.float32)), state, params)
        return state.average

    state, points = tx.init(params), []
    now = params
    for t in range(3):
        now, state = tx.step(jnp.cos(t + now.astype(jnp.float32)), state, now)
        points.append(np.asarray(now, np.float64))
    assert state.average.dtype == jnp.float32 and now.dtype == dtype
    np.testing.assert_allclose(jax.jit(three)(params), state.average, rtol=3e-7)
    weights = 0.75 ** np.arange(3)[::-1]
    expected = np.einsum("t,tn->n", weights / weights.sum(), np.stack(points))
    np.testing.assert_allclose(state.average, expected, rtol=3e-7)
    assert gd.state.eval_params(tx, state, now).dtype == dtype


def test_swa_takes_the_points_the_paper_takes():
    path, answers = way(gd.with_swa(SGD, 2, 2), 7)
    np.testing.assert_array_equal(answers["w"][0], path["w"][0])
    for step, models in ((2, [2]), (3, [2]), (4, [2, 4]), (7, [2, 4, 6])):
        mean = np.mean([path["w"][m - 1] for m in models], axis=0)
        np.testing.assert_allclose(answers["w"][step - 1], mean, rtol=1e-6)


def test_half_of_the_weight_of_a_polynomial_average_is_in_the_last_sixth():
    """As its documentation says; the weights are those of a path that is one-hot in time."""
    tx, steps = gd.with_polynomial_averaging(gd.sgd(1.0)), 600
    params = jnp.zeros(steps)
    eye = np.eye(steps, dtype=np.float32)
    grads = jnp.asarray(np.concatenate([-eye[:1], eye[:-1] - eye[1:]]))  # to the t-th unit vector

    def body(carry, g):
        return tx.step(g, carry[1], carry[0]), None

    (params, state), _ = jax.lax.scan(body, (params, tx.init(params)), grads)
    weights = np.asarray(state.average)
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-4)
    assert np.argmax(weights) == steps - 1
    late = int(steps * 2 ** (-1 / 4))
    np.testing.assert_allclose(weights[late:].sum(), 0.5, atol=0.01)


def test_leaves_that_take_no_part():
    tx = gd.with_ema(SGD, 0.5)
    params = {"w": jnp.ones(2), "n": jnp.arange(3), "none": None, "z": jnp.ones(2, complex)}
    grads = {"w": jnp.ones(2), "n": np.zeros(3, jax.dtypes.float0), "none": None, "z": params["z"]}
    state = tx.init(params)
    assert state.average["n"] is None and state.average["none"] is None
    params, state = tx.step(grads, state, params)
    answer = gd.state.eval_params(tx, state, params)
    np.testing.assert_array_equal(answer["n"], jnp.arange(3))
    np.testing.assert_allclose(answer["z"], 0.9)
    np.testing.assert_allclose(answer["w"], 0.9)


def test_a_transformation_of_optax_is_averaged():
    optax = pytest.importorskip("optax")
    close(way(gd.with_ema(optax.sgd(0.1), 0.5)), way(EMA))


def test_what_cannot_be_raises():
    with pytest.raises(ValueError, match="decay must lie in"):
        gd.with_ema(SGD, 1.0)
    with pytest.raises(ValueError, match=r"with_ema: share must lie in \(0, 1\], got 0"):
        gd.with_ema(SGD, 0.5, share=0.0)
    with pytest.raises(ValueError, match="start must be"):
        gd.with_swa(SGD, -1)
    with pytest.raises(ValueError, match="every must be"):
        gd.with_swa(SGD, 1, 0)
    with pytest.raises(ValueError, match="eta must lie in"):
        gd.with_polynomial_averaging(SGD, -1.0)
    for tx in (EMA, KEEPERS["swa"], KEEPERS["polynomial"]):
        with pytest.raises(ValueError, match="needs the parameters"):
            tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


@gd.transformation
def _in_pairs():
    return gd.accumulate(SGD, 2)


def test_the_average_looks_for_calls_left_out_only_where_there_may_be_some():
    """In an alias too; a plain optimizer costs no comparison and no branch."""
    params = jnp.zeros(3)
    inside = {
        gd.adamw(0.1): False,
        gd.chain(gd.clip(1.0), gd.adam(lambda t: 0.1)): False,
        gd.chain(gd.clip(1.0), gd.accumulate(SGD, 2)): True,
        _in_pairs(): True,
        gd.lookahead(SGD, 2, 0.5): True,
    }
    for inner, looks in inside.items():
        tx = gd.with_ema(inner, 0.5)
        program = jax.make_jaxpr(tx.update)(params, tx.init(params), params)
        assert ("cond[" in str(program)) == looks, inner
    close(way(gd.with_ema(_in_pairs(), 0.5)), way(gd.accumulate(EMA, 2)))


def test_a_step_that_moves_nothing_counts_and_one_left_out_does_not():
    tx, x = gd.with_ema(gd.apply_if_finite(gd.adam(0.1), 3), 0.9), jnp.ones(1)
    state = tx.init(x)
    for g, count in ((0.0, 1), (jnp.nan, 1), (0.0, 2)):
        _, state = tx.update(jnp.full(1, g), state, x)
        assert state.count == count

"""What is averaged, when, and that `eval_params` finds it through any nesting."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.contract.subject import example_params

from .families import ROWS

FIRST = {row.tx.name: row for row in reversed(ROWS)}.values()
SGD = gd.sgd(0.1)
EMA = gd.with_ema(SGD, 0.5)
MATRICES = gd.by_label(matrix="matrices", rest=True)
CURVATURE = jnp.array([[1.0, 0.5], [0.2, 0.1]])


def start():
    return {"w": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "b": jnp.array([0.5, -1.0])}


def slope(params):
    return {"w": CURVATURE * params["w"], "b": params["b"] - 2.0}


def run(tx, steps=6, params=None, stepped=True):
    """The points trained and those to evaluate at, each stacked."""

    @jax.jit
    def one(params, state):
        if stepped:
            params, state = tx.step(slope(params), state, params)
        else:
            updates, state = tx.update(slope(params), state, params)
            params = gd.apply_updates(params, updates)
        return params, state, gd.state.eval_params(tx, state, params)

    params = start() if params is None else params
    state, path, answers = tx.init(params), [], []
    for _ in range(steps):
        params, state, answer = one(params, state)
        path.append(params)
        answers.append(answer)
    stack = lambda trees: jax.tree.map(lambda *xs: np.stack(xs), *trees)
    return stack(path), stack(answers)


def close(a, b, **tolerance):
    tolerance = tolerance or {"rtol": 1e-5, "atol": 1e-6}  # of float32, of numbers of size 1
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


@pytest.mark.parametrize("row", FIRST, ids=str)
def test_before_the_first_step_all_evaluate_where_they_are(row):
    params = example_params()
    answer = gd.state.eval_params(row.tx, row.tx.init(params), params)
    jax.tree.map(np.testing.assert_array_equal, answer, params)


PLAIN = [
    gd.adamw(0.1),
    gd.accumulate(SGD, 2),
    gd.apply_if_finite(gd.chain(gd.clip(1.0), SGD)),
    gd.partition(MATRICES, matrix=SGD, rest=gd.frozen),
    gd.flatten(SGD),
    gd.split_real_and_imaginary(SGD),
    gd.mechanize(SGD),
    gd.mechanize(EMA),  # whose average is of another way than the one that is gone
    gd.with_master_weights(SGD),
    gd.stochastic_rounding(SGD, 0),
]


@pytest.mark.parametrize("tx", PLAIN, ids=repr)
def test_where_nothing_is_kept_it_is_the_identity(tx):
    path, answers = run(tx, 3)
    jax.tree.map(np.testing.assert_array_equal, path, answers)


def always(step):
    return step >= 0


KEEPERS = {
    "ema": EMA,
    "ema-schedule": gd.with_ema(SGD, lambda t: 0.5 + 0.1 * t.astype(float)),
    "swa": gd.with_swa(SGD, 2, 2),
    "polynomial": gd.with_polynomial_averaging(SGD),
    "lookahead": gd.lookahead(SGD, 2, 0.5),
    "schedule_free": gd.schedule_free_sgd(0.1, 2),
    "primal_averaging": gd.generalized_primal_averaging(SGD, 0.8, 0.6),
    "sam": gd.sam(SGD, gd.sgd(0.05)),
    "ema-of-lookahead": gd.with_ema(gd.lookahead(SGD, 2, 0.5), 0.5),
}
HOLDERS = {
    "chain": lambda tx: gd.chain(gd.clip(100.0), tx),
    "named": lambda tx: gd.chain(clip=gd.clip(100.0), tx=tx),
    "masked": lambda tx: gd.masked(tx, True),
    "partition": lambda tx: gd.partition(MATRICES, matrix=tx, rest=tx),
    "selective": lambda tx: gd.selective_transform(tx, freeze_mask=False),
    "accumulate": lambda tx: gd.accumulate(tx, 1),
    "apply_if_finite": gd.apply_if_finite,
    "conditionally_mask": lambda tx: gd.conditionally_mask(tx, always),
    "flatten": gd.flatten,
    "split_real_and_imaginary": gd.split_real_and_imaginary,
    "stochastic_rounding": lambda tx: gd.stochastic_rounding(tx, 0),
    "with_master_weights": gd.with_master_weights,
    "compensated": gd.compensated,
    "with_split_weights": gd.with_split_weights,
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_every_holder_passes_the_question_on(holder):
    expected = run(EMA, 4)
    assert np.abs(expected[0]["w"] - expected[1]["w"]).max() > 0.01
    close(run(HOLDERS[holder](EMA), 4), expected)


@pytest.mark.parametrize("keeper", KEEPERS)
def test_every_keeper_is_found_two_deep(keeper):
    tx = KEEPERS[keeper]
    path, answers = run(tx)
    assert np.abs(path["w"] - answers["w"]).max() > 1e-3
    deep = gd.accumulate(gd.chain(gd.clip(100.0), gd.masked(tx, True)), 1)
    close(run(deep), (path, answers))


@pytest.mark.parametrize("keeper", ["ema", "ema-schedule", "swa", "polynomial", "ema-of-lookahead"])
def test_update_and_step_are_one(keeper):
    close(run(KEEPERS[keeper]), run(KEEPERS[keeper], stepped=False))


def test_the_way_is_not_changed():
    for name in ("ema", "swa", "polynomial"):
        close(run(KEEPERS[name])[0], run(SGD)[0], rtol=0)


def test_a_part_has_its_own_average():
    """Of a partition the matrices are averaged, and the rest are where they are."""
    tx = gd.partition(MATRICES, matrix=EMA, rest=SGD)
    path, answers = run(tx)
    np.testing.assert_array_equal(answers["b"], path["b"])
    np.testing.assert_allclose(answers["w"], run(EMA)[1]["w"], rtol=1e-6)
    state = tx.init(start())
    assert gd.state.find(state, "average")["b"] is None


def test_calls_that_are_left_out_are_no_steps():
    """Inside of an accumulation or outside of it, the average is the same."""
    for make in (lambda tx: gd.with_ema(tx, 0.5), lambda tx: gd.with_swa(tx, 1, 2)):
        outside = run(make(gd.accumulate(SGD, 3)), 9)
        inside = run(gd.accumulate(make(SGD), 3), 9)
        close(outside, inside)
        assert np.ptp(inside[1]["w"], axis=0).min() > 1e-3
    tx = gd.with_ema(gd.apply_if_finite(SGD), 0.5)
    params, state = jnp.zeros(2), tx.init(jnp.zeros(2))
    for g, count, mean in ((-1.0, 1, 0.1), (jnp.nan, 1, 0.1), (-1.0, 2, 0.5 / 3)):
        params, state = tx.step(jnp.full(2, g), state, params)
        assert state.count == count == state.metrics()["steps"]
        np.testing.assert_allclose(gd.state.eval_params(tx, state, params), mean, rtol=1e-6)


def test_the_climbs_of_sam_are_not_averaged():
    outside = run(gd.with_ema(gd.sam(SGD, gd.sgd(0.5)), 0.5), 8)
    inside = run(gd.sam(EMA, gd.sgd(0.5)), 8)
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
    path, answers = run(gd.with_swa(SGD, 2, 2), 7)
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
    close(run(gd.with_ema(optax.sgd(0.1), 0.5)), run(EMA))


def test_what_cannot_be_raises():
    with pytest.raises(ValueError, match="decay must lie in"):
        gd.with_ema(SGD, 1.0)
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
    close(run(gd.with_ema(_in_pairs(), 0.5)), run(gd.accumulate(EMA, 2)))

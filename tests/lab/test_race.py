"""A race says what a plain loop would say, compiles each optimizer once, and tells the truth."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.lab.problems import PROBLEMS, Problem, problem
from gdjax.lab.race import Spread, race
from gdjax.lab.rates import parse_rates
from tests.helpers import first


def loop(tx, task, seed, steps):
    """Full losses before each step and at the end, with nothing that `race` is made of."""
    start, batches = jax.random.split(jax.random.key(seed))
    params = task.init(start)
    batch = jax.jit(task.batches(batches)) if task.batches else lambda i: None
    gradient, full = jax.jit(jax.grad(task.loss)), jax.jit(task.loss)
    state, losses = tx.init(params), [float(full(params))]
    for i in range(steps):
        params, state = tx.step(gradient(params, batch(i)), state, params)
        losses.append(float(full(params)))
    return np.array(losses), params


def flat(loss=lambda x, batch=None: x * x, **changes):
    given = dict(name="flat", description="", init=lambda key: jnp.ones(()), loss=loss)
    return Problem(**{**given, "steps": 20, "target": 1e-6, "optimum": 0.0, **changes})


def noisy():
    """A small problem on batches, with a random start and a metric."""

    def loss(w, batch=None):
        x = jnp.linspace(-1.0, 1.0, 8) if batch is None else batch
        return jnp.mean((w[0] * x + w[1] - jnp.sin(3 * x)) ** 2)

    def batches(key):
        return lambda step: jax.random.uniform(jax.random.fold_in(key, step), (4,), minval=-1.0)

    return flat(
        loss,
        init=lambda key: jax.random.normal(key, (2,)),
        batches=batches,
        metrics=lambda w: {"test_accuracy": w[0]},
        optimum=None,
        target=0.1,
    )


@pytest.mark.parametrize("make, steps", [(lambda: problem("quadratic"), 30), (noisy, 120)])
def test_the_grid_equals_the_loop(make, steps):
    task, rates = make(), [0.003, 0.03]
    results = race(["adamw", "momentum(decay=0.5)"], task, rates, 2, steps)
    for run, tx in zip(results.runs, (gd.adamw(0.03), gd.momentum(0.03, decay=0.5))):
        seed = len(results.seeds) - 1
        losses, params = loop(tx, task, seed, steps)
        np.testing.assert_allclose(run.losses[1, seed], losses[results.at], rtol=2e-5)
        if task.metrics:
            expected = float(task.metrics(params)["test_accuracy"])
            assert run.test_accuracy[1, seed] == pytest.approx(expected, rel=1e-4)


def test_losses_on_batches_are_full_ones_at_some_steps():
    results = race(["sgd"], noisy(), [0.1], 1, 120)
    assert list(results.at) == [*range(0, 120, 2), 120]
    assert results.runs[0].losses.shape == (1, 1, 61)
    assert np.isfinite(results.runs[0].losses).all()


def test_the_grid_is_one_program_of_any_size():
    traces = []

    def loss(x, batch=None):
        traces.append(x)
        return jnp.sum(x * x)

    def count(rates, seeds):
        traces.clear()
        init = lambda key: jax.random.normal(key, (3,))
        race(["sgd", "adam"], flat(loss, init=init), rates, seeds)
        return len(traces)

    assert count([0.1], 1) == count("1e-3:1:7", 4) <= 8


def test_a_run_counts_the_steps_to_the_target():
    run = race(["sgd"], "parabola", [0.1, 1e-4], 1, 60).runs[0]
    first = int(np.ceil(np.log(1e-6) / np.log(0.64)))  # the loss falls by 0.8² a step
    assert run.steps_to_target[0, 0] != run.steps_to_target[0, 0]  # 1e-4 is too slow
    assert run.steps_to_target[1, 0] == first


def test_what_does_not_depend_on_chance_runs_once():
    results = race(["sgd"], "bowl", [0.1], 3, 10)
    assert results.repeated and list(results.seeds) == [0]
    assert results.rows()[0].final_loss.std is None
    results = race(["sgd"], "quadratic", [0.1], 3, 10)
    assert not results.repeated and list(results.seeds) == [0, 1, 2]
    finals = results.runs[0].final_losses[0]
    spread = results.rows()[0].final_loss
    assert spread == Spread(finals.mean(), finals.std(ddof=1), 3) and spread.std > 0


def test_diverged_runs_are_counted_and_never_best():
    results = race(["sgd", "adam"], "parabola", [0.1, 1.5, 1e30], 1, 40)
    run = results.runs[0]
    assert list(run.diverged[:, 0]) == [False, True, True]
    assert np.isnan(run.final_losses[2, 0]) or np.isinf(run.final_losses[2, 0])
    row = next(row for row in results.rows() if row.name == "sgd")
    assert (row.best_rate, row.diverged, row.runs) == (0.1, 2, 3)


def test_where_every_rate_diverges_nothing_is_best_and_the_row_is_last():
    rows = race(["sgd", "adam"], "parabola", [3.0, 5.0], 1, 30).rows()
    assert [row.name for row in rows] == ["adam", "sgd"]
    assert rows[1][1:5] == (None, None, None, None) and rows[1].diverged == 2


def test_one_seed_that_diverges_spoils_the_rate():
    init = lambda key: jnp.where(key_is_last(key), 10.0, 0.1)
    last = jax.random.split(jax.random.key(1))[0]
    key_is_last = lambda key: (jax.random.key_data(key) == jax.random.key_data(last)).all()
    task = flat(lambda x, batch=None: x**4, init=init)
    results = race(["sgd"], task, [0.001, 0.1], 2, 20)
    assert results.runs[0].diverged.tolist() == [[False, False], [False, True]]
    assert results.rows()[0].best_rate == 0.001


def test_rounding_decides_nothing():
    task = flat(lambda x, batch=None: 1 + x * x, optimum=1.0, target=1e-2)
    results = race({"slow": gd.sgd(1.0), "fast": gd.sgd(1.0)}, task, [0.3, 0.35, 0.4], 1)
    for run in results.runs:
        run.losses[:, 0, -1] = 1 + np.array([1e-8, -1e-8, 0.0])
        run.steps_to_target[:] = 7
        assert results.best(run) == 0
        run.steps_to_target[1:] = [[3], [5]]
        assert results.best(run) == 1
    results.runs[1].steps_to_target[:] = 1
    assert [row.name for row in results.rows()] == ["fast", "slow"]


def test_optimizers_are_names_calls_transformations_and_functions():
    clipped = lambda rate: gd.chain(gd.clip(1.0), gd.adam(rate))
    given = {"a": "adam", "b": gd.adam(0.5), "c": clipped, "d": "adam(b1=0.0)"}
    results = race(given, "bowl", [0.1], 1, 10)
    finals = {run.name: run.final_losses[0, 0] for run in results.runs}
    assert finals["a"] == finals["b"] and len(set(finals.values())) == 3
    labels = [run.name for run in race(["sgd", gd.sgd(0.1, momentum=0.5)], "bowl", [1], 1, 2).runs]
    assert labels == ["sgd", "sgd(momentum=0.5)"]


def test_optax_races_as_a_function_of_the_rate():
    optax = pytest.importorskip("optax")
    with jax.numpy_dtype_promotion("standard"):
        results = race({"ours": "adam", "theirs": optax.adam}, "quadratic", [0.01, 0.1], 2, 30)
    ours, theirs = results.runs
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-4)


def test_a_transformation_that_wants_the_value_gets_it():
    optax = pytest.importorskip("optax")
    factory = lambda rate: optax.polyak_sgd(max_learning_rate=rate)
    with jax.numpy_dtype_promotion("standard"):
        results = race({"polyak": factory}, "bowl", [1.0], 1, 30)
    assert results.rows()[0].final_loss.mean < 1e-6


def test_progress_moves_to_the_end():
    told = []
    race(["sgd", "adam"], "quadratic", [0.1], 2, 100, lambda *what: told.append(what))
    done = [d for _, d, _ in told]
    assert done == sorted(done) and done[0] == 0 and done[-1] == 200
    assert {total for *_, total in told} == {200} and 100 <= len(told) <= 110
    assert [w for w, *_ in told if "compiling" in w] == ["sgd: compiling", "adam: compiling"]


def test_progress_without_a_cpu_says_what_to_set(no_cpu):
    with pytest.raises(RuntimeError, match='race: progress .* Set JAX_PLATFORMS="cuda,cpu"'):
        race(["sgd"], "bowl", [0.1], 1, 2, lambda *what: None)


def test_double_precision(x64):
    run = race(["sgd"], "bowl", [0.1], 1, 200).runs[0]
    assert 0 < run.final_losses[0, 0] < 1e-30


ELSEWHERE = ("digits", "charlm", "charlm_small")  # in test_cli and test_charlm


@pytest.mark.parametrize("name", first(2, [name for name in PROBLEMS if name not in ELSEWHERE]))
def test_every_problem_races(name):
    row = race(["adam"], name, [0.01], 1, 2).rows()[0]
    assert row.final_loss is not None and row.seconds > 0 and row.compile_seconds > 0


def test_rates():
    np.testing.assert_allclose(parse_rates("1e-4:1:9"), np.logspace(-4, 0, 9), rtol=1e-11)
    assert parse_rates("1e-4:1:5").tolist() == [1e-4, 1e-3, 1e-2, 0.1, 1.0]
    assert parse_rates("1, 0.1,0.3,0.1").tolist() == [0.1, 0.3, 1.0]
    assert parse_rates("0.1").tolist() == [0.1]


BAD = ["", "a", "1:2", "1:2:3:4", "0:1:3", "1:0.1:3", "-1:1:3", "0.1:1:1", "0.1:1:2.5", "0.1,-1"]


@pytest.mark.parametrize("text", [*BAD, "nan", "inf", "0", "1:inf:3", "0.1:1:1000000000", "1,,2"])
def test_rates_that_are_none(text):
    with pytest.raises(ValueError, match="rates must be LOW:HIGH:COUNT"):
        parse_rates(text)


@pytest.mark.parametrize(
    "change, kind, told",
    [
        ({"optimizers": ["adamm"]}, ValueError, "Did you mean adam"),
        ({"optimizers": ["scale"]}, ValueError, "with a learning rate"),
        ({"optimizers": [gd.clip(1.0)]}, TypeError, "learning_rate"),
        ({"optimizers": ["adam", "adam"]}, ValueError, "twice"),
        ({"optimizers": []}, ValueError, "at least one"),
        ({"optimizers": ["adam(0.1)"]}, ValueError, "by keyword"),
        ({"optimizers": ["adam(learning_rate=0.1)"]}, ValueError, "without learning_rate"),
        ({"optimizers": ["adam(b1=2)"]}, ValueError, r"b1 must lie in \[0, 1\)"),
        ({"optimizers": ["adam(b3=0)"]}, TypeError, "b3"),
        ({"optimizers": [3]}, TypeError, "must be a name"),
        ({"problem": "bowls"}, ValueError, "Did you mean bowl"),
        ({"problem": lambda p: p}, TypeError, r"Write Problem.of\(loss, params\)"),
        ({"optimizers": ["adam(b1=RATE"]}, ValueError, "must be a name, or a call"),
        ({"steps": 0}, ValueError, "steps must be a positive integer"),
        ({"seeds": 1.5}, ValueError, "seeds must be a positive integer"),
        ({"rates": [0.0]}, ValueError, "rates must be"),
    ],
)
def test_what_is_wrong_is_told(change, kind, told):
    given = {"optimizers": ["sgd"], "problem": "bowl", "rates": [0.1], "seeds": 1, "steps": 2}
    with pytest.raises(kind, match=told):
        race(**{**given, **change})


@pytest.mark.parametrize(
    "scale, low, high",
    [(1.0, 0.01, 1.0), (1e3, 1e-6, 1.0), (1e-3, 0.01, 1e4), (1e-30, 1e-14, 1.0)],
)
def test_a_range_is_widened_until_the_best_rate_lies_inside(scale, low, high):
    """The default race had momentum at the end of its range, and so next to last."""
    task = flat(lambda x, batch=None: scale * x * x, optimum=None, rates="0.01:1:3", target=None)
    run = race(["sgd"], task, steps=3).runs[0]
    assert run.rates[0] == pytest.approx(low) and run.rates[-1] == pytest.approx(high)
    assert (np.diff(run.rates) > 0).all() and run.losses.shape == (len(run.rates), 1, 4)
    best = race(["sgd"], task, steps=3).best(run)
    assert 0 < best < len(run.rates) - 1 or scale == 1e-30  # nothing helps there
    given = race(["sgd"], task, rates="0.01:1:3", steps=3).runs[0]
    assert list(given.rates) == [0.01, 0.1, 1.0]  # what is asked for stays


@pytest.mark.slow
def test_the_default_race_has_every_best_rate_inside():
    results = race(["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw"])
    assert all(0 < results.best(run) < len(run.rates) - 1 for run in results.runs)
    assert all(len(run.rates) == 11 for run in results.runs)  # none was widened: that takes time
    assert results.rows()[0].name == "momentum" and results.rows()[0].steps_to_target.mean < 80


LINE = {
    "x": jnp.linspace(-1.0, 1.0, 12).reshape(3, 4),
    "y": jnp.linspace(0.0, 2.0, 12).reshape(3, 4),
}


def fit(p, batch):
    return jnp.mean((p * batch["x"] - batch["y"]) ** 2)


@pytest.mark.parametrize(
    "make, full",
    [
        (lambda: Problem.of(lambda p: (p - 2.0) ** 2, 1.0), 1.0),
        (lambda: Problem.of(lambda p: (p - 2.0) ** 2, lambda key: jnp.ones(())), 1.0),
        (lambda: Problem.of(fit, 1.0, batches=LINE), float(jnp.mean((LINE["x"] - LINE["y"]) ** 2))),
        (lambda: Problem.of(fit, 1.0, batches=lambda i: {"x": jnp.ones(1), "y": jnp.ones(1)}), 0.0),
        (lambda: Problem.of(fit, 1.0, batches=LINE, full=lambda p: p * 7), 7.0),
    ],
)
def test_a_problem_of_a_loss(make, full):
    task = make()
    assert float(task.loss(task.init(jax.random.key(0)), None)) == pytest.approx(full)
    results = race(["sgd"], task, [0.1], 1, 4)
    assert results.runs[0].losses[0, 0, 0] == pytest.approx(full, abs=1e-6)
    if task.batches:
        batch = task.batches(jax.random.key(0))
        expected = LINE["x"][1] if make().batches(None)(4)["x"].shape == (4,) else jnp.ones(1)
        np.testing.assert_array_equal(batch(4)["x"], expected)
    assert results.rows()[0].steps_to_target is None


def test_a_problem_takes_its_further_attributes():
    task = Problem.of(lambda p: p**2, 1.0, steps=9, name="mine", target=0.1, rates="0.1,0.4")
    assert (task.name, task.steps, task.target) == ("mine", 9, 0.1)
    assert list(race(["sgd"], task).runs[0].rates)[:1] == [0.1]
    with pytest.raises(TypeError, match=r"Problem.of: loss must be a function"):
        Problem.of(1.0, 1.0)


@pytest.mark.parametrize(
    "optimizer, task, idle",
    [
        ("muon", "bowl", ("muon",)),
        ("muon", "digits", ()),
        ("adamw", "bowl", ()),
        ({"g": lambda r: gd.groups(gd.sgd(r), (".*", gd.frozen))}, "bowl", ()),
    ],
)
def test_parts_for_matrices_where_there_are_none(optimizer, task, idle):
    optimizer = optimizer if isinstance(optimizer, dict) else [optimizer]
    assert race(optimizer, task, [0.1], 1, 1).runs[0].idle == idle


def test_results_are_plain_data():
    results = race(["sgd"], "bowl", [0.1], 1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        results.steps = 3
    assert isinstance(results.runs[0].losses, np.ndarray)

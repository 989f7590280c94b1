"""Scores of optimizers over workloads."""

import dataclasses
import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.lab import cli, scores, workloads
from gdjax.lab.problem import Problem
from gdjax.lab.score_tables import cells, of_runs
from gdjax.lab.scores import Judged, judged, profile

INF = math.inf
TIMES = {"a": [10, 40, INF, INF], "b": [20, 10, 5, INF], "c": [50, INF, 20, INF]}


def test_scores_are_areas_under_profiles():
    """By the trapezoidal rule on a fine grid; nobody reaches the last target."""
    taus = np.linspace(1, 4, 30_001)
    for name, score in scores.scores(TIMES).items():
        area = np.trapezoid([profile(TIMES, tau)[name] for tau in taus[::10]], taus[::10]) / 3
        np.testing.assert_allclose(score, area, atol=1e-3)
    assert scores.scores(TIMES)["b"] == pytest.approx((2 / 3 + 1 + 1) / 4)


def test_a_time_of_0_is_the_best():
    assert scores.scores({"a": [0.0], "b": [0.0], "c": [3.0]}) == {"a": 1.0, "b": 1.0, "c": 0.0}


def bowl(steps=100):
    loss = lambda p, batch=None: jnp.sum(p["w"] ** 2) + jnp.sum(p["b"] ** 2)
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    return Problem.of(lambda p: loss(p), params, steps=steps, target=1.0, name="bowl")


def test_what_is_tuned_runs_its_best_setting_and_a_call_runs_as_it_is(tmp_path):
    file = tmp_path / "runs.jsonl"
    given = ["adamw", "sgd(0.25)", "sgd(1e-6)"]
    rows = scores.judge(bowl(), given, file, count=5, seeds=2)
    assert [row.optimizer for row in rows] == given
    tuned, call, never = (row.steps for row in rows)
    assert 2 < tuned < 100 and call == 2 and never == INF  # 6·4⁻ᵗ ≤ 1 from t = 2 on
    runs = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(run["name"], run["seed"]) for run in runs] == [
        *[("adamw", 0)] * 5,
        *[(name, seed) for name in given for seed in (1, 2)],
    ]
    assert scores.judge(bowl(), given, file, count=5, seeds=2) == rows
    assert len(file.read_text().splitlines()) == len(runs)  # all were there


def test_the_setting_that_reaches_the_target_first_is_chosen():
    run = lambda *losses: {"at": list(range(len(losses))), "losses": list(losses)}
    runs = [run(3, 2, 2), run(3, 2, 0.5), run(3, 0.9, 2), run(3, None)]
    assert scores._first(runs, 1.0) == 2 and scores._first(runs[:1] + runs[3:], 1.0) == 0
    about = {"problem": "x", "name": "y", "steps": 2, "milliseconds": 3.0}
    assert judged([about | one for one in runs[:3]], 1.0) == Judged("x", "y", 2.0, 2, 3.0)
    assert judged([about | one for one in runs[:2]], 1.0).steps == INF


def test_runs_of_other_data_or_settings_are_not_mixed():
    about = {"problem": "x", "name": "y", "at": [0, 1], "milliseconds": 3.0, "optimizer": {}}
    run = lambda seed, digest, steps, last: (
        about | {**{"seed": seed, "digest": digest, "steps": steps, "losses": [2, last]}}
    )
    runs = [run(1, "a", 1, 0), run(0, "b", 1, 2), run(1, "b", 1, 2), run(2, "b", 1, 2)]
    assert of_runs(runs, {"x": 1.0}) == [Judged("x", "y", INF, 1, 3.0)]
    assert of_runs([*runs, run(1, "b", 9, 0)], {"x": 1.0}) == [Judged("x", "y", 1.0, 9, 3.0)]


def test_the_table_ends_in_scores():
    rows = [Judged("x", name, steps, 99, 1.0) for name, steps in (("a", 10.0), ("b", 25.0))]
    assert cells(rows)[1:] == [
        ["x", "99", "10", "25"],
        ["score by steps", "", "1.00", "0.50"],
        ["score by seconds", "", "1.00", "0.50"],
    ]


WRONG = {
    "name": (["adam"], "an optimizer must be one of adamw, momentum, or a call, got adam."),
    "trials": (["--trials", "0"], "--trials must be 1 or more, got 0"),
    "workload": (["--workloads", "x"], "name must be one of charlm"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_one_line(case, capsys, tmp_path):
    words, message = WRONG[case]
    assert cli.main(["score", *words, "--out", str(tmp_path / "s")]) == 2
    assert message in capsys.readouterr().err


def test_the_command(tmp_path, capsys, monkeypatch):
    small = lambda: dataclasses.replace(workloads.problems.graph(), steps=20)
    monkeypatch.setitem(workloads.WORKLOADS, "graph", small)
    words = ["--trials", "2", "--seeds", "1", "--workloads", "graph", "--out", str(tmp_path / "s")]
    assert cli.main(["score", "adamw", "sgd(0.1)", *words]) == 0
    assert "score by steps" in capsys.readouterr().out
    assert cli.main(["score", "adamw", "sgd(0.1)", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["optimizer"] for row in found] == ["adamw", "sgd(0.1)"]


def test_a_problem_without_a_target(tmp_path):
    problem = dataclasses.replace(bowl(), target=None)
    with pytest.raises(ValueError, match="the workload must have a target, got bowl"):
        scores.judge(problem, ["sgd(0.1)"], tmp_path / "runs.jsonl")


def test_settings_are_those_of_a_smaller_count():
    few, many = (scores.contestants("adamw", 100, n) for n in (2, 5))
    assert [c.setting for c in few] == [c.setting for c in many[:2]]
    assert gd.spec(few[0].tx) == gd.spec(many[0].tx)

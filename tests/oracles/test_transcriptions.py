"""The NumPy transcriptions against the recordings of torch, wherever conventions coincide."""

import json

import numpy as np
import pytest

from tests.optimizers.adam.test_adam import adam, adamw
from tests.optimizers.adaptive.test_adagrad import adagrad
from tests.optimizers.adaptive.test_rmsprop import rmsprop
from tests.optimizers.sgd.test_sgd import averaged_momentum, momentum, nesterov, sgd
from tests.oracles import problem
from tests.references import recordings
from tests.transcription import at, trajectory
from tests.transforms.test_clipping import clip_norm_sgd, clip_value_sgd
from tests.transforms.test_decay import (
    adam_l2,
    adamw_independent,
    adamw_scheduled,
    momentum_decoupled,
    momentum_l2,
)
from tests.transforms.test_momentum import ema

RECORDED = recordings("seminar")
META = json.loads(str(RECORDED["meta"]))


def dampened_momentum(gradient, theta0, steps, *, eta, mu, tau, undampened_start=False):
    """The heavy ball with dampening, v ← μv + (1 − τ)g, θ ← θ − ηv.

    From v = 0 the first step is (1 − τ)g. torch documents the other start, v = g in the first
    step: that is `undampened_start`.
    """
    v = np.zeros_like(theta0)

    def step(theta, t):
        nonlocal v
        share = 1.0 if undampened_start and t == 0 else 1.0 - tau
        v = mu * v + share * gradient(theta, t)
        return theta - at(eta, t) * v

    return trajectory(theta0, steps, step)


BALL = {"eta": 0.05, "mu": 0.9}
ADAGRAD = {"eta": 0.3, "eps": 1e-10}
RMSPROP = {"eta": 0.02, "alpha": 0.9, "eps": 1e-8}
ADAM = {"eta": 0.05, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
CLIP = {"eta": 0.3, "bound": 0.5}

# What torch's 1e-6 in the norm costs: each clipped step is shorter by less than η · 1e-6, and steps
# of descent bring trajectories together rather than apart, so at most the sum over 60 steps.
CLIP_COST = 60 * 0.3 * 1e-6

CASES = [
    ("sgd", sgd, {"eta": 0.3}, 1e-10),
    ("sgd_momentum", momentum, BALL, 1e-10),
    ("sgd_nesterov", nesterov, BALL, 1e-10),
    ("sgd_momentum_l2", momentum_l2, BALL | {"lam": 0.1}, 1e-10),
    (
        "sgd_momentum_dampening_undampened_start",
        dampened_momentum,
        BALL | {"tau": 0.1, "undampened_start": True},
        1e-10,
    ),
    ("adagrad", adagrad, ADAGRAD, 1e-10),
    ("adagrad_initial_0.1", adagrad, ADAGRAD | {"initial_accumulator_value": 0.1}, 1e-10),
    ("rmsprop", rmsprop, RMSPROP, 1e-10),
    ("rmsprop_centered", rmsprop, RMSPROP | {"centered": True}, 1e-10),
    ("rmsprop_momentum", rmsprop, RMSPROP | {"mu": 0.5}, 1e-10),
    ("rmsprop_centered_momentum", rmsprop, RMSPROP | {"centered": True, "mu": 0.5}, 1e-10),
    ("adam", adam, ADAM, 1e-10),
    ("adam_l2", adam_l2, ADAM | {"lam": 0.1}, 1e-10),
    ("adam_eps_1e-3", adam, ADAM | {"eps": 1e-3}, 1e-10),
    ("adamw_0.01", adamw, ADAM | {"lam": 0.01}, 1e-10),
    ("adamw_0.1", adamw, ADAM | {"lam": 0.1}, 1e-10),
    ("adamw_betas_0.8_0.95", adamw, ADAM | {"b1": 0.8, "b2": 0.95, "lam": 0.01}, 1e-10),
    ("clip_value_sgd", clip_value_sgd, {"eta": 0.3, "bound": 0.2}, 1e-10),
    ("clip_norm_sgd", clip_norm_sgd, CLIP | {"norm_eps": 1e-6}, 1e-10),
    ("clip_norm_sgd", clip_norm_sgd, CLIP, CLIP_COST),
]

# Pairs of transcriptions that must coincide where torch has no recording: (left, right).
EQUAL = {
    "averaged momentum is dampening by its own decay": (
        (averaged_momentum, {"eta": 0.3, "beta": 0.9}),
        (dampened_momentum, {"eta": 0.3, "mu": 0.9, "tau": 0.9}),
    ),
    "averaged momentum is the heavy ball at a smaller rate": (
        (averaged_momentum, {"eta": 0.5, "beta": 0.9}),
        (momentum, BALL),
    ),
    "ema without debiasing is averaged momentum": (
        (ema, {"eta": 0.3, "beta": 0.9, "debias": False}),
        (averaged_momentum, {"eta": 0.3, "beta": 0.9}),
    ),
    "debiasing is a rate that starts higher": (
        (ema, {"eta": 0.3, "beta": 0.9, "debias": True}),
        (averaged_momentum, {"eta": lambda t: 0.3 / (1 - 0.9 ** (t + 1)), "beta": 0.9}),
    ),
    "no decay: decoupled is the heavy ball": (
        (momentum_decoupled, BALL | {"lam": 0.0}),
        (momentum, BALL),
    ),
    "without momentum, L2 and decoupled decay agree": (
        (momentum_decoupled, {"eta": 0.3, "mu": 0.0, "lam": 0.1}),
        (momentum_l2, {"eta": 0.3, "mu": 0.0, "lam": 0.1}),
    ),
    "decay independent of the rate is decay over the rate": (
        (adamw_independent, ADAM | {"lam": 0.005}),
        (adamw, ADAM | {"lam": 0.1}),
    ),
    "a schedule of 1 is decay independent of the rate": (
        (
            adamw_scheduled,
            {"alpha": 0.05, "lam": 0.005, "schedule": lambda t: 1.0, "b1": 0.8, "b2": 0.95},
        ),
        (adamw_independent, {"eta": 0.05, "lam": 0.005, "b1": 0.8, "b2": 0.95}),
    ),
    "rmsprop with bias correction is Adam without a mean": (
        (rmsprop, {"eta": 0.05, "alpha": 0.99, "eps": 1e-8, "bias_correction": True}),
        (adam, {"eta": 0.05, "b1": 0.0, "b2": 0.99}),
    ),
    "eps in the root of rmsprop is eps_root of Adam": (
        (
            rmsprop,
            {"eta": 0.05, "alpha": 0.9, "eps": 1e-3, "eps_in_sqrt": True, "bias_correction": True},
        ),
        (adam, {"eta": 0.05, "b1": 0.0, "b2": 0.9, "eps": 0.0, "eps_root": 1e-3}),
    ),
    "eps in the root of adagrad is a larger start": (
        (adagrad, {"eta": 0.3, "eps": 0.1, "eps_in_sqrt": True}),
        (adagrad, {"eta": 0.3, "eps": 0.0, "initial_accumulator_value": 0.1}),
    ),
    "both ways to debias agree for a constant": (
        (adam, ADAM | {"b2": lambda t: 0.95, "product_debias": True}),
        (adam, ADAM | {"b2": 0.95}),
    ),
}


def _run(rule, arguments):
    return rule(problem.gradient, problem.start(), problem.STEPS, **arguments)


@pytest.mark.parametrize(("key", "rule", "arguments", "tolerance"), CASES)
def test_agrees_with_torch(key, rule, arguments, tolerance):
    """A transcription follows torch's recorded trajectory for 60 steps."""
    np.testing.assert_allclose(_run(rule, arguments), RECORDED[key], rtol=0, atol=tolerance)


@pytest.mark.parametrize(("left", "right"), EQUAL.values(), ids=EQUAL.keys())
def test_agree_with_each_other(left, right):
    """Rules that mathematics makes equal are equal."""
    np.testing.assert_allclose(_run(*left), _run(*right), rtol=0, atol=1e-10)


def test_first_step_is_step_zero():
    """A schedule is asked for 0, 1, 2, ... once a step, and its value is used in that step."""
    asked = []

    def rate(t):
        asked.append(t)
        return 0.3 / (1 + t)

    path = _run(sgd, {"eta": rate})
    g = problem.gradient(problem.start(), 0)
    assert asked == list(range(problem.STEPS))
    np.testing.assert_allclose(path[1], problem.start() - 0.3 * g, rtol=0, atol=1e-15)


def test_all_decays_differ():
    """The three decays and L2 are four algorithms: no two trajectories coincide."""
    schedule = lambda t: 1.0 / (1 + t / 20)  # noqa: E731
    eta = lambda t: 0.05 * schedule(t)  # noqa: E731
    paths = [
        _run(adamw, {"eta": eta, "lam": 0.1}),
        _run(adamw_independent, {"eta": eta, "lam": 0.1}),
        _run(adamw_scheduled, {"alpha": 0.05, "lam": 0.1, "schedule": schedule}),
        _run(adam_l2, {"eta": eta, "lam": 0.1}),
    ]
    for i, path in enumerate(paths):
        for other in paths[:i]:
            assert np.max(np.abs(path - other)) > 1e-3


def test_problem_is_what_it_says():
    """The problem is conditioned as stated, and its gradients change sign and spread in size."""
    path = RECORDED["sgd"]
    g = np.stack([problem.gradient(theta, t) for t, theta in enumerate(path[:-1])])
    sizes = np.median(np.abs(g), axis=0)
    assert 40 < np.linalg.cond(problem.H) < 60
    assert np.sum((g > 0).any(axis=0) & (g < 0).any(axis=0)) >= 4
    assert np.max(np.abs(g)) > 100 * np.min(sizes)
    np.testing.assert_array_equal(problem.join(problem.split(path[-1])), path[-1])


def test_recording_says_what_it_is():
    """Every recorded key has its arguments in `meta`, and its trajectory is whole."""
    assert META["package"] == "torch" and META["version"].startswith("2.13.0")
    assert set(META["cases"]) == set(RECORDED.files) - {"meta"}
    for key in META["cases"]:
        assert RECORDED[key].dtype == np.float64 and np.isfinite(RECORDED[key]).all()
        assert RECORDED[key].shape == ((61,) if key.startswith("lr/") else (61, 8))

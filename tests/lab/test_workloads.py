"""The twelve workloads."""

import json
from importlib import resources

import jax
import numpy as np
import pytest

import gdjax as gd
from gdjax.lab import cli_score, workloads
from gdjax.lab.trials import Contestant, attempt
from gdjax.lab.workloads import data

NAMES = list(workloads.WORKLOADS)


@pytest.mark.parametrize("name", NAMES)
def test_a_workload_is_learned_and_is_the_same_each_time(name):
    problem = workloads.workload(name)
    steps = 20 if name in ("charlm", "resnet8") else 60
    run = attempt(problem, Contestant("adam", steps, gd.adam(1e-2)), 0, 4)
    assert np.all(np.isfinite(run["losses"])) and min(run["losses"][1:]) < run["losses"][0]
    again = workloads.WORKLOADS[name]()
    assert (again.name, again.digest, again.steps) == (name, problem.digest, problem.steps)
    params = problem.init(jax.random.key(0))
    assert 400 < sum(x.size for x in jax.tree.leaves(params)) < 200_000


def test_targets_were_fixed_for_all():
    file = resources.files("gdjax.lab.workloads").joinpath("targets.json")
    found = json.loads(file.read_text("utf-8"))
    assert list(found) == NAMES == list(cli_score.NAMES)
    for name in NAMES:
        problem = workloads.workload(name)
        start = problem.loss(problem.init(jax.random.key(1)), None)
        assert problem.target == found[name]["target"] < float(start)
        # Runs keep five decimals of a loss: a target must not be one of their rounding.
        assert abs(problem.target) > 1e-3


# Others pass through sines, roots or products of matrices, whose last digits are the machine's.
@pytest.mark.parametrize("name", ["digits_network", "digits_convolution", "bandit", "graph"])
def test_targets_are_of_the_data_in_use(name):
    file = resources.files("gdjax.lab.workloads").joinpath("targets.json")
    found = json.loads(file.read_text("utf-8"))
    assert found[name]["digest"] == workloads.WORKLOADS[name]().digest


def test_a_name_that_is_none():
    with pytest.raises(ValueError, match="workload: name must be one of charlm, .*, got x"):
        workloads.workload("x")


SPLITS = (data.mnist1d, data.ratings, data.friedman, data.sparse, data.textures, data.digits)


@pytest.mark.parametrize("make", SPLITS, ids=lambda make: make.__name__)
def test_examples_that_validate_do_not_train(make):
    split = make()
    (x, y), (held, told) = split.training, split.validation
    assert len(x) == len(y) == split.train and len(held) == len(told) > split.train // 6
    assert len({row.tobytes() for row in np.asarray(split.inputs)}) == len(split.targets)
    if split.targets.dtype == np.int32:
        assert set(y) == set(range(10)) == set(told)


def test_mnist1d_is_as_hard_as_published():
    """Logistic regression is right on 32 % of the published signals, networks on 68 %."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    split = data.mnist1d()
    found = linear_model.LogisticRegression(max_iter=100).fit(*split.training)
    assert abs(found.score(*split.validation) - 0.32) < 0.045  # 3 deviations of 1000 examples
    np.testing.assert_allclose([split.inputs.mean(), split.inputs.std()], [0, 1], atol=1e-6)


def test_the_graph_is_normalized():
    """√degree is an eigenvector of the normalized adjacency, to 1."""
    joined, split = data.community()
    np.testing.assert_array_equal(joined, joined.T)
    values, vectors = np.linalg.eigh(joined.astype(float))
    assert abs(values[-1] - 1) < 1e-5 and len(split.targets) == len(joined)
    assert np.ptp(np.sign(vectors[:, -1])) == 0

"""The backtracking line search."""

from __future__ import annotations

import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.optimizers.line_search.lines import bowl, downhill, momentum, of_problem, one_search
from tests.oracles import problem
from tests.references import Agree, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    # Alone they search along the updates as they come, not along the descent.
    Row(gd.scale_by_backtracking_linesearch(20), bowl(-1)),
    Row(
        gd.chain(gd.sgd(1.0), gd.scale_by_backtracking_linesearch(20, store_grad=True)),
        bowl(1),
        label="chain-backtracking",
    ),
]


def backtracking(
    gradient,
    theta0,
    steps,
    *,
    loss,
    eta,
    direction=downhill,
    most=30,
    c1=1e-4,
    shorter=0.8,
    longer=1.5,
    longest=1.0,
    atol=0.0,
    rtol=0.0,
):
    """Armijo's rule, θ ← θ + η·u with u = eta·direction; no step where no length is good."""
    kept, direction = 1.0, direction()

    def step(theta, t):
        nonlocal kept
        g = gradient(theta, t)
        u, f = at(eta, t) * direction(theta, g), loss(theta, t)
        if g @ u >= 0:
            return theta
        kept = min(kept * longer, longest)
        for k in range(most + 1):
            kept = kept * shorter if k else kept
            if loss(theta + kept * u, t) <= f + kept * c1 * (g @ u) + rtol * abs(f) + atol:
                return theta + kept * u
        return theta

    return trajectory(theta0, steps, step)


def agree(options, tx=None, **arguments):
    """The search behind descent at a rate, against its transcription."""
    tx = gd.sgd(arguments["eta"]) if tx is None else tx
    tx = gd.chain(tx, gd.scale_by_backtracking_linesearch(**options))
    return Agree(tx, rule(backtracking, loss=problem.loss, **arguments), extra=of_problem)


AGREE = {
    "optax-backtracking": Agree(
        gd.chain(gd.sgd(2.0), gd.scale_by_backtracking_linesearch(40)),
        recorded("linesearch", "optax/backtracking"),
        extra=of_problem,
    ),
    "backtracking": agree({"max_backtracking_steps": 30}, eta=3.0),
    "backtracking-options": agree(
        dict(
            max_backtracking_steps=5,
            slope_rtol=0.3,
            decrease_factor=0.6,
            increase_factor=2.5,
            max_learning_rate=2.0,
            atol=0.003,
            rtol=0.002,
            store_grad=True,
        ),
        eta=1.0,
        most=5,
        c1=0.3,
        shorter=0.6,
        longer=2.5,
        longest=2.0,
        atol=0.003,
        rtol=0.002,
    ),
    "backtracking-momentum": agree(
        {"max_backtracking_steps": 2, "slope_rtol": 0.5},
        gd.sgd(1.0, 0.9),
        eta=1.0,
        direction=momentum,
        most=2,
        c1=0.5,
    ),
}


class TestBacktracking:
    def test_how_often(self):
        for most, tried in ((0, 1), (3, 4)):
            tx = gd.scale_by_backtracking_linesearch(most)
            _, state = one_search(tx, lambda x: 100.0 * x**2, at=1.0, direction=-200.0)
            assert state.info.num_linesearch_steps == tried and state.grad is None
            np.testing.assert_allclose(state.learning_rate, 0.8**most, rtol=1e-6)

    def test_from_the_greatest_each_time(self):
        tx = gd.scale_by_backtracking_linesearch(5, increase_factor=np.inf, max_learning_rate=3.0)
        assert one_search(tx, lambda x: -x, start=0.01)[0] == 3

    def test_tolerance_of_a_negative_loss(self):
        tx = gd.scale_by_backtracking_linesearch(5, rtol=0.5)
        assert one_search(tx, lambda x: 2 * (x - 1) ** 2 - 4, direction=2.2)[0] == 2.2

    def test_says_what_is_wrong(self):
        with pytest.raises(ValueError, match="max_backtracking_steps must be a Python integer"):
            gd.scale_by_backtracking_linesearch(-1)

"""A smaller rate on a plateau of the loss."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.oracles import problem
from tests.references import Agree, recorded, rule
from tests.transcription import at, trajectory
from tests.wrappers.shared import ONE

SGD = gd.sgd(0.1, momentum=0.9)
VALUE = {"value": jnp.asarray(1.0)}
ROWS = [
    # a metric, a worse point
    Row(gd.reduce_on_plateau(0.5, patience=1), VALUE),
    Row(
        gd.chain(SGD, gd.reduce_on_plateau(0.5, 0, 0.1, 0.01, 2, 2, 0.01)),
        VALUE,
        label="reduce_on_plateau-all",
    ),
]


def plateau(
    gradient,
    theta0,
    steps,
    *,
    eta=0.5,
    factor=0.7,
    patience=2,
    rtol=0.02,
    atol=0.003,
    cooldown=3,
    accumulate=1,
    low=0.05,
):
    """Descent whose rate falls when the loss, less 0.5, has not been better for a while."""
    scale, best, bad, rest, values = 1.0, np.inf, 0, 0, []

    def step(theta, t):
        nonlocal scale, best, bad, rest
        values.append(problem.loss(theta, t) - 0.5)
        if len(values) == accumulate:
            metric = np.mean(values)
            values.clear()
            need = 0.0 if np.isinf(best) else rtol * abs(best) + atol
            if metric < best - need:
                best, bad = metric, 0
            else:
                bad += 1
            if rest > 0:
                rest, bad = rest - 1, 0
            if bad > patience:
                scale, rest, bad = max(factor * scale, low), cooldown, 0
        return theta - at(eta, t) * scale * gradient(theta, t)

    return trajectory(theta0, steps, step)


def lower_value(params: Any, grads: Any, t: Any) -> dict[str, Any]:
    """The loss of the problem less 2, so that the metric has either sign."""
    theta = jnp.concatenate([jnp.ravel(params["w"]), params["b"]])
    noise = 0.1 * jnp.asarray(problem.NOISE)[t]
    quadratic = 0.5 * jnp.sum(theta * (jnp.asarray(problem.H) @ theta))
    return {"value": quadratic - jnp.sum((jnp.asarray(problem.C) - noise) * theta) - 0.5}


AGREE = {
    "numpy-plateau": Agree(
        gd.chain(gd.sgd(0.5), gd.reduce_on_plateau(0.7, 2, 0.02, 0.003, 3, 1, 0.05)),
        rule(plateau, accumulate=1),
        extra=lower_value,
    ),
    "numpy-plateau-accumulated": Agree(
        gd.chain(gd.sgd(0.5), gd.reduce_on_plateau(0.7, 0, 0.02, 0.003, 1, 2, 0.05)),
        rule(plateau, patience=0, cooldown=1, accumulate=2),
        extra=lower_value,
    ),
    "torch-plateau": Agree(
        gd.chain(gd.sgd(0.5), gd.reduce_on_plateau(0.7, 2, 0.0, 0.05, 3, 1, 0.05)),
        recorded("wrappers", "torch/reduce_on_plateau_abs"),
        extra=lower_value,
    ),
    "torch-plateau-relative": Agree(
        gd.chain(gd.sgd(0.5), gd.reduce_on_plateau(0.7, 1, 0.02, 0.0, 2, 1, 0.05)),
        recorded("wrappers", "torch/reduce_on_plateau_rel"),
        extra=lambda *args: {"value": 10.0 + lower_value(*args)["value"]},
    ),
}


def scales(metrics, **arguments):
    tx = gd.reduce_on_plateau(**{"factor": 0.5, "patience": 1, **arguments})
    state, found = tx.init(ONE), []
    for value in metrics:
        updates, state = tx.update(ONE, state, value=jnp.asarray(float(value)))
        found.append(float(updates[0]))
    return found


@pytest.mark.parametrize(
    "metrics, arguments, expected",
    [
        ([3, 2, 2, 2, 1, 1, 1], {}, [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
        # of a negative metric, a fall of one part in ten thousand is none either
        ([-1, -1.00001, -1.00002, -1.00003], {}, [1, 1, 0.5, 0.5]),
        ([-1, -1.1, -1.2, -1.3], {}, [1, 1, 1, 1]),
        ([-1, -1.1, -1.2, -1.3], {"rtol": 0.5}, [1, 1, 0.5, 0.5]),
        ([2, 1.9, 1.8], {"atol": 0.3}, [1, 1, 0.5]),
        ([1, 1, 1, 1, 1, 1], {"cooldown": 2}, [1, 1, 0.5, 0.5, 0.5, 0.5]),
        ([1] * 9, {"patience": 0, "min_scale": 0.3}, [1, 0.5] + [0.3] * 7),
        ([1, 1, 1], {"patience": 0, "min_scale": 2.0}, [1, 1, 1]),
        ([1, 3, 2, 2, 2, 2], {"accumulation_size": 2, "patience": 0}, [1, 1, 1, 0.5, 0.5, 0.25]),
        ([np.nan, np.nan, 1, 1], {}, [1, 0.5, 0.5, 0.5]),
    ],
)
def test_reduce_on_plateau(metrics, arguments, expected):
    np.testing.assert_allclose(scales(metrics, **arguments), expected, rtol=1e-6)


def test_the_metric_is_asked_for():
    tx = gd.chain(gd.sgd(0.1), gd.reduce_on_plateau())
    with pytest.raises(
        TypeError, match="reduce_on_plateau: update needs the extra argument 'value'"
    ):
        tx.update(ONE, tx.init(ONE))


def test_a_plateau_is_what_is_not_better_by_a_margin():
    for kinds in ({"rtol": 0.0, "atol": 0.1}, {"rtol": 0.1, "atol": 0.0}):
        tx = gd.reduce_on_plateau(factor=0.5, patience=0, **kinds)
        state = tx.init(jnp.zeros(1))
        for value, scale in ((1.0, 1.0), (0.85, 1.0), (0.8, 0.5)):
            _, state = tx.update(jnp.ones(1), state, value=jnp.asarray(value))
            assert float(state.scale) == scale, (kinds, value)


def test_before_the_first_value_the_mean_of_values_is_0():
    state = gd.reduce_on_plateau().init(jnp.zeros(1))
    assert state.avg_value == 0 and state.best_value == np.inf

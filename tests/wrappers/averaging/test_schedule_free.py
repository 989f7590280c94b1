"""The Schedule-Free wrapper."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.optimizers.schedule_free.test_schedule_free import schedule_free_sgd
from tests.references import both, halving, of_paper, real

ROWS = [
    Row(gd.schedule_free(gd.sgd(0.1), 0.1, b1=0.8, weight_lr_power=1.5)),
]


def rising(t):
    return 0.5 + 0.4 * real(t) / 60


AGREE = {
    # A rate and a share that move: the average comes from the share that y was made with.
    **both(
        "numpy-schedules",
        gd.schedule_free(gd.sgd(halving(0.4)), halving(0.4), b1=rising),
        of_paper(schedule_free_sgd, eta=halving(0.4), beta=rising),
    ),
}


def test_the_first_step_has_the_rate_of_step_0():
    """Not of step 1: a schedule moves the base and the weights together."""
    rates = lambda t: jnp.where(t == 0, 1.0, 0.5)
    tx, y = gd.schedule_free(gd.sgd(rates), rates, b1=0.5), jnp.zeros(1)
    y, state = tx.step(jnp.ones(1), tx.init(y), y)
    inner = state.inner_state
    assert inner.max_lr == inner.weight_sum == 1.0 and inner.z[0] == -1.0
    np.testing.assert_allclose(y, [-1.0])


def test_a_rate_of_zero_has_no_weight():
    tx, y = gd.schedule_free(gd.sgd(0.0), 0.0), jnp.ones(1)
    y, state = tx.step(jnp.ones(1), tx.init(y), y)
    assert y == 1.0 and state.weight_sum == 0.0

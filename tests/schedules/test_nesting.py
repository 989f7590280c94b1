"""Schedules inside of schedules and of optimizers."""

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from gdjax.schedules.join import join_schedules, warmup
from gdjax.schedules.warmup import (
    warmup_stable_decay_schedule,
)
from tests.schedules.rows import ROWS, STEPS


def test_join_asks_each_schedule_only_about_its_own_stretch():
    root = lambda step: jnp.sqrt(1 - step / 4)  # NaN after step 4
    inverse = lambda step: 1 / jnp.sqrt(2 + step)  # NaN before step −2
    steps = jnp.arange(-2, 30)
    value = lambda b: join_schedules([root, inverse], [b])(steps)
    assert np.isfinite(value(3.0)).all() and np.isfinite(jax.jacrev(value)(3.0)).all()


def test_functions_of_the_step_stand_where_schedules_do():
    steps = jnp.arange(6)
    np.testing.assert_allclose(warmup(lambda step: 0.5, 2)(steps), [0, 0.25, 0.5, 0.5, 0.5, 0.5])
    counted = warmup(lambda step: jnp.where(step < 2, 1, 2), 2)  # integers, which are widened
    np.testing.assert_allclose(counted(steps), [0, 0.5, 1, 1, 2, 2])


def test_warmup_in_front_of_each():
    for row in ROWS.values():
        inner = row.make()
        s = warmup(inner, 4, 0.0)
        np.testing.assert_allclose(s(STEPS + 4), inner(STEPS), rtol=1e-6)
        first = np.minimum(STEPS, 4)
        np.testing.assert_allclose(s(first), float(inner(0 * STEPS)[0]) * (first / 4), rtol=1e-6)


def test_it_drives_an_optimizer():
    tx = gd.sgd(warmup_stable_decay_schedule(1.0, 10, warmup=0.2, decay=0.4))
    state = tx.init(jnp.zeros([]))
    rates = []
    for _ in range(10):
        u, state = tx.update(jnp.ones([]), state)
        rates.append(-float(u))
    np.testing.assert_allclose(rates, [0, 0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])

"""ScheduleFree+ over any direction."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.optimizers.schedule_free.test_schedule_free_plus import above, schedule_free_plus
from tests.references import Agree, rule

VALUE = {"value": jnp.asarray(2.0)}
ROWS = [Row(gd.schedule_free_plus(gd.scale_by_sign(), 0.1), VALUE)]

SIGN = {"eta": 0.3, "beta": 0.8, "norm_beta": 0.7, "lam": 0.5}
AGREE = {
    f"numpy-schedule-free-plus-sign{'-answer' * answer}": Agree(
        gd.schedule_free_plus(gd.scale_by_sign(), 0.3, 0.8, 0.5, polyak_beta=0.7),
        rule(schedule_free_plus, direction=lambda g, t: np.sign(g), answer=answer, **SIGN),
        1e-12,
        extra=above,
        evaluate=answer,
    )
    for answer in (False, True)
}


def test_step_size_is_that_of_polyak():
    """One step of η = 1 along the sign: (f + 0) / (√(π/2)·‖g‖₁) of each entry."""
    tx, y = gd.schedule_free_plus(gd.scale_by_sign()), jnp.zeros(2)
    u, state = tx.update(jnp.array([3.0, -1.0]), tx.init(y), y, value=2.0)
    rate = 2 / (4 * np.sqrt(np.pi / 2))
    np.testing.assert_allclose(u, [-rate, rate], rtol=1e-6)
    np.testing.assert_allclose(gd.state.find(state, "max_lr"), rate, rtol=1e-6)


@pytest.mark.parametrize("value, grad", [(-1.0, 1.0), (0.0, 1.0), (5.0, 0.0), (1e8, 1e-6)])
def test_no_step_below_zero_or_without_a_gradient(value, grad):
    tx, y = gd.schedule_free_plus(gd.scale_by_sign()), jnp.ones(2)
    u, state = tx.update(jnp.full(2, grad), tx.init(y), y, value=value)
    np.testing.assert_array_equal(u, jnp.zeros(2))
    np.testing.assert_array_equal(gd.state.eval_params(tx, state, y), y)


def test_the_loss_goes_on_to_the_inner_transformation():
    tx, y = gd.schedule_free_plus(gd.scale_by_polyak()), jnp.ones(2)
    tx.update(jnp.ones(2), tx.init(y), y, value=1.0)
    with pytest.raises(TypeError, match="value"):
        tx.update(jnp.ones(2), tx.init(y), y)


def test_a_known_minimum_is_taken_off_the_loss():
    """The distance from a minimum of 5 falls as that from a minimum of 0."""
    gaps = []
    for least in (0.0, 5.0):
        tx, y = gd.schedule_free_plus(gd.scale_by_sign()), jnp.full(2, 3.0)
        state = tx.init(y)
        for _ in range(20):
            loss = 0.5 * jnp.sum(y**2) + least
            y, state = tx.step(y, state, y, value=loss - least)
        gaps.append(y)
    np.testing.assert_allclose(gaps[1], gaps[0], rtol=1e-4)
    assert np.abs(gaps[0]).max() < 1.0


def test_masked_parameters_do_not_decay():
    params = {"w": jnp.ones(1), "b": jnp.ones(1)}
    tx = gd.schedule_free_plus(gd.scale(0.0), weight_decay=0.5, mask=gd.by_path("w"))
    u, _ = tx.update(params, tx.init(params), params, value=2.0)
    np.testing.assert_allclose(u["w"], -0.5 * (2 / (2 * np.sqrt(np.pi / 2))) ** 2, rtol=1e-6)
    np.testing.assert_array_equal(u["b"], [0.0])

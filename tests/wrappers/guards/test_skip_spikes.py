"""Spikes of gradient and loss skipped."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row

VALUE = {"value": jnp.asarray(1.0)}
ROWS = [
    Row(gd.skip_spikes(gd.adam(1e-2), window=8), VALUE),
    Row(gd.skip_spikes(gd.sgd(0.1, 0.9), None, 4.0, patience=0), label="skip_spikes-norm"),
    Row(gd.skip_spikes(gd.adamw(0.1), 3.0, None), VALUE, label="skip_spikes-loss"),
]

# It decides whether a step is taken; test_faults says what must hold.
PLAIN = {"skip_spikes"}


def steps_of(tx, losses, norms=None):
    """The reason of each step, 0 where it was taken, and the last state."""
    params, state, reasons = jnp.zeros(1), tx.init(jnp.zeros(1)), []
    step = jax.jit(tx.step)
    for value, g in zip(losses, norms or [1.0] * len(losses)):
        params, state = step(jnp.full(1, g), state, params, value=jnp.asarray(value))
        reasons.append(int(state.reason))
    return reasons, params, state


def test_the_bound_is_so_many_deviations_over_the_mean():
    """Of the window's last steps that were taken, as NumPy has them."""
    rng = np.random.default_rng(3)
    losses = rng.normal(2.0, 0.3, size=60)
    losses[[30, 45]] = 2.6, 9.0
    window, c, taken, expected = 16, 1.5, [], []
    for x in losses:
        last = np.asarray(taken[-window:])
        out = len(taken) >= window // 4 and x > last.mean() + c * last.std()
        expected.append(int(out))
        taken += [] if out else [x]
    tx = gd.skip_spikes(gd.sgd(0.1), c, None, window)
    reasons, params, state = steps_of(tx, losses.tolist())
    assert reasons == expected and 2 < sum(expected) < 30
    np.testing.assert_allclose(params, [-0.1 * len(taken)], rtol=1e-5)
    assert int(state.count) == len(taken) and int(state.skipped) == sum(expected)
    told = gd.state.metrics(state)
    np.testing.assert_allclose(told["loss_mean"], np.mean(taken[-window:]), rtol=1e-6)


def test_each_reason_is_told_and_each_test_may_be_off():
    steady = [1.0, 1.1, 0.9, 1.05]
    both = gd.skip_spikes(gd.sgd(0.1), window=8)
    tail = [9.0, 1.0, 1.0, jnp.nan, 1.0]
    norms = [1.0, 1.1, 0.9, 1.0, 1.0, 9.0, jnp.inf, 1.0, 1.0]
    assert steps_of(both, steady + tail, norms)[0] == [0] * 4 + [1, 2, 3, 3, 0]
    alone = gd.skip_spikes(gd.sgd(0.1), None, window=8)
    assert alone.extra_args == {} and both.extra_args == {"value": True}
    assert steps_of(alone, steady + tail, norms)[0] == [0] * 4 + [0, 2, 3, 0, 0]
    loss_only = gd.skip_spikes(gd.sgd(0.1), 6.0, None, window=8)
    assert steps_of(loss_only, steady + tail, norms)[0] == [0] * 4 + [1, 0, 3, 3, 0]
    with pytest.raises(TypeError, match="skip_spikes: update needs the extra argument 'value'"):
        both.update(jnp.ones(1), both.init(jnp.ones(1)))


def test_nothing_finite_is_skipped_before_enough_is_known():
    tx = gd.skip_spikes(gd.sgd(0.1), window=32)
    reasons, _, _ = steps_of(tx, [1.0] * 7 + [1e6, 1.0] + [jnp.nan])
    assert reasons == [0] * 9 + [3]
    assert steps_of(tx, [1.0] * 8 + [1e6])[0][-1] == 1


def test_rounding_of_a_run_that_stands_still_is_no_spike():
    tx = gd.skip_spikes(gd.sgd(0.1), window=8)
    assert steps_of(tx, [1.0] * 10 + [1.007, 1.005])[0] == [0] * 10 + [1, 0]


def test_a_new_level_is_skipped_only_for_a_while():
    tx = gd.skip_spikes(gd.sgd(0.1), window=8, patience=3)
    reasons, _, state = steps_of(tx, [1.0, 1.1] * 8 + [5.0, 5.1] * 8)
    assert reasons == [0] * 16 + [1] * 3 + [0] * 13
    assert 5.0 < float(gd.state.metrics(state)["loss_mean"]) < 5.1
    # Spikes between which there are steps do not add up, nor does what is not finite count.
    reasons, _, _ = steps_of(tx, [1.0, 1.1] * 8 + [5.0, 5.0, 1.0, 5.0, 5.0, jnp.nan, 5.0, 5.0])
    assert reasons[16:] == [1, 1, 0, 1, 1, 3, 1, 0]


def test_what_spikes_refuse():
    with pytest.raises(ValueError, match="window must be an integer of 4 or more, got 3"):
        gd.skip_spikes(gd.adam(0.1), window=3)
    with pytest.raises(ValueError, match="patience must be an integer of 0 or more, got -1"):
        gd.skip_spikes(gd.adam(0.1), patience=-1)


def test_means_of_a_ring_that_is_not_full():
    """What is not filled counts nothing: in the mean, and in the deviation that judges."""
    tx, params = gd.skip_spikes(gd.sgd(0.1), 3.0, None, window=8), jnp.ones(1)
    state = tx.init(params)
    for loss in (1.0, 3.0):
        _, state = tx.step(jnp.ones(1), state, params, value=jnp.asarray(loss))
    assert gd.state.metrics(state)["loss_mean"] == 2.0
    for loss, taken in ((4.9, True), (5.9, False)):  # 2 + 3·1 = 5
        _, after = tx.step(jnp.ones(1), state, params, value=jnp.asarray(loss))
        assert (after.reason == 0) == taken, loss


def test_what_stands_out_is_relative_to_the_level():
    for level in (1e-3, 1.0, 1e3):
        skipped = []
        for off in (0.9, 1.1):
            tx, x = gd.skip_spikes(gd.sgd(0.1), loss=6.0, norm=None, window=4), jnp.ones(1)
            state = tx.init(x)
            for loss in (*[level] * 4, level * (1 + off * 6e-3)):
                _, state = tx.update(x, state, x, value=jnp.asarray(loss))
            skipped.append(int(state.skipped))
        assert skipped == [0, 1]


def test_at_a_new_level_the_statistics_start_again():
    tx, x = gd.skip_spikes(gd.sgd(0.1), norm=None, window=4, patience=1), jnp.ones(1)
    state = tx.init(x)
    for loss, count in ((1.0, 1), (1.0, 2), (9.0, 2), (9.0, 1)):
        _, state = tx.update(x, state, x, value=jnp.asarray(loss))
        assert state.count == count
    assert state.losses[0] == 9

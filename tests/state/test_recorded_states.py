"""States that an earlier version saved: they restore bit for bit, and today's runs end in them."""

from __future__ import annotations

import numpy as np
import pytest

import gdjax as gd
from tests.state import record_states

RECORDED = record_states.recorded()
# The fixed basis of a null space is that of eigenvectors, which rounding turns by eps over the gap
# between their values: 3e-6 were seen between two ways to compile it. Another basis is off by 0.4.
CLOSE = {"soap": 1e-4}


def test_every_optimizer_is_recorded():
    missing = set(record_states.OPTIMIZERS) ^ set(RECORDED)
    assert not missing, f"{missing}: python -m tests.state.record_states"


@pytest.mark.parametrize("name", RECORDED)
def test_restores_bit_for_bit(name):
    tx, saved = record_states.OPTIMIZERS[name](), RECORDED[name]
    state, report = gd.state.from_dict(tx, record_states.params(), saved, strict=True)
    assert not report.changed and not report.new and not report.dropped
    again = gd.state.to_dict(tx, state)
    assert list(again) == list(saved)
    for key, value in saved.items():
        np.testing.assert_array_equal(again[key], value, strict=True, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_the_same_steps_end_there(name):
    """Counts and codes are the same; of floats the last bits depend on how XLA is called here."""
    tx, state = record_states.run(name)
    found, saved = gd.state.to_dict(tx, state), RECORDED[name]
    assert list(found) == list(saved)
    for key, value in saved.items():
        now = np.asarray(found[key])
        assert (now.dtype, now.shape) == (value.dtype, value.shape), key
        if "/basis/" in key:
            now = now * _signs(now, value)
        close = CLOSE.get(name, 1e-6) if np.issubdtype(value.dtype, np.floating) else 0
        np.testing.assert_allclose(now, value, rtol=close, atol=0.1 * close, err_msg=key)


def _signs(now, value):
    """1 or −1 for each eigenvector: which of the two LAPACK gives depends on the CPU."""
    return np.sign(np.sum(now * value, axis=-2, keepdims=True))


@pytest.mark.parametrize("name", RECORDED)
def test_goes_on_from_there(name):
    """A step from the restored state is a step from the state that was saved."""
    tx, state = record_states.run(name)
    restored, _ = gd.state.from_dict(tx, record_states.params(), gd.state.to_dict(tx, state))
    grads, params = record_states.gradient(record_states.STEPS), record_states.params()
    for x, y in zip(
        *(gd.state.to_dict(tx, tx.step(grads, s, params)[1]).values() for s in (state, restored))
    ):
        np.testing.assert_array_equal(x, y)

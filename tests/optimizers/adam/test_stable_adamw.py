"""StableAdamW."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, recorded, rule
from tests.transcription import at, blockwise, ema_of

ROWS = [
    Row(gd.stable_adamw(0.1, b2=0.95)),
    Row(gd.scale_by_stable_adam(0.9, 0.95)),
    Row(gd.scale_by_stable_adam(weight_decay=0.1), label="scale_by_stable_adam-decay"),
]


def stable_adamw(gradient, theta0, steps, *, eta, b1, b2, eps, lam):
    """Wortsman et al. 2023, algorithm 2: the rate of each tensor over max(1, RMS of g/√u)."""

    def debiased(beta, t):
        return beta * (1.0 - beta ** (t - 1)) / (1.0 - beta**t)

    def rule(w, g, kept, t):
        kept["v"] = v = ema_of(kept.get("v", 0.0), g, debiased(b1, t + 1))
        kept["u"] = u = ema_of(kept.get("u", 0.0), g * g, debiased(b2, t + 1))
        rms = np.sqrt(np.mean(g**2 / np.maximum(u, eps**2)))
        rate = at(eta, t) / max(1.0, rms)
        return w - rate * lam * w - rate * v / (np.sqrt(u) + eps)

    return blockwise(gradient, theta0, steps, rule)


STABLE = {"b1": 0.9, "b2": 0.95, "eps": 1e-3}
AGREE = {
    "torch-stable_adamw": Agree(
        gd.stable_adamw(0.05, **STABLE, weight_decay=0.1), recorded("modern", "torch/stable_adamw")
    ),
    "numpy-stable_adamw": Agree(
        gd.stable_adamw(0.05, 0.8, 0.9, 0.1, weight_decay=0.1),
        rule(stable_adamw, eta=0.05, b1=0.8, b2=0.9, eps=0.1, lam=0.1),
    ),
    "numpy-scale_by_stable_adam": Agree(
        descent(gd.scale_by_stable_adam(), eta=0.05),
        rule(stable_adamw, eta=0.05, b1=0.9, b2=0.99, eps=1e-8, lam=0.0),
    ),
}

# Defaults that the optimizer has and its parts have not.
ITS_OWN = {("stable_adamw", "weight_decay")}


def test_stable_adam_without_decay_needs_no_params():
    tx = gd.scale_by_stable_adam()
    assert tx.update(jnp.ones(2), tx.init(jnp.ones(2)))[0].shape == (2,)
    with pytest.raises(ValueError, match="update needs the parameters"):
        tx = gd.stable_adamw(0.1)
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_long_gradients_move_stable_adam_no_further():
    tx, params = gd.stable_adamw(1.0, b1=0.0, weight_decay=0.0), jnp.zeros(2)
    state = tx.init(params)
    for size in (1.0, 1.0, 1e4):
        updates, state = tx.update(jnp.full(2, size), state, params)
    np.testing.assert_allclose(updates, -1.0, rtol=1e-5)

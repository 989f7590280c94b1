"""Gradient centralization."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.oracles import problem
from tests.references import Agree, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.centralize(-1)),
]


def centralized_sgd(gradient, theta0, steps, *, eta, axis):
    """Yong et al. 2020: from each weight vector's gradient its mean. `axis` counts the vectors."""
    shape = problem.SHAPES["w"]

    def step(theta, t):
        g = gradient(theta, t)
        w = g[:6].reshape(shape)
        w = w - w.mean(axis=1 - axis, keepdims=True)
        return theta - at(eta, t) * np.concatenate([w.ravel(), g[6:]])

    return trajectory(theta0, steps, step)


AGREE = {
    "optax-centralize": Agree(
        gd.chain(gd.centralize(), gd.sgd(0.3)), recorded("modern", "optax/centralize")
    ),
    "numpy-centralize": Agree(
        gd.chain(gd.centralize(), gd.sgd(0.3)), rule(centralized_sgd, eta=0.3, axis=0)
    ),
    "numpy-centralize-last": Agree(
        gd.chain(gd.centralize(-1), gd.sgd(0.3)), rule(centralized_sgd, eta=0.3, axis=1)
    ),
}


def test_a_wrong_axis_raises():
    with pytest.raises(ValueError, match="must be"):
        gd.centralize(2).update(jnp.ones((2, 2)), gd.EmptyState())

"""Polyak's step size."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.oracles import problem
from tests.references import Agree, halving, recorded, rule, value
from tests.transcription import at, trajectory

VALUE = {"value": jnp.asarray(2.0)}
ROWS = [
    Row(gd.scale_by_polyak(0.0, 0.1), VALUE),
    Row(gd.polyak_sgd(0.1, f_min=1.0, variant="sps+"), VALUE),
]


def polyak(
    gradient, theta0, steps, *, loss, most=1.0, scaling=1.0, bound=0.0, eps=0.0, positive=False
):
    """Polyak's step bounded from above (Loizou et al. 2021), its positive part if asked for."""

    def step(theta, t):
        g, gap = gradient(theta, t), loss(theta, t) - bound
        gap = max(gap, 0.0) if positive else gap
        return theta - at(scaling, t) * min(gap / (g @ g + eps), most) * g

    return trajectory(theta0, steps, step)


def of_loss(function, **arguments):
    return rule(function, loss=problem.loss, **arguments)


AGREE = {
    "optax-polyak": Agree(
        gd.polyak_sgd(0.5, f_min=-2.0, eps=0.1),
        recorded("parameter_free", "optax/polyak"),
        extra=value,
    ),
    "optax-polyak_positive": Agree(
        gd.polyak_sgd(f_min=-0.5, eps=0.1, variant="sps+"),
        recorded("parameter_free", "optax/polyak_positive"),
        extra=value,
    ),
    "numpy-polyak": Agree(
        gd.polyak_sgd(0.5, halving(0.8), -2.0, 0.1),
        of_loss(polyak, most=0.5, scaling=halving(0.8), bound=-2.0, eps=0.1),
        extra=value,
    ),
    "numpy-polyak-positive": Agree(
        gd.chain(gd.scale_by_polyak(-0.5, 0.7, 0.1, "sps+"), gd.scale(-0.9)),
        of_loss(polyak, most=0.7, scaling=0.9, bound=-0.5, eps=0.1, positive=True),
        extra=value,
    ),
}


def test_polyak_meets_the_minimum_of_a_parabola():
    """On |x|² the step is half of the way; the scaling is a factor of it, and no divisor."""
    tx = gd.polyak_sgd(scaling=2.0)
    x = jnp.array([3.0, 4.0])
    updates, _ = tx.update(2 * x, tx.init(x), x, value=jnp.sum(x**2))
    np.testing.assert_allclose(x + updates, 0, atol=1e-6)


def test_a_polyak_step_needs_the_loss():
    with pytest.raises(TypeError, match="value"):
        gd.polyak_sgd().update(jnp.ones(2), gd.polyak_sgd().init(jnp.ones(2)))


def test_the_variant_is_checked():
    with pytest.raises(ValueError, match="variant must be"):
        gd.polyak_sgd(variant="sps-")

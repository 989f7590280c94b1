"""Grafting."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import first_update, single
from tests.optimizers.matrix.test_shampoo import shampoo
from tests.references import Agree, descent, rule

ROWS = [
    Row(gd.graft(gd.scale_by_sign(), gd.scale_by_adam())),
]

AGREE = {
    "numpy-graft": Agree(
        descent(gd.graft(gd.scale_by_shampoo(0.9), gd.scale_by_rss(eps=0.1)), eta=0.05),
        rule(shampoo, eta=0.05, b1=0.0, b2=0.9, kind="adagrad", graft_eps=0.1),
    ),
}


def test_graft_takes_a_direction_and_a_length():
    g = single(2, 3, 4)
    whole = first_update(gd.graft(gd.scale(5.0), gd.scale_by_sign()), {"w": g, "zero": 0 * g})
    np.testing.assert_allclose(whole["w"], g * 24**0.5 / jnp.linalg.norm(g), rtol=1e-5)
    assert not whole["zero"].any()
    tx = gd.graft(gd.scale(5.0), gd.scale_by_sign(), matrix_axes="n in out")
    each = g * 12**0.5 / jnp.sqrt(jnp.sum(g**2, (1, 2), keepdims=True))
    np.testing.assert_allclose(first_update(tx, g), each, rtol=1e-5)

"""The ratio of update to parameter."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.cases import Row

ROWS = [
    Row(gd.measure_update_ratio(gd.by_label(matrix="matrices", rest=True))),
]

# It looks on.
PLAIN = {"measure_update_ratio"}


def test_each_group_has_its_own_ratio():
    params = {"w": jnp.array([3.0, 4.0]), "b": jnp.array([2.0])}
    updates = {"w": jnp.array([0.0, 1.0]), "b": jnp.array([1.0])}
    tx = gd.measure_update_ratio(gd.by_label(bias="b", rest=True))
    _, state = tx.update(updates, tx.init(params), params)
    assert jax.tree.map(float, state.ratio) == pytest.approx({"bias": 0.5, "rest": 0.2})

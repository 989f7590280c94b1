"""Identity, scaling and stateless functions."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

import gdjax as gd
from gdjax.core.rule import tree
from tests.cases import Row


def sign(updates: Any, params: Any) -> Any:
    """The function of the `stateless` row: it has a name, so it pickles."""

    return tree.map(jnp.sign, updates)


ROWS = [
    Row(gd.identity()),
    Row(gd.set_to_zero(), descends=False),
    Row(gd.stateless(sign)),
    Row(gd.scale(-0.1)),
    Row(gd.scale_by_learning_rate(0.1)),
    Row(gd.scale_by_schedule(gd.exponential_decay(-0.1, 10, 0.5))),
]

# They pass, drop or call what they are given.
PLAIN = {"identity", "set_to_zero", "stateless"}

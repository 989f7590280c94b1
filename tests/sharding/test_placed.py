"""Matrices computed at a given placement."""

from __future__ import annotations

from jax.sharding import PartitionSpec

import gdjax as gd
from tests.cases import Row

ROWS = [
    Row(gd.sharding.placed(gd.chain(gd.ema(0.9), gd.orthogonalize()), PartitionSpec())),
]

# It changes where matrices are sent; tests/core/mesh/test_distribute.py says what must hold.
PLAIN = {"placed"}

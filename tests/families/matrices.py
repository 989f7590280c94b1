"""Matrices made orthogonal, and where that is done on a mesh."""

from __future__ import annotations

from jax.sharding import PartitionSpec

import gdjax as gd

from ..oracles.rules import matrices as rules
from ..row import Agree, Row, rule


def descent(*parts):
    return gd.chain(*parts, gd.scale_by_learning_rate(0.05))


ROWS = [
    Row(gd.orthogonalize()),
    Row(gd.orthogonalize("svd"), label="orthogonalize-svd"),
    Row(gd.orthogonalize("qdwh"), label="orthogonalize-qdwh"),
    Row(gd.orthogonalize("polar_express", 6, gram=True), label="orthogonalize-gram"),
    Row(gd.sharding.placed(gd.chain(gd.ema(0.9), gd.orthogonalize()), PartitionSpec())),
]

REFERENCE = rule(rules.polar, eta=0.05, beta=0.9)
AGREE = {
    "orthogonalize-svd": Agree(descent(gd.ema(0.9), gd.orthogonalize("svd")), REFERENCE),
    "orthogonalize-qdwh": Agree(descent(gd.ema(0.9), gd.orthogonalize("qdwh")), REFERENCE),
    "orthogonalize": Agree(descent(gd.ema(0.9), gd.orthogonalize("classical", 25, 0.0)), REFERENCE),
}

# It changes where matrices are sent; tests/test_dealing.py says what must hold.
PLAIN = {"placed"}

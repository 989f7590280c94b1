"""Compensated and split weights in 16 bits."""

from __future__ import annotations

import gdjax as gd
from tests.cases import Row

ADAM = gd.adam(1e-2)
ROWS = [
    Row(gd.compensated(ADAM)),
    Row(gd.with_split_weights(ADAM)),
    Row(gd.with_split_weights(ADAM, 3), label="with_split_weights-key"),
]

# To parameters in double precision they do nothing; test_sixteen_bits says what of others.
PLAIN = {"compensated", "with_split_weights"}

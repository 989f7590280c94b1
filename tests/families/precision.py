"""Parameters of 16 bits: rounded by chance, from float32 copies, or with what rounding lost."""

from __future__ import annotations

import gdjax as gd

from ..row import Row

ADAM = gd.adam(1e-2)

ROWS = [
    Row(gd.stochastic_rounding(ADAM, 3)),
    Row(gd.with_master_weights(ADAM)),
    Row(gd.with_master_weights(gd.with_ema(ADAM, 0.9)), label="with_master_weights-ema"),
    Row(gd.compensated(ADAM)),
    Row(gd.with_split_weights(ADAM)),
    Row(gd.with_split_weights(ADAM, 3), label="with_split_weights-key"),
]

AGREE = {}
# Of parameters in double precision they do nothing; tests/test_precision.py says what of others.
PLAIN = {"compensated", "stochastic_rounding", "with_master_weights", "with_split_weights"}

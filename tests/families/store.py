"""State in few bits, and state in the memory of the host."""

from __future__ import annotations

import gdjax as gd

from ..row import Row

ROWS = [
    Row(gd.store(gd.adamw(0.1, weight_decay=0.01), "8bit", block=4, min_size=1)),
    Row(gd.store(gd.adam(0.1), "bf16", min_size=1), label="store-bf16"),
    Row(gd.store(gd.adam(0.1), {"mu": "8bit-companded", "nu": "bf16"}, 2, 2), label="store-mixed"),
    Row(gd.store(gd.sgd(0.1, momentum=0.9), "8bit-linear", min_size=1), label="store-linear"),
    Row(gd.store(gd.muon(0.1), "8bit", min_size=1), label="store-muon"),
    Row(gd.offload(gd.adam(0.1), 1)),
    Row(gd.offload(gd.store(gd.adam(0.1), min_size=1), 2), label="offload-store"),
]

# They change how state is kept, not what is done with it; tests/test_store.py says what must hold.
PLAIN = {"offload", "store"}
AGREE = {}

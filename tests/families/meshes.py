"""States that are shared out among devices: without a mesh they are those of one device."""

from __future__ import annotations

import gdjax as gd

from ..row import Row

ROWS = [Row(gd.sharding.zero(gd.adamw(0.1)))]

# It changes where state is kept, not what is done with it; tests/test_zero.py says what must hold.
PLAIN = {"zero"}
AGREE = {}

"""The ratio of update to parameter."""

from __future__ import annotations

import gdjax as gd
from tests.cases import Row

ROWS = [
    Row(gd.measure_update_ratio(gd.by_label(matrix="matrices", rest=True))),
]

# It looks on.
PLAIN = {"measure_update_ratio"}

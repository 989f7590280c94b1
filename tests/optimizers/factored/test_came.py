"""CAME."""

from __future__ import annotations

import gdjax as gd
from tests.cases import Row
from tests.optimizers.factored.test_adafactor import rms, root_of_squares
from tests.references import Agree, descent, recorded, rule
from tests.transcription import at, blockwise

ROWS = [
    Row(gd.came(0.01, b3=0.99)),
    Row(gd.came(0.01, 0.8, 0.99, 0.95, weight_decay=0.1), label="came-decay"),
    Row(gd.scale_by_came(0.9, 0.99, 0.95)),
]


def came(gradient, theta0, steps, *, eta, b1, b2, b3, eps1=1e-30, eps2=1e-16, d=1.0, lam=0.0):
    """CAME (Luo et al. 2023, algorithm 2); vectors without the confidence, as the authors do."""

    def rule(w, g, kept, t):
        u = g / root_of_squares(g**2, kept, b2, eps1, "rc", w.ndim == 2)
        u = u / max(1.0, rms(u) / d)
        kept["m"] = m = b1 * kept.get("m", 0.0) + (1 - b1) * u
        if w.ndim == 2:
            m = m / root_of_squares((u - m) ** 2, kept, b3, eps2, "RC", True)
        return w - at(eta, t) * (m + lam * w)

    return blockwise(gradient, theta0, steps, rule)


AGREE = {
    "numpy-came": Agree(gd.came(0.005), rule(came, eta=0.005, b1=0.9, b2=0.999, b3=0.9999)),
    "numpy-came-all": Agree(
        gd.came(0.01, 0.8, 0.99, 0.95, 0.01, 0.02, 0.3, weight_decay=0.1),
        rule(came, eta=0.01, b1=0.8, b2=0.99, b3=0.95, eps1=0.01, eps2=0.02, d=0.3, lam=0.1),
    ),
    "numpy-scale_by_came": Agree(
        descent(gd.scale_by_came(), eta=0.005), rule(came, eta=0.005, b1=0.9, b2=0.999, b3=0.9999)
    ),
    "pytorch_optimizer-came": Agree(
        gd.came(0.01, 0.8, 0.99, 0.95, clipping_threshold=0.7, weight_decay=0.1),
        recorded("factored", "pytorch_optimizer/came"),
    ),
}

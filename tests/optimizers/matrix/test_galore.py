"""GaLore."""

from __future__ import annotations

import jax
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, recorded, rule
from tests.transcription import adam_direction, adamw_of_tensor, at, by_tensor

ROWS = [
    Row(gd.galore(0.05, rank=1)),
    Row(gd.scale_by_galore(1, 2, 0.5)),
]


def galore(gradient, theta0, steps, *, eta, rank, gap, alpha, b1=0.9, b2=0.999, eps=1e-8, lam=0.0):
    """GaLore with Adam (Zhao et al. 2024, algorithm 2) of the block w [2, 3], Adam of b.

    The largest entry of each direction is positive: the paper leaves the sign open.
    """
    adam, directions = adam_direction(b1, b2, eps), None

    def projected(w, g, t):
        nonlocal directions
        if t % gap == 0:
            directions = np.linalg.svd(g)[0][:, :rank]
            for k in range(rank):
                largest = directions[np.argmax(np.abs(directions[:, k])), k]
                directions[:, k] *= np.sign(largest)
        u = alpha * directions @ adam(directions.T @ g, t)
        return w - at(eta, t) * (u + lam * w)

    b = adamw_of_tensor(eta, b1, b2, eps, lam)
    return by_tensor(gradient, theta0, steps, w=projected, b=b)


AGREE = {
    "numpy-galore": Agree(
        gd.galore(0.05, 1, 7, 0.25, weight_decay=0.1),
        rule(galore, eta=0.05, rank=1, gap=7, alpha=0.25, lam=0.1),
    ),
    "numpy-galore-base": Agree(
        gd.galore(0.05, 2, 200, inner=gd.scale_by_adam(0.8, 0.99, 1e-3)),
        rule(galore, eta=0.05, rank=2, gap=200, alpha=1.0, b1=0.8, b2=0.99, eps=1e-3),
    ),
    "numpy-scale_by_galore": Agree(
        descent(gd.scale_by_galore(1, 20), eta=0.05),
        rule(galore, eta=0.05, rank=1, gap=20, alpha=1.0),
    ),
    # It rounds its directions to float32.
    "pytorch_optimizer-galore": Agree(
        gd.galore(0.05, 1, 100, 0.25, gd.scale_by_adam(eps=1e-30)),
        recorded("factored", "pytorch_optimizer/galore"),
        1e-6,
    ),
}


def test_galore_of_full_rank_and_linear_base_is_the_base():
    g = jax.random.normal(jax.random.key(0), (4, 6))
    tx = gd.scale_by_galore(4, inner=gd.scale(2.0))
    for x in (g, g.T):
        np.testing.assert_allclose(tx.update(x, tx.init(x))[0], 2 * x, rtol=2e-5, atol=1e-6)

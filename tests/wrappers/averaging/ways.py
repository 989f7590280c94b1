"""What the tests of averages share: a small problem, and transformations that average."""

from __future__ import annotations

import functools

import jax.numpy as jnp

import gdjax as gd
from tests.helpers import close as same
from tests.helpers import run

SGD = gd.sgd(0.1)
EMA = gd.with_ema(SGD, 0.5)
MATRICES = gd.by_label(matrix="matrices", rest=True)
CURVATURE = jnp.array([[1.0, 0.5], [0.2, 0.1]])


def start():
    return {"w": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "b": jnp.array([0.5, -1.0])}


def slope(params):
    return {"w": CURVATURE * params["w"], "b": params["b"] - 2.0}


def way(tx, steps=6, params=None, stepped=True):
    """The points trained and those to evaluate at, each stacked."""
    params = start() if params is None else params
    found = run(tx, lambda p, t: slope(p), params, steps, by="step" if stepped else "update")
    return found.path, found.seen


close = functools.partial(same, rtol=1e-5, atol=1e-6)  # of float32, of numbers of size 1

KEEPERS = {
    "ema": EMA,
    "ema-schedule": gd.with_ema(SGD, lambda t: 0.5 + 0.1 * t.astype(float)),
    "swa": gd.with_swa(SGD, 2, 2),
    "polynomial": gd.with_polynomial_averaging(SGD),
    "lookahead": gd.lookahead(SGD, 2, 0.5),
    "schedule_free": gd.schedule_free_sgd(0.1, 2),
    "primal_averaging": gd.generalized_primal_averaging(SGD, 0.8, 0.6),
    "sam": gd.sam(SGD, gd.sgd(0.05)),
    "ema-of-lookahead": gd.with_ema(gd.lookahead(SGD, 2, 0.5), 0.5),
}

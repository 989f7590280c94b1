"""Parameters and updates of any exponents, for the tests of 16 bits."""

from __future__ import annotations

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import gdjax as gd

HALVES = {jnp.bfloat16: ml_dtypes.bfloat16, jnp.float16: np.float16}


both_halves = pytest.mark.parametrize("dtype", HALVES)


def pairs(dtype, seed=0, n=100_000):
    """Parameters and float32 updates of any exponents; a third of the sums nearly cancel."""
    rng = np.random.default_rng(seed)
    reach = 100 if dtype == jnp.bfloat16 else 12
    draw = lambda m, low, high: rng.standard_normal(m) * 2.0 ** rng.integers(low, high, m)
    p = draw(n, -reach, reach).astype(np.float32).astype(HALVES[dtype])
    wide = p.astype(np.float32)
    u = draw(n, -reach, reach).astype(np.float32)
    near = (-wide * (1 + draw(n, -26, 1))).astype(np.float32)
    also = (wide * draw(n, -14, 2)).astype(np.float32)
    u = np.select([np.arange(n) % 3 == 0, np.arange(n) % 3 == 1], [near, also], u)
    known = (wide + u == 0) | (np.abs(wide + u) >= 2.0**-119)  # as far down as is promised
    return p[known], u[known]


def rounded(x, dtype):
    with np.errstate(over="ignore"):
        return np.asarray(x, np.float32).astype(HALVES[dtype])


given = gd.stateless(lambda g, p: g)  # the gradients are the updates

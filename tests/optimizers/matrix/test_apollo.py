"""APOLLO and APOLLO-Mini."""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.optimizers.matrix.low_rank import limiter, plain_adam
from tests.references import Agree, descent, recorded, recordings, rule
from tests.transcription import adam_direction, at, by_tensor

ROWS = [
    Row(gd.apollo(0.05, rank=1)),
    Row(gd.scale_by_apollo(1, 2, 0.5, 1.1, key=3)),
    Row(gd.apollo_mini(0.01)),
    Row(gd.scale_by_apollo_mini(2.0, 2, 1.1, key=3)),
]


def drawn(period, rank):
    """The projection of the block w in a period, from the key 0."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), period), zlib.crc32(b"w"))
    return np.asarray(jax.random.normal(key, (rank, 2), jnp.float64)) / np.sqrt(rank)


def apollo(gradient, theta0, steps, *, eta, rank, gap, axis, alpha, lam=0.0, code=None):
    """APOLLO (Zhu et al. 2024, algorithm 1) of the block w [2, 3], Adam of b.

    `axis` is 0 for APOLLO and None for APOLLO-Mini. With `code`, a function that returns the
    projections that it drew, as in the authors' code without bias corrections.
    """
    make, project, guard = (plain_adam, code, 1e-8) if code else (adam_direction, drawn, 0.0)
    of_w, of_b, limited = make(), make(), limiter(1.01, alpha * guard)

    def scaled(w, g, t):
        r = project(t // gap, rank) @ g
        s = np.linalg.norm(of_w(r, t), axis=axis) / (np.linalg.norm(r, axis=axis) + guard)
        return w - at(eta, t) * (limited(alpha * g * s) + lam * w)

    b = lambda w, g, t: w - at(eta, t) * (of_b(g, t) + lam * w)
    return by_tensor(gradient, theta0, steps, w=scaled, b=b)


CHANNEL = {"rank": 2, "gap": 7, "axis": 0, "alpha": 2.0, "lam": 0.1}
TENSOR = {"rank": 1, "gap": 7, "axis": None, "alpha": 128**0.5, "lam": 0.1}
AGREE = {
    "numpy-apollo": Agree(
        gd.apollo(0.05, 2, 7, 2.0, weight_decay=0.1), rule(apollo, eta=0.05, **CHANNEL)
    ),
    "numpy-apollo_mini": Agree(
        gd.apollo_mini(0.01, every=7, weight_decay=0.1), rule(apollo, eta=0.01, **TENSOR)
    ),
    "numpy-scale_by_apollo": Agree(
        descent(gd.scale_by_apollo(1, 20), eta=0.05),
        rule(apollo, eta=0.05, **CHANNEL | {"rank": 1, "gap": 20, "alpha": 1.0, "lam": 0.0}),
    ),
}


# Of the authors' code, for the transcription: it draws other projections.
PATHS = {
    "apollo": (recorded("low_rank", "apollo_torch/apollo"), CHANNEL),
    "apollo_mini": (recorded("low_rank", "apollo_torch/apollo_mini"), TENSOR),
}


@pytest.mark.parametrize("name", PATHS)
def test_the_transcription_is_the_authors_code(name):
    """With the projections that it drew, and 1e-8 added to norms that it divides by."""
    path, case = PATHS[name]
    of_period = recordings("low_rank")[f"apollo_torch/{name}/drawn"]
    code = lambda period, rank: of_period[period].T
    got = rule(apollo, eta=0.05, **case | {"lam": 0.0, "code": code})()
    np.testing.assert_allclose(got, path(), rtol=1e-10, atol=1e-10)


def test_projections_change_with_the_period_and_the_path():
    """With a linear inner transformation of sign, the factors show the projection."""
    tx = gd.scale_by_apollo(2, every=2, inner=gd.scale_by_sign(), max_growth=np.inf)
    g = {name: jax.random.normal(jax.random.key(0), (4, 6)) for name in ("a", "b")}
    state, seen = tx.init(g), []
    for _ in range(3):
        u, state = tx.update(g, state)
        seen.append(u)
    np.testing.assert_array_equal(seen[0]["a"], seen[1]["a"])
    assert not np.allclose(seen[0]["a"], seen[2]["a"])
    assert not np.allclose(seen[0]["a"], seen[0]["b"])
    np.testing.assert_allclose(np.sign(seen[0]["a"]), np.sign(g["a"]))  # scaled, not turned


def test_state_of_apollo_mini_is_two_rows_for_each_matrix():
    params = jnp.ones((64, 256))
    nbytes = sum(x.nbytes for x in jax.tree.leaves(gd.apollo_mini(1e-3).init(params)))
    assert nbytes == 4 * (2 * 256 + 1) + 4 * 2 + 8  # moments, norm; two counts, the key


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"every": 0}], ids=str)
@pytest.mark.parametrize("make", [gd.apollo, gd.fira, gd.galore], ids=lambda m: m.__name__)
def test_counts_are_positive(make, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{make.__name__}: {name} must be 1 or more"):
        make(0.1, **wrong)

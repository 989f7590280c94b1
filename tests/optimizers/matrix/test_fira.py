"""Fira."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.optimizers.matrix.low_rank import limiter, plain_adam_scaling
from tests.references import Agree, descent, recorded, rule
from tests.transcription import adam_direction, adamw_of_tensor, at, by_tensor

ROWS = [
    Row(gd.fira(0.05, rank=1)),
    Row(gd.scale_by_fira(1, 2, 1.1)),
]


def fira(gradient, theta0, steps, *, eta, rank, gap, most=1.01, eps=1e-8, lam=0.0):
    """Fira with Adam (Chen et al. 2024) of the block w [2, 3], Adam of b."""
    adam, limited, directions = adam_direction(eps=eps), limiter(most), None

    def projected(w, g, t):
        nonlocal directions
        if t % gap == 0:
            directions = np.linalg.svd(g)[0][:, :rank]
            largest = directions[np.argmax(np.abs(directions), 0), np.arange(rank)]
            directions = directions * np.sign(largest)
        r = directions.T @ g
        n = adam(r, t)
        rest = (g - directions @ r) * (np.linalg.norm(n, axis=0) / np.linalg.norm(r, axis=0))
        return w - at(eta, t) * (directions @ n + limited(rest) + lam * w)

    return by_tensor(gradient, theta0, steps, w=projected, b=adamw_of_tensor(eta, eps=eps, lam=lam))


AGREE = {
    "numpy-fira": Agree(
        gd.fira(0.05, 1, 7, 1.1, weight_decay=0.1),
        rule(fira, eta=0.05, rank=1, gap=7, most=1.1, lam=0.1),
    ),
    "numpy-scale_by_fira": Agree(
        descent(gd.scale_by_fira(1, 20, inner=gd.scale_by_adam(eps=1e-3)), eta=0.05),
        rule(fira, eta=0.05, rank=1, gap=20, eps=1e-3),
    ),
    # It rounds its directions to float32, and adds 1e-8 to norms that it divides by.
    "fira-fira": Agree(
        gd.fira(0.05, 1, 100, inner=plain_adam_scaling()),
        recorded("low_rank", "fira/fira"),
        1e-6,
    ),
}


def test_of_full_rank_it_is_galore():
    g = jax.random.normal(jax.random.key(0), (4, 6))
    for x in (g, g.T):
        ours, galore = gd.scale_by_fira(4), gd.scale_by_galore(4)
        got, want = (tx.update(x, tx.init(x))[0] for tx in (ours, galore))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [gd.scale_by_fira, gd.scale_by_apollo], ids=lambda m: m.__name__)
def test_growth_is_limited_after_a_step_that_was_not_zero(make):
    """A limit in the step after zeros would be zero for ever."""
    tx, g = make(1, inner=gd.identity()), jnp.asarray([[1.0, 2.0], [3.0, -1.0]])
    state, sizes = tx.init(g), []
    for factor in (0.0, 1.0, 5.0, 1.0):
        _, state = tx.update(factor * g, state)
        sizes.append(float(state.norm))
    assert sizes[0] == 0 and sizes[1] > 0.5
    np.testing.assert_allclose(sizes[2:], [1.01 * sizes[1], sizes[1]], rtol=1e-5)
    free = make(1, inner=gd.identity(), max_growth=np.inf)
    state = free.init(g)
    for factor in (1.0, 5.0):
        before = state.norm
        _, state = free.update(factor * g, state)
    np.testing.assert_allclose(state.norm, 5 * before, rtol=1e-5)


@pytest.mark.parametrize("make", [gd.fira, gd.apollo], ids=lambda m: m.__name__)
def test_a_stack_is_its_matrices(make):
    """Each matrix of a stack has a limit of its own; the projection of APOLLO is drawn for all."""
    stack = jax.random.normal(jax.random.key(1), (3, 4, 6))
    tx = make(0.1, rank=4, matrix_axes="n in out")
    state = tx.init(stack)
    assert state[0].norm.shape == (3,)
    for factor in (1.0, jnp.asarray([1.0, 9.0, 1.0])[:, None, None]):
        got, state = tx.update(factor * stack, state, stack)
    assert got.shape == stack.shape
    if make is gd.fira:
        for i in range(3):
            one = make(0.1, rank=4)
            own = one.init(stack[i])
            for factor in (1.0, (1.0, 9.0, 1.0)[i]):
                want, own = one.update(factor * stack[i], own, stack[i])
            np.testing.assert_allclose(got[i], want, rtol=1e-4, atol=1e-5)

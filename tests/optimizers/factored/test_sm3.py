"""SM3."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, halving, recorded, rule
from tests.transcription import at, blockwise

ROWS = [
    Row(gd.sm3(0.1)),
    Row(gd.scale_by_sm3(0.9)),
    Row(gd.scale_by_sm3(0.9, 0.99, 1e-6), label="scale_by_sm3-forgets"),
]


def sm3(gradient, theta0, steps, *, eta, beta, b2=1.0, eps=0.0):
    """SM3-II (Anil et al. 2019) with rows and columns as cover, and momentum (section 5)."""

    def rule(w, g, kept, t):
        axes = [kept.get(r, np.zeros(n)) for r, n in enumerate(w.shape)]
        fresh = [np.zeros(n) for n in w.shape]
        u = np.zeros_like(w)
        for i in np.ndindex(w.shape):
            old = min(axis[k] for axis, k in zip(axes, i))
            nu = old + g[i] ** 2 if b2 == 1 else b2 * old + (1 - b2) * g[i] ** 2
            u[i] = g[i] / np.sqrt(nu + eps)
            for axis, k in zip(fresh, i):
                axis[k] = max(axis[k], nu)
        kept.update(enumerate(fresh))
        kept["m"] = beta * kept.get("m", 0.0) + (1 - beta) * u
        return w - at(eta, t) * kept["m"]

    return blockwise(gradient, theta0, steps, rule)


AGREE = {
    "numpy-sm3": Agree(gd.sm3(halving(0.05)), rule(sm3, eta=halving(0.05), beta=0.9, eps=1e-8)),
    "numpy-sm3-momentum": Agree(gd.sm3(0.1, 0.5), rule(sm3, eta=0.1, beta=0.5, eps=1e-8)),
    "numpy-scale_by_sm3": Agree(
        descent(gd.scale_by_sm3(0.8, 0.9, 0.1), eta=0.1),
        rule(sm3, eta=0.1, beta=0.8, b2=0.9, eps=0.1),
    ),
    "pytorch_optimizer-sm3": Agree(
        gd.chain(gd.scale_by_sm3(0.8, eps=1e-30), gd.scale_by_learning_rate(0.1)),
        recorded("factored", "pytorch_optimizer/sm3"),
    ),
}


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4)])
def test_sm3_has_an_accumulator_for_each_axis(shape):
    tx = gd.sm3(0.1, momentum=0.0)
    params = jnp.ones(shape)
    state = tx.init(params)
    assert [m.shape for m in state[0].mu] == ([(n,) for n in shape] or [()])
    for t in (1, 2):  # equal gradients: the bound is the sum itself
        updates, state = tx.update(jnp.full(shape, 2.0), state)
        np.testing.assert_allclose(updates, np.full(shape, -0.1 / t**0.5), rtol=1e-6)


def test_sm3_adds_up_where_a_traced_decay_is_one():
    g = jnp.array([[1.0, 2.0], [3.0, 4.0]])

    def first(b2):
        tx = gd.scale_by_sm3(0.0, b2)
        return tx.update(g, tx.init(g))[0]

    for b2 in (1.0, 0.9):
        np.testing.assert_allclose(jax.jit(first)(b2), first(b2), rtol=1e-6)

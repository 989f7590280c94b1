"""Matrices of one shape in batches, as on a GPU, or in a loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.helpers import single

IN_BATCHES = [
    gd.muon(0.1),
    gd.normuon(0.1),
    gd.dion2(0.1, 0.5),
    gd.soap(0.1, every=2),
    gd.shampoo(0.1, every=2),
    gd.kl_shampoo(0.1, every=2),
    gd.kron(0.1),
]


@pytest.mark.parametrize("tx", IN_BATCHES, ids=lambda tx: tx.name)
def test_a_batch_is_as_a_loop(tx, monkeypatch):
    """As on a GPU: the same numbers, and what is done every few steps is under a condition."""
    params = {"a": single(4, 6), "b": single(4, 6, seed=1), "c": single(6, seed=2)}

    def run():
        step = jax.jit(lambda g, s, p: tx.update(g, s, p))
        state = tx.init(params)
        for i in range(3):
            grads = {name: jnp.cos(p + i) for name, p in params.items()}
            updates, state = step(grads, state, params)
        return updates, state, str(jax.make_jaxpr(lambda *a: tx.update(*a))(params, state, params))

    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    *looped, program = run()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    *batched, other = run()
    for x, y in zip(jax.tree.leaves(batched), jax.tree.leaves(looped), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)
    assert other != program
    rolled = lambda text: text.count("scan[") + text.count("while[")
    assert rolled(other) < rolled(program)
    if "every" in tx.arguments or tx.name == "kron":
        assert other.count("cond[") == program.count("cond[") > 0

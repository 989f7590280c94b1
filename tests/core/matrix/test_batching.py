"""Matrices of one shape in a loop, as on a CPU, or in a batch, as elsewhere."""

from __future__ import annotations

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.helpers import single

IN_BATCHES = [
    gd.muon(0.1),
    gd.normuon(0.1),
    gd.dion2(0.1, 0.5),
    gd.muown(0.1),
    gd.namo(0.1),
    gd.dion3(0.1, 0.5),
    gd.aurora(0.1),
    gd.soap(0.1, every=2),
    gd.shampoo(0.1, every=2),
    gd.kl_shampoo(0.1, every=2),
    gd.kron(0.1),
]


@pytest.fixture
def elsewhere(monkeypatch):
    """What other platforms than a CPU run, run here; what was traced before is forgotten."""
    chosen = lambda *args, default, **others: default(*args)

    def choose():
        monkeypatch.setattr(jax.lax, "platform_dependent", chosen)
        jax.clear_caches()

    yield choose
    jax.clear_caches()


@pytest.mark.parametrize("tx", IN_BATCHES, ids=lambda tx: tx.name)
def test_a_batch_is_as_a_loop(tx, elsewhere):
    params = {"a": single(4, 6), "b": single(4, 6, seed=1), "c": single(6, seed=2)}

    def run():
        step = jax.jit(lambda g, s, p: tx.update(g, s, p))
        state = tx.init(params)
        for i in range(3):
            grads = {name: jnp.cos(p + i) for name, p in params.items()}
            updates, state = step(grads, state, params)
        return updates, state

    looped = run()
    elsewhere()
    batched = run()
    program = str(jax.make_jaxpr(tx.update)(params, tx.init(params), params))
    # What is done every few steps stays under a condition.
    assert ("cond[" in program) == ("every" in tx.arguments or tx.name == "kron")
    for x, y in zip(jax.tree.leaves(batched), jax.tree.leaves(looped), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("tx", IN_BATCHES, ids=lambda tx: tx.name)
def test_a_loop_is_for_a_cpu_alone(tx):
    """The platform is that which a program is lowered for."""
    params = {"a": single(4, 6), "b": single(4, 6, seed=1)}
    traced = jax.jit(lambda g, s, p: tx.update(g, s, p)).trace(params, tx.init(params), params)
    texts = [traced.lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "tpu")]
    here, there = (text.count("stablehlo.while") for text in texts)
    assert there < here


def test_both_forms_in_one_export():
    tx, params = gd.muon(0.1), {"a": single(4, 6), "b": single(4, 6, seed=1)}
    step = jax.jit(lambda g, s: tx.update(g, s, params)[0])
    exported = jax.export.export(step, platforms=("cpu", "tpu"))(params, tx.init(params))
    found = exported.call(params, tx.init(params))
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(step(params, tx.init(params)))):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7)


def test_a_batch_inside_of_vmap_and_grad(elsewhere):
    """Derivatives go through the choice, alone and under vmap, and agree between its branches."""
    a, b = single(2, 3, 5), single(2, 3, 5, seed=1)
    tx = gd.orthogonalize()

    def f(a, b):
        updates, _ = tx.update({"a": a, "b": b}, gd.EmptyState())
        return jnp.sum(jnp.sin(updates["a"])) + jnp.sum(updates["b"] ** 3)

    slopes = lambda: (jax.vmap(jax.grad(f))(a, b), jax.jit(jax.grad(f, 1))(a[0], b[0]))
    looped = slopes()
    elsewhere()
    for x, y in zip(jax.tree.leaves(slopes()), jax.tree.leaves(looped), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)

"""Decompositions of many matrices, in a batch and one after another."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.matrix import in_turn, inverse_roots
from tests.helpers import normal

# A function of positive matrices [..., m, m], and the calls that it becomes on a GPU.
DECOMPOSE = {
    "next_basis": (lambda a: inverse_roots.next_basis(a, a)[0], r"geqrf|orgqr|Householder"),
    "eigenbasis": (inverse_roots.eigenbasis, "syevd"),
    "inverse_root": (lambda a: inverse_roots.inverse_root(a, 4), "syevd"),
}
LARGE = in_turn.SMALL + 1
HOW = {"stack": lambda f: f, "vmap": jax.vmap, "both": lambda f: jax.vmap(lambda a: f(a[None])[0])}


def calls(f, a, platform, pattern):
    """The first result of each call in the program, as a shape: '12x300x300xf32'."""
    text = jax.jit(f).trace(a).lower(lowering_platforms=(platform,)).as_text()
    lines = [line for line in text.splitlines() if re.search(f"custom_call @.*({pattern})", line)]
    return {re.search(r"-> (?:\()?tensor<([^>]*)>", line)[1] for line in lines}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", DECOMPOSE)
def test_large_matrices_go_one_by_one_on_a_gpu(name, how):
    """And small ones in a batch, as all do on a CPU."""
    f, pattern = DECOMPOSE[name]
    of = lambda n: jax.ShapeDtypeStruct((3, n, n), jnp.float32)
    n, m = LARGE, in_turn.SMALL
    shapes = lambda side, platform: {
        tuple(s for s in x.split("x")[:-1] if s != "1")
        for x in calls(HOW[how](f), of(side), platform, pattern)
    }
    assert shapes(n, "cuda") == {(str(n), str(n))}
    assert shapes(m, "cuda") == {("3", str(m), str(m))}
    assert shapes(n, "cpu") == {("3", str(n), str(n))}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", DECOMPOSE)
def test_one_by_one_is_as_a_batch(name, how, monkeypatch, x64):
    """As on a GPU: the same numbers, and the same derivatives of first and second order."""
    b = normal(3, 5, 5)
    a = jnp.asarray(b @ b.mT + np.diag(np.arange(5.0)))
    f = HOW[how](DECOMPOSE[name][0])
    curve = jax.jit(lambda a: jax.jvp(jax.grad(lambda a: jnp.sum(f(a) ** 3)), (a,), (a,)))

    batched = f(a), curve(a)
    monkeypatch.setattr(in_turn, "SMALL", 0)
    on_gpu = lambda *args, cuda, **other: cuda(*args)
    monkeypatch.setattr(jax.lax, "platform_dependent", on_gpu)
    assert "scan[" in str(jax.make_jaxpr(f)(a))
    for x, y in zip(jax.tree.leaves(batched), jax.tree.leaves((f(a), jax.jit(curve)(a)))):
        np.testing.assert_allclose(y, x, rtol=1e-10, atol=1e-12)

"""MuonBP."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import gdjax as gd
from tests.cases import Row
from tests.helpers import mesh_of, normal, polar_of
from tests.optimizers.matrix.test_muon import mean_gradient, orthogonal
from tests.references import Agree, halving, rule
from tests.transcription import adamw_of_tensor, at, by_tensor

ROWS = [
    Row(gd.orthogonalize_blocks((1, 2), 2, eps=1e-3)),
    Row(gd.muonbp(0.05, (2, 2), 2, weight_decay=0.1)),
]


def muonbp(
    gradient,
    theta0,
    steps,
    *,
    eta,
    blocks,
    period,
    b1=0.95,
    eps=1e-8,
    r=0.2,
    ratio=1.0,
    lam=0.0,
    adam,
):
    """MuonBP (Khaled et al. 2025, algorithm 1) of w, AdamW of b.

    `blocks` are the slices of the rows and of the columns. Each kind of step has the size of its
    own matrices.
    """
    mean = mean_gradient(b1, nesterov=False)

    def matrix(w, g, t):
        m, u = mean(g, t), np.zeros_like(w)
        if t % period == 0:
            u = r * max(m.shape) ** 0.5 * orthogonal(m, eps)
        else:
            for rows in blocks[0]:
                for columns in blocks[1]:
                    part = m[rows, columns]
                    size = ratio * r * max(part.shape) ** 0.5
                    u[rows, columns] = size * orthogonal(part, eps)
        return w - at(eta, t) * (u + lam * w)

    return by_tensor(gradient, theta0, steps, w=matrix, b=adamw_of_tensor(*adam))


ALL = [slice(None)]

AGREE = {  # w is [2, 3]
    "numpy-muonbp-rows": Agree(
        gd.muonbp(halving(0.2), (2, 1), 3, adam_learning_rate=0.02),
        rule(
            muonbp,
            eta=halving(0.2),
            blocks=([slice(0, 1), slice(1, 2)], ALL),
            period=3,
            adam=(0.02, 0.9, 0.999, 1e-8, 0.0),
        ),
    ),
    "numpy-muonbp-all": Agree(
        gd.muonbp(
            0.1,
            (1, 3),
            2,
            0.8,
            1e-3,
            0.1,
            consistent_rms=0.3,
            block_scale=0.5,
            adam_b1=0.7,
            adam_b2=0.8,
            adam_weight_decay=0.1,
        ),
        rule(
            muonbp,
            eta=0.1,
            blocks=(ALL, [slice(i, i + 1) for i in range(3)]),
            period=2,
            b1=0.8,
            eps=1e-3,
            r=0.3,
            ratio=0.5,
            lam=0.1,
            adam=(0.1, 0.7, 0.8, 1e-3, 0.1),
        ),
    ),
}

MESH = {"rows": ((8,), P("x")), "columns": ((8,), P(None, "x")), "both": ((4, 2), P("x", "y"))}
PARAMS = {f"layer{i}": jax.random.normal(jax.random.key(i), (16, 32)) for i in range(2)}


def senders(text):
    """The computations of a compiled program that send something, and the branches of its step."""
    parts = re.split(r"^(?=%|ENTRY)", text, flags=re.M)
    sending = {one.split()[0] for one in parts if re.search(r" (all-|reduce-sc|collective)", one)}
    return sending, re.search(r"branch_computations=\{([^}]*)\}", text)[1].split(", ")


@pytest.mark.parametrize("where", MESH)
def test_blocks_are_the_shards_of_a_mesh(where):
    """Nothing is sent but in the steps of whole matrices."""
    shape, spec = MESH[where]
    mesh = mesh_of("Explicit", shape, ("x", "y")[: len(shape)])
    sizes = dict(zip(mesh.axis_names, shape))
    blocks = tuple(sizes.get(name, 1) for name in (*spec, None)[:2])
    tx, alone = gd.muonbp(0.1, every=2), gd.muonbp(0.1, blocks, every=2)
    params, state = PARAMS, jax.jit(alone.init)(PARAMS)
    for _ in range(2):
        params, state = jax.jit(alone.step)(PARAMS, state, params)
    with jax.set_mesh(mesh):
        placed = jax.device_put(PARAMS, NamedSharding(mesh, spec))
        found, state = placed, jax.jit(tx.init)(placed)
        step = jax.jit(tx.step).lower(placed, state, placed).compile()
        for _ in range(2):
            found, state = step(placed, state, found)
    for name, want in params.items():
        np.testing.assert_allclose(found[name], want, atol=1e-6)
        assert found[name].sharding.is_equivalent_to(NamedSharding(mesh, spec), 2)
    sending, (_, of_matrices) = senders(step.as_text())
    assert sending == {of_matrices}


def test_without_a_mesh_shards_are_matrices(x64):
    g = jnp.asarray(normal(4, 6))
    tx = gd.orthogonalize_blocks(consistent_rms=1.0, backend="svd")
    first, state = tx.update(g, tx.init(g))
    np.testing.assert_allclose(tx.update(g, state)[0], first, atol=1e-12)


@pytest.mark.parametrize("shape, blocks", [((5, 7), (2, 3)), ((3, 2), (8, 1)), ((4,), (3, 2))])
def test_sides_that_blocks_do_not_divide(shape, blocks, x64):
    """The last blocks are smaller, and no block is empty."""
    g = normal(*shape)
    tx = gd.orthogonalize_blocks(blocks, consistent_rms=1.0, backend="svd")
    u, _ = tx.update(jnp.asarray(g), gd.states.OrthogonalizeBlocksState(jnp.ones([], int)))
    g, u = (np.asarray(x).reshape(len(g), -1) for x in (g, u))
    p, q = (-(-n // min(n, count)) for n, count in zip(g.shape, blocks))
    for i in range(0, len(g), p):
        for j in range(0, len(g.T), q):
            at = slice(i, i + p), slice(j, j + q)
            np.testing.assert_allclose(u[at], max(p, q) ** 0.5 * polar_of(g[at]), atol=1e-9)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"every": 0}, "every must be 1 or more, got 0"),
        ({"blocks": (0, 1)}, "blocks must be two numbers, 1 or more, got"),
        ({"blocks": (2,)}, "blocks must be two numbers, 1 or more, got"),
        ({"blocks": 2}, "blocks must be two numbers, 1 or more, got 2. Write (2, 1)"),
    ],
)
def test_what_blocks_can_be(given, message):
    with pytest.raises(ValueError, match=re.escape(f"orthogonalize_blocks: {message}")):
        gd.orthogonalize_blocks(**given)

"""Adam-mini."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.oracles import problem
from tests.references import Agree, recorded, rule
from tests.transcription import descend, ema_of

ROWS = [
    Row(gd.adam_mini(0.1, b2=0.99, weight_decay=0.01)),
    Row(gd.adam_mini(0.1, block_axis=None), label="adam_mini-whole"),
    Row(gd.scale_by_adam_mini(0.9, 0.99)),
]


def adam_mini(gradient, theta0, steps, *, eta, b1, b2, eps, lam, axis):
    """Zhang et al. 2024, algorithm 1: one second moment for a block.

    A block is a tensor (axis None), a row (0) or a column (1) of the matrix.
    """
    rows, columns = problem.SHAPES["w"]
    owner = {
        None: np.zeros(rows * columns, int),
        0: np.repeat(np.arange(rows), columns),
        1: np.tile(np.arange(columns), rows),
    }[axis]
    owner = np.concatenate([owner, np.full(len(theta0) - rows * columns, 10)])
    m = np.zeros(len(theta0))
    v = np.zeros(len(theta0))

    def direction(g, t):
        nonlocal m, v
        m = ema_of(m, g, b1)
        for block in np.unique(owner):
            mine = owner == block
            v[mine] = b2 * v[mine] + (1.0 - b2) * np.mean(g[mine] ** 2)
        return m / (1.0 - b1 ** (t + 1)) / (np.sqrt(v / (1.0 - b2 ** (t + 1))) + eps)

    return descend(gradient, theta0, steps, eta, direction, lam)


AGREE = {
    "numpy-adam_mini-default": Agree(
        gd.adam_mini(0.05), rule(adam_mini, eta=0.05, b1=0.9, b2=0.999, eps=1e-8, lam=0.0, axis=1)
    ),
    # pytorch_optimizer keeps the second moment in float32.
    "torch-adam_mini": Agree(
        gd.adam_mini(0.05, 0.9, 0.95, 1e-3, weight_decay=0.1, block_axis=None),
        recorded("modern", "torch/adam_mini"),
        tolerance=1e-6,
    ),
    "numpy-adam_mini-0": Agree(
        gd.adam_mini(0.05, 0.8, 0.95, 1e-3, weight_decay=0.1, block_axis=0),
        rule(adam_mini, eta=0.05, b1=0.8, b2=0.95, eps=1e-3, lam=0.1, axis=0),
    ),
    "numpy-adam_mini--1": Agree(
        gd.adam_mini(0.05, 0.8, 0.95, 1e-3, weight_decay=0.1, block_axis=-1),
        rule(adam_mini, eta=0.05, b1=0.8, b2=0.95, eps=1e-3, lam=0.1, axis=1),
    ),
}


def test_adam_mini_keeps_one_number_for_a_block():
    params = {"w": jnp.zeros((4, 3)), "b": jnp.zeros(3), "heads": jnp.zeros((2, 4, 5))}
    shapes = lambda axis: jax.tree.map(
        jnp.shape, gd.scale_by_adam_mini(block_axis=axis).init(params).nu
    )
    assert shapes(-1) == {"w": (3,), "b": (), "heads": (5,)}
    assert shapes(1) == {"w": (3,), "b": (), "heads": (4,)}
    assert shapes(None) == {"w": (), "b": (), "heads": ()}
    with pytest.raises(ValueError, match="block_axis must be an axis of every array"):
        shapes(2)


def test_a_block_of_one_entry_has_adams_step():
    params, grads = {"a": jnp.ones([]), "b": jnp.ones([1])}, {"a": jnp.asarray(3.0)}
    grads["b"] = jnp.asarray([-0.5])
    for tx in (gd.scale_by_adam_mini(eps=1.0), gd.scale_by_adam_mini(eps=1.0, block_axis=None)):
        ours, adams = (t.update(grads, t.init(params))[0] for t in (tx, gd.scale_by_adam(eps=1.0)))
        assert jax.tree.all(jax.tree.map(lambda x, y: jnp.allclose(x, y, rtol=1e-6), ours, adams))

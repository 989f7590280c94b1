"""The inputs of a call: trees of parameters, gradients of twenty steps, arrays for functions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "STEPS",
    "TREES",
    "arrays",
    "gradients",
    "labels",
    "mask",
    "parameters",
    "value_fn",
]

STEPS = 20
# Shapes; a list stands for a leaf.
TREES = {
    "matrix and vector": {"w": [3, 2], "b": [3]},
    "nested": {"a": {"w": [2, 3], "s": []}, "b": ([4], [2, 2, 2])},
    "tuple": ([2, 3], [3]),
    "array": [3],
    "scalar": [],
    "none": {"w": [2, 2], "n": None},
    "row": {"w": [1, 4], "e": [1]},
}


def _leaf(x):
    return isinstance(x, list)


def mask(tree: str):
    """True for every second leaf."""
    leaves, treedef = jax.tree.flatten(TREES[tree], is_leaf=_leaf)
    return treedef.unflatten([i % 2 == 0 for i in range(len(leaves))])


def labels(tree: str):
    return jax.tree.map(lambda yes: 1 if yes else 2, mask(tree))


def parameters(tree: str, rng: np.random.Generator):
    """Normal numbers; in one of three trees every third number is zero."""
    sparse = rng.random() < 1 / 3
    draw = lambda shape: rng.standard_normal(shape) * (rng.random(shape) < (2 / 3 if sparse else 2))
    return jax.tree.map(draw, TREES[tree], is_leaf=_leaf)


def gradients(
    tree: str, rng: np.random.Generator, bad: bool = False, batch: tuple = (), dense: bool = False
):
    """Gradients [STEPS, *batch, ...] of many sizes, with zeros, ties and signs that change.

    Args:
        tree: A key of `TREES`.
        rng: Draws them.
        bad: Whether some are not finite.
        batch: Axes after the first.
        dense: Whether there are neither zeros nor ties.
    """
    ties, zeros, blank = (rng.random(3) < (0.3, 0.5, 0.2)) & (not dense)
    size = 10.0 ** rng.uniform(-2, 1)

    def draw(shape):
        g = rng.standard_normal((STEPS, *batch, *shape))
        g = size * (np.round(2 * g) / 2 if ties else g)
        g = np.where(rng.random(g.shape) < 0.25, 0.0, g) if zeros else g
        g[3] = 0.0 if blank else g[3]
        if bad:
            g = np.where(rng.random(g.shape) < 0.05, rng.choice([np.nan, np.inf, -np.inf]), g)
        return g

    return jax.tree.map(draw, TREES[tree], is_leaf=_leaf)


def value_fn(params):
    """A quartic with its minimum at one, of condition 10."""
    leaves = [jnp.ravel(x) for x in jax.tree.leaves(params)]
    x = jnp.concatenate(leaves) - 1.0
    return jnp.sum(jnp.linspace(0.5, 5.0, x.size) * x**2) + 0.1 * jnp.sum(x**4)


def arrays(rng: np.random.Generator) -> dict[str, object]:
    """What functions are called with, by the names that stand in the calls."""
    ties = rng.random() < 0.3
    some = lambda *shape: (np.round if ties else np.asarray)(rng.standard_normal(shape) * 2) * 1.0
    x, y = some(4, 5), some(4, 5)
    x[0, 0], y[1, 1], y[2] = 0.0, x[1, 1], x[2]
    q = rng.dirichlet(np.ones(5), 4)
    p = q * (rng.random((4, 5)) < 0.7)
    p[:, 0] += 1.0 - p.sum(1)
    w = rng.random((4, 5)) < 0.7
    w[:, 0], w[0] = True, True
    tree = lambda: {"w": some(2, 3), "b": [some(4), some()]}
    return {
        "X": x,
        "Y": y,
        "P": p,
        "Q": q,
        "W": w,
        "S": np.where(rng.random((4, 5)) < 0.5, -1.0, 1.0),
        "B": np.where(rng.random((4, 5)) < 0.5, 0.0, 1.0),
        "I": np.array([0, 2, 2, int(rng.integers(5))], np.int32),
        "T": tree(),
        "U": tree(),
        "C": {"w": some(2, 3) + 1j * some(2, 3), "b": some(2)},
        "L": some(2, 6, 5),
        "LP": np.array([[0.0] * 6, [0.0] * 5 + [1.0]]),
        "K": rng.integers(1, 4, (2, 3)).astype(np.int32),
        "KP": np.array([[0.0] * 3, [0.0, 0.0, 1.0]]),
    }

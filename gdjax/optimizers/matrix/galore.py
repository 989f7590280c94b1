"""GaLore: optimizer state for low-rank projections of the gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Hyperparam, LearningRate, Mask, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.matrix import polar
from gdjax.core.matrix.matrices import axes_of
from gdjax.core.mesh import distribute
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.branch import refresh_if
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, PerMatrix
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["GaLoreState", "galore", "scale_by_galore"]


class GaLoreState(NamedTuple):
    """State of `scale_by_galore`."""

    count: Count
    base_optimizer_state: Any  # of the projected gradients
    projector: PerMatrix  # [..., short side, rank] for a matrix, None for other leaves


class _Wide(NamedTuple):
    """Conversion of an array to a stack of matrices with the short side first, and back."""

    axes: Any
    turned: bool

    def stack(self, x: Any) -> Any:
        stack = distribute.replicate(self.axes.stack(jnp.asarray(x)))
        return stack.mT if self.turned else stack

    def unstack(self, stack: Any, like: Any) -> Any:
        return self.axes.unstack(stack.mT if self.turned else stack, like)


def _stacks(updates: Any, axes: Any) -> tuple[list[Any], list[Any], Any]:
    """The leaves, matrices as stacks with the short side first; conversions; the structure."""
    leaves, found, treedef = axes_of(updates, axes, "scale_by_galore")
    found = [a if x is not None and jnp.size(x) else None for x, a in zip(leaves, found)]
    ways = [None if a is None else _Wide(a, a.sides[0] > a.sides[1]) for a in found]
    return [x if w is None else w.stack(x) for x, w in zip(leaves, ways)], ways, treedef


@transformation(kind="wrapper")
def scale_by_galore(
    rank: int = 128,
    every: int = 200,
    scale: Hyperparam = 1.0,
    inner: Any = None,
    matrix_axes: Any = None,
):
    """GaLore scaling: runs an inner transformation on low-rank projections of the gradients.

        every T steps:  U·S·Vᵀ = G,   P = the first r columns of U
        R = Pᵀ·G,       N = inner(R),  u = α·P·N

    for matrices with no more rows than columns, transposed for others; so the short side is
    projected, as in the paper. Other arrays are passed to the inner transformation unchanged.

    Args:
        rank: r ≥ 1; at most the length of the short side.
        every: T ≥ 1, the steps from one decomposition to the next.
        scale: α, of either sign, for projected updates; the paper's is 0.25.
        inner: A transformation that needs no parameters; `scale_by_adam()` by default.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays without
            matrix axes are not projected.

    Raises:
        ValueError: `rank` or `every` is less than 1.

    Reference: Zhao et al., GaLore: memory-efficient LLM training by gradient low-rank projection,
        2024, https://arxiv.org/abs/2403.03507
    """
    for name, number in (("rank", rank), ("every", every)):
        if number < 1:
            errors.fail("scale_by_galore", f"{name} must be 1 or more", number)
    base = scale_by_adam() if inner is None else inner

    def init(params):
        xs, ways, treedef = _stacks(params, matrix_axes)
        projector, projected = [], []
        for x, way in zip(xs, ways):
            if way is None:
                projector.append(None)
                projected.append(x)
                continue
            r = min(rank, x.shape[-2])
            projector.append(jnp.zeros((*x.shape[:-1], r), numerics.wide_dtype(x.dtype)))
            projected.append(jnp.zeros((*x.shape[:-2], r, x.shape[-1]), x.dtype))
        inner = base.init(treedef.unflatten(projected))
        return GaLoreState(zero_count(), inner, treedef.unflatten(projector))

    def update(updates, state, params=None, **extra):
        xs, ways, treedef = _stacks(updates, matrix_axes)
        stacks = treedef.unflatten(xs)
        due = state.count % every == 0

        def refresh(g, p):
            return g, refresh_if(due, lambda: polar.leading_vectors(g, p.shape[-1]), p)

        _, projector = tree.evolve(refresh, (stacks, state.projector))
        project = lambda g, p: g if p is None else p.mT.conj() @ g
        projected = tree.map(project, stacks, projector)
        before = state.base_optimizer_state
        inner = call_update(
            base, projected, jax.tree.map(distribute.replicate, before), None, extra
        )
        lead_back = lambda n, p: n if p is None else scale * (p @ n)
        out = treedef.flatten_up_to(tree.map(lead_back, inner[0], projector))
        likes = treedef.flatten_up_to(updates)
        rows = zip(ways, out, likes)
        out = [u if way is None or u is None else way.unstack(u, x) for way, u, x in rows]
        after = jax.tree.map(distribute.reshard_like, inner[1], before)
        state = GaLoreState(increment(state.count), after, projector)
        return treedef.unflatten(out), state

    return Rule(init, update, children=(Child("inner", base, at="base_optimizer_state"),))


@transformation(kind="optimizer")
def galore(
    learning_rate: LearningRate,
    rank: int = 128,
    every: int = 200,
    scale: Hyperparam = 1.0,
    inner: Any = None,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    matrix_axes: Any = None,
):
    """GaLore: memory-efficient Adam on low-rank projections of the gradients of matrices.

        W ← W − η·(α·P·Adam(Pᵀ·G) + λW)

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.galore(1e-3, rank=4).init(jnp.ones([20, 30]))[0]
    >>> jax.tree.map(jnp.shape, (state.projector, state.base_optimizer_state.nu))
    ((20, 4), (4, 30))

    Args:
        learning_rate: η ≥ 0.
        rank: Rank of the projection of each matrix.
        every: Steps from one decomposition to the next.
        scale: α, of the updates of matrices.
        inner: The transformation of the projected gradients, one that needs no parameters;
            `scale_by_adam()` by default.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        matrix_axes: See `scale_by_galore`.

    Raises:
        ValueError: `update` was called without params; `rank` or `every` is less than 1.

    Reference: Zhao et al., GaLore: memory-efficient LLM training by gradient low-rank projection,
        2024, https://arxiv.org/abs/2403.03507
    """
    return chain(
        scale_by_galore(rank, every, scale, inner, matrix_axes),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

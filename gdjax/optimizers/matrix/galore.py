"""GaLore: optimizer state for low-rank projections of the gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.data.hyperparams import Hyperparam, LearningRate, Mask, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix.low_rank import Stacks, call_whole, leading
from gdjax.core.rule import errors, tree
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
    errors.check_counts("scale_by_galore", rank=rank, every=every)
    base = scale_by_adam() if inner is None else inner

    def init(params):
        stacks = Stacks.of(params, matrix_axes, "scale_by_galore")
        projector = stacks.zeros(lambda shape: (*shape[:-1], min(rank, shape[-2])))
        return GaLoreState(zero_count(), base.init(stacks.narrow(rank)), projector)

    def update(updates, state, params=None, **extra):
        stacks = Stacks.of(updates, matrix_axes, "scale_by_galore")
        projector = leading(stacks.tree, state.projector, state.count % every == 0)
        project = lambda g, p: g if p is None else p.mT.conj() @ g
        projected = tree.map(project, stacks.tree, projector)
        n, inner_state = call_whole(base, projected, state.base_optimizer_state, extra)
        lead_back = lambda n, p: n if p is None else scale * (p @ n)
        out = stacks.undo(tree.map(lead_back, n, projector), updates)
        return out, GaLoreState(increment(state.count), inner_state, projector)

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

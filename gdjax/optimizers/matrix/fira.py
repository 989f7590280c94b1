"""Fira: Adam on low-rank projections of the gradients, and the rest of the gradients scaled."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.data.hyperparams import LearningRate, Mask, Positive, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix.low_rank import (
    Stacks,
    call_whole,
    growth,
    leading,
    limit_growth,
)
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, PerMatrix
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["FiraState", "fira", "scale_by_fira"]


class FiraState(NamedTuple):
    """State of `scale_by_fira`."""

    count: Count
    base_optimizer_state: Any  # of the projected gradients
    projector: PerMatrix  # [..., short side, rank] for a matrix, None for other leaves
    norm: PerMatrix  # [...], of the scaled rest of the last step, None for other leaves


@transformation(kind="wrapper")
def scale_by_fira(
    rank: int = 128,
    every: int = 200,
    max_growth: Positive = 1.01,
    inner: Any = None,
    matrix_axes: Any = None,
):
    """Fira scaling: GaLore, with the part of the gradient outside of the low-rank subspace added.

        every T steps:  U·S·Vᵀ = G,   P = the first r columns of U
        R = Pᵀ·G,       N = inner(R),  φ = ‖N‖ / ‖R‖ for each column
        S = (G − P·R)·diag(φ),         shortened to γ times the norm of the last S if it is longer
        u = P·N + S

    for matrices with no more rows than columns, transposed for others, as in `scale_by_galore`. The
    rest of the gradient is scaled as the inner transformation scales the projected gradient. Other
    arrays are passed to the inner transformation unchanged. The first S is not shortened, nor one
    after a step in which S was 0.

    The authors' code divides by ‖R‖ + 1e-8, and applies the bias correction of Adam after the
    limiter; here it is a part of N.

    Args:
        rank: r ≥ 1; at most the length of the short side.
        every: T ≥ 1, the steps from one decomposition to the next.
        max_growth: γ > 0, the largest ratio of the norms of S in two steps in a row; `jnp.inf` for
            no limit.
        inner: A transformation that needs no parameters; `scale_by_adam()` by default.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays without
            matrix axes are not projected.

    Raises:
        ValueError: `rank` or `every` is less than 1.

    Reference: Chen et al., Fira: can we achieve full-rank training of LLMs under low-rank
        constraint?, 2024, https://arxiv.org/abs/2410.01623
    """
    errors.check_counts("scale_by_fira", rank=rank, every=every)
    base = scale_by_adam() if inner is None else inner

    def init(params):
        stacks = Stacks.of(params, matrix_axes, "scale_by_fira")
        projector = stacks.zeros(lambda shape: (*shape[:-1], min(rank, shape[-2])))
        norm = stacks.norms()
        return FiraState(zero_count(), base.init(stacks.narrow(rank)), projector, norm)

    def update(updates, state, params=None, **extra):
        stacks = Stacks.of(updates, matrix_axes, "scale_by_fira")
        projector = leading(stacks.tree, state.projector, state.count % every == 0)
        project = lambda g, p: g if p is None else p.mT.conj() @ g
        projected = tree.map(project, stacks.tree, projector)
        scaled, inner_state = call_whole(base, projected, state.base_optimizer_state, extra)

        def leaf(g, before, p, r, n):
            rest = (g - p @ r) * growth(n, r, (-2,))
            rest, size = limit_growth(rest, before, max_growth)
            return p @ n + rest, size

        trees = stacks.tree, state.norm
        out, norm = tree.evolve(leaf, trees, projector, projected, scaled)
        out = stacks.undo(stacks.with_others(out, scaled), updates)
        return out, FiraState(increment(state.count), inner_state, projector, norm)

    return Rule(init, update, children=(Child("inner", base, at="base_optimizer_state"),))


@transformation(kind="optimizer")
def fira(
    learning_rate: LearningRate,
    rank: int = 128,
    every: int = 200,
    max_growth: Positive = 1.01,
    inner: Any = None,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    matrix_axes: Any = None,
):
    """Fira: Adam on low-rank projections of the gradients, and the rest of the gradients scaled.

        W ← W − η·(P·Adam(Pᵀ·G) + S + λW)

    where S is the rest of the gradient, G − P·Pᵀ·G, its columns scaled as Adam scales those of the
    projected gradient, and the growth of its norm limited. State as that of `galore`, and one
    number for each matrix.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.fira(1e-3, rank=4).init(jnp.ones([20, 30]))[0]
    >>> jax.tree.map(jnp.shape, (state.projector, state.base_optimizer_state.nu, state.norm))
    ((20, 4), (4, 30), ())

    Args:
        learning_rate: η ≥ 0.
        rank: Rank of the projection of each matrix.
        every: Steps from one decomposition to the next.
        max_growth: Largest ratio of the norms of S in two steps in a row.
        inner: The transformation of the projected gradients, one that needs no parameters;
            `scale_by_adam()` by default.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        matrix_axes: See `scale_by_fira`.

    Raises:
        ValueError: `update` was called without params; `rank` or `every` is less than 1.

    Reference: Chen et al., Fira: can we achieve full-rank training of LLMs under low-rank
        constraint?, 2024, https://arxiv.org/abs/2410.01623
    """
    return chain(
        scale_by_fira(rank, every, max_growth, inner, matrix_axes),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

"""APOLLO: gradients scaled by channel or by matrix, as Adam scales random projections of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Hyperparam, LearningRate, Mask, Positive, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix.low_rank import Stacks, call_whole, growth, limit_growth
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, Key, PerMatrix
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.noise import judge_key, key_data, key_of, leaf_keys

__all__ = ["ApolloState", "apollo", "apollo_mini", "scale_by_apollo", "scale_by_apollo_mini"]


class ApolloState(NamedTuple):
    """State of `scale_by_apollo` and `scale_by_apollo_mini`."""

    count: Count
    rng_key: Key  # stays the same
    base_optimizer_state: Any  # of the projected gradients
    norm: PerMatrix  # [...], of the update of the last step, None for leaves that are no matrices


@transformation(kind="wrapper")
def scale_by_apollo(
    rank: int = 128,
    every: int = 200,
    scale: Hyperparam = 1.0,
    max_growth: Positive = 1.01,
    inner: Any = None,
    matrix_axes: Any = None,
    key: Any = 0,
):
    """APOLLO scaling: scales the columns of a gradient as Adam scales those of a random projection.

        every T steps:  P [r, m], entries from N(0, 1/r)
        R = P·G,        N = inner(R),  s = ‖N‖ / ‖R‖ for each column
        u = α·G·diag(s),               shortened to γ times the norm of the last u if it is longer

    for matrices with no more rows than columns, transposed for others: a channel is a column, along
    the short side. P is drawn again in every step from a key that changes every T steps, so it is
    not in the state. Other arrays are passed to the inner transformation unchanged. The first u is
    not shortened, nor one after a step in which u was 0.

    The authors' code divides by ‖R‖ + 1e-8, and applies the bias correction of Adam after the
    limiter; here it is a part of N.

    Args:
        rank: r ≥ 1; at most the length of the short side.
        every: T ≥ 1, the steps from one projection to the next.
        scale: α, of the updates of matrices.
        max_growth: γ > 0, the largest ratio of the norms of u in two steps in a row; `jnp.inf` for
            no limit.
        inner: A transformation that needs no parameters; `scale_by_adam()` by default.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays without
            matrix axes are not projected.
        key: A seed, or a key of `jax.random`.

    Raises:
        TypeError: `key` is neither a seed nor a key.
        ValueError: `rank` or `every` is less than 1.

    Reference: Zhu et al., APOLLO: SGD-like memory, AdamW-level performance, 2024,
        https://arxiv.org/abs/2412.05270
    """
    named = "scale_by_apollo", rank, every, scale, max_growth, inner, matrix_axes, key
    return _scaled_by((-2,), *named)


@transformation(kind="wrapper")
def scale_by_apollo_mini(
    scale: Hyperparam = 128**0.5,
    every: int = 200,
    max_growth: Positive = 1.01,
    inner: Any = None,
    matrix_axes: Any = None,
    key: Any = 0,
):
    """APOLLO-Mini scaling: scales a gradient as Adam scales a random projection of rank one.

        every T steps:  P [1, m], entries from N(0, 1)
        R = P·G,        N = inner(R),  s = ‖N‖ / ‖R‖
        u = α·s·G,                     shortened to γ times the norm of the last u if it is longer

    with everything else as in `scale_by_apollo`. Adam's state has two rows for each matrix.

    Args:
        scale: α, of the updates of matrices; it makes up for the low rank.
        every: T ≥ 1, the steps from one projection to the next.
        max_growth: γ > 0, the largest ratio of the norms of u in two steps in a row; `jnp.inf` for
            no limit.
        inner: A transformation that needs no parameters; `scale_by_adam()` by default.
        matrix_axes: See `scale_by_apollo`.
        key: A seed, or a key of `jax.random`.

    Raises:
        TypeError: `key` is neither a seed nor a key.
        ValueError: `every` is less than 1.

    Reference: Zhu et al., APOLLO: SGD-like memory, AdamW-level performance, 2024,
        https://arxiv.org/abs/2412.05270
    """
    named = "scale_by_apollo_mini", 1, every, scale, max_growth, inner, matrix_axes, key
    return _scaled_by((-2, -1), *named)


def _scaled_by(
    axes: tuple[int, ...],
    where: str,
    rank: int,
    every: int,
    scale: Any,
    max_growth: Any,
    inner: Any,
    matrix_axes: Any,
    key: Any,
) -> Rule:
    """The rule whose factors are ratios of norms over these axes of the projected gradients."""
    errors.check_counts(where, rank=rank, every=every)
    judge_key(where, key)
    base = scale_by_adam() if inner is None else inner

    def init(params):
        stacks = Stacks.of(params, matrix_axes, where)
        norm = stacks.norms()
        return ApolloState(zero_count(), key_data(key), base.init(stacks.narrow(rank)), norm)

    def update(updates, state, params=None, **extra):
        stacks = Stacks.of(updates, matrix_axes, where)
        of_period = jax.random.fold_in(key_of(state.rng_key, key), state.count // every)

        def project(g, k, before):
            if before is None:
                return g
            *lead, m, _ = g.shape
            r = min(rank, m)
            p = jax.random.normal(k, (*lead, r, m), jnp.finfo(g.dtype).dtype)
            return (p * r**-0.5) @ g

        keys = leaf_keys(of_period, stacks.tree)
        projected = tree.map(project, stacks.tree, keys, state.norm)
        scaled, inner_state = call_whole(base, projected, state.base_optimizer_state, extra)

        def leaf(g, before, r, n):
            return limit_growth(scale * growth(n, r, axes) * g, before, max_growth)

        out, norm = tree.evolve(leaf, (stacks.tree, state.norm), projected, scaled)
        out = stacks.undo(stacks.with_others(out, scaled), updates)
        return out, ApolloState(increment(state.count), state.rng_key, inner_state, norm)

    return Rule(init, update, children=(Child("inner", base, at="base_optimizer_state"),))


@transformation(kind="optimizer")
def apollo(
    learning_rate: LearningRate,
    rank: int = 128,
    every: int = 200,
    scale: Hyperparam = 1.0,
    max_growth: Positive = 1.01,
    inner: Any = None,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    matrix_axes: Any = None,
    key: Any = 0,
):
    """APOLLO: memory-efficient AdamW with a rate for each channel, from random projections.

        W ← W − η·(α·G·diag(s) + λW),    s = ‖N‖ / ‖R‖ for each column,    N = Adam(R),    R = P·G

    where P is a random matrix of r rows, and the growth of the norm of the update is limited.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.apollo(1e-3, rank=4).init(jnp.ones([20, 30]))[0]
    >>> jax.tree.map(jnp.shape, (state.base_optimizer_state.nu, state.norm))
    ((4, 30), ())

    Args:
        learning_rate: η ≥ 0.
        rank: Rank of the projection of each matrix.
        every: Steps from one projection to the next.
        scale: α, of the updates of matrices.
        max_growth: Largest ratio of the norms of the updates of two steps in a row.
        inner: The transformation of the projected gradients, one that needs no parameters;
            `scale_by_adam()` by default.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        matrix_axes: See `scale_by_apollo`.
        key: A seed, or a key of `jax.random`.

    Raises:
        TypeError: `key` is neither a seed nor a key.
        ValueError: `update` was called without params; `rank` or `every` is less than 1.

    Reference: Zhu et al., APOLLO: SGD-like memory, AdamW-level performance, 2024,
        https://arxiv.org/abs/2412.05270
    """
    return chain(
        scale_by_apollo(rank, every, scale, max_growth, inner, matrix_axes, key),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation(kind="optimizer")
def apollo_mini(
    learning_rate: LearningRate,
    scale: Hyperparam = 128**0.5,
    every: int = 200,
    max_growth: Positive = 1.01,
    inner: Any = None,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    matrix_axes: Any = None,
    key: Any = 0,
):
    """APOLLO-Mini: memory-efficient AdamW with a rate for each matrix, from projections of rank 1.

        W ← W − η·(α·s·G + λW),    s = ‖Adam(P·G)‖ / ‖P·G‖

    where P is a random matrix of one row, and the growth of the norm of the update is limited.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.apollo_mini(1e-3).init(jnp.ones([20, 30]))[0]
    >>> jax.tree.map(jnp.shape, (state.base_optimizer_state.nu, state.norm))
    ((1, 30), ())

    Args:
        learning_rate: η ≥ 0.
        scale: α, of the updates of matrices.
        every: Steps from one projection to the next.
        max_growth: Largest ratio of the norms of the updates of two steps in a row.
        inner: The transformation of the projected gradients, one that needs no parameters;
            `scale_by_adam()` by default.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        matrix_axes: See `scale_by_apollo`.
        key: A seed, or a key of `jax.random`.

    Raises:
        TypeError: `key` is neither a seed nor a key.
        ValueError: `update` was called without params; `every` is less than 1.

    Reference: Zhu et al., APOLLO: SGD-like memory, AdamW-level performance, 2024,
        https://arxiv.org/abs/2412.05270
    """
    return chain(
        scale_by_apollo_mini(scale, every, max_growth, inner, matrix_axes, key),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

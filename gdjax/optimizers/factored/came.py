"""CAME: Adafactor with momentum, divided by how much the updates vary about their mean."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.data.hyperparams import (
    Decay,
    LearningRate,
    Mask,
    NonNegative,
    Positive,
    WeightDecay,
)
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import ema
from gdjax.core.rule.roles import Mean, MeanSquare
from gdjax.optimizers.factored.adafactor import (
    ColumnMeans,
    RowMeans,
    divide,
    divide_and_clip,
    factors_like,
    update_means,
)
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["ScaleByCameState", "came", "scale_by_came"]


class ScaleByCameState(NamedTuple):
    """State of `scale_by_came`; None in the fields that a leaf does not use."""

    mu: Mean  # of the clipped updates
    v_row: RowMeans  # of the squared gradients
    v_col: ColumnMeans
    v: MeanSquare  # of arrays that are not factored
    res_row: RowMeans  # of the squared deviations of the updates from their mean
    res_col: ColumnMeans


@transformation
def scale_by_came(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    eps: NonNegative = 1e-30,
    eps_instability: NonNegative = 1e-16,
    clipping_threshold: Positive = 1.0,
    min_dim_size_to_factor: int = 1,
    mu_dtype: Any = None,
):
    """CAME scaling: Adafactor's momentum over the factored RMS of the updates' deviation from it.

        R, C ← means over columns, over rows of |g|² + ε₁, with decay β₂
        u = g / √(R·Cᵀ / mean(R)),    û = u / max(1, RMS(u)/d)
        m ← β₁·m + (1 − β₁)·û
        R′, C′ ← means over columns, over rows of |û − m|² + ε₂, with decay β₃
        u ← m / √(R′·C′ᵀ / mean(R′))

    Vectors and scalars have u = g / √v with v ← β₂·v + (1 − β₂)(|g|² + ε₁), and the update m.

    Args:
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        b3: β₃ in [0, 1).
        eps: ε₁ ≥ 0, in the units of the squared gradient.
        eps_instability: ε₂ ≥ 0; with 0, the update is 0 where û never changed.
        clipping_threshold: d > 0.
        min_dim_size_to_factor: Both axes of a matrix must be at least this long.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.

    Reference: Luo et al., CAME: confidence-guided adaptive memory efficient optimization, 2023,
        https://arxiv.org/abs/2307.02047
    """

    def init(params):
        squares = factors_like(params, min_dim_size_to_factor)
        rows, columns, _ = factors_like(params, min_dim_size_to_factor)
        return ScaleByCameState(tree.moment_like(params, mu_dtype), *squares, rows, columns)

    def update(updates, state, params=None, **extra):
        def leaf(g, m, r, c, v, res_r, res_c):
            roots, r, c, v = update_means(g, r, c, v, b2, eps)
            u = divide_and_clip(g, roots, clipping_threshold)
            m = ema(m, u, b1)
            if v is not None:
                return m, m, r, c, v, None, None
            roots, res_r, res_c, _ = update_means(u - m, res_r, res_c, None, b3, eps_instability)
            return divide(m, roots), m, r, c, None, res_r, res_c

        updates, *means = tree.evolve(leaf, (updates, *state))
        return updates, ScaleByCameState(*means)

    return init, update


@transformation(kind="optimizer")
def came(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    eps: NonNegative = 1e-30,
    eps_instability: NonNegative = 1e-16,
    clipping_threshold: Positive = 1.0,
    min_dim_size_to_factor: int = 1,
    mu_dtype: Any = None,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
):
    """CAME: confidence-guided Adafactor with momentum, smaller steps where updates vary.

        θ ← θ − η·(m / √S + λθ)

    with m the mean of Adafactor's updates and S their factored mean squared deviation from m.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> state = gd.came(1e-4).init(jnp.ones([20, 30]))[0]
    >>> sum(x.size for x in jax.tree.leaves(state))  # of Adam: 1200
    700

    Args:
        learning_rate: η ≥ 0; about half of a good rate for AdamW.
        b1: Decay of the mean update, in [0, 1).
        b2: Decay of the mean squares of the gradient, in [0, 1).
        b3: Decay of the mean squared deviation of the updates, in [0, 1).
        eps: Added to the squared gradient.
        eps_instability: Added to the squared deviation from the mean.
        clipping_threshold: Largest root mean square of an update before it is averaged.
        min_dim_size_to_factor: Both axes of a matrix must be at least this long.
        mu_dtype: Dtype in which the mean update is kept; float32 or wider by default.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Luo et al., CAME: confidence-guided adaptive memory efficient optimization, 2023,
        https://arxiv.org/abs/2307.02047
    """
    rule = scale_by_came(
        b1, b2, b3, eps, eps_instability, clipping_threshold, min_dim_size_to_factor, mu_dtype
    )
    decay = add_decayed_weights(weight_decay, mask)
    return chain(rule, decay, scale_by_learning_rate(learning_rate))

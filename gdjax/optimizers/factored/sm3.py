"""SM3: memory-efficient AdaGrad, with one accumulator for each index of each axis."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, Hyperparam, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, divide_by_root, ema
from gdjax.core.rule.roles import Mean, PerMatrix
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["ScaleBySM3State", "scale_by_sm3", "sm3"]


class ScaleBySM3State(NamedTuple):
    """State of `scale_by_sm3`."""

    mu: PerMatrix  # for each leaf a tuple, [n] for an axis of length n; [] for a scalar
    nu: Mean  # of the scaled gradients


def _spread(mu: tuple[jax.Array, ...], ndim: int) -> list[jax.Array]:
    """The accumulators in shapes that broadcast with the leaf."""
    if not ndim:
        return list(mu)
    return [jnp.expand_dims(m, [k for k in range(ndim) if k != r]) for r, m in enumerate(mu)]


def _largest(v: jax.Array) -> tuple[jax.Array, ...]:
    """The largest entry for each index of each axis."""
    if not v.ndim:
        return (v,)
    axes = range(v.ndim)
    return tuple(jnp.max(v, [k for k in axes if k != r], initial=0) for r in axes)


@transformation
def scale_by_sm3(b1: Decay = 0.9, b2: Hyperparam = 1.0, eps: NonNegative = 1e-8):
    """SM3 scaling: momentum of gradients over the root of a bound on AdaGrad's sums of squares.

        v_i = min over the axes of μ_r[i_r] + |g_i|²
        μ_r[k] ← max of v_i over all i with i_r = k
        m ← β₁·m + (1 − β₁)·g / √(v + eps)        u = m

    This is SM3-II with the slices along every axis as cover. With b2 < 1 the sums become moving
    averages: v = b2·min μ + (1 − b2)·|g|².

    Args:
        b1: β₁ in [0, 1).
        b2: In [0, 1], 1 for sums.
        eps: Added under the root. With 0, g / √v is 0 where v is.

    Reference: Anil, Gupta, Koren and Singer, Memory-efficient adaptive optimization, 2019,
        https://arxiv.org/abs/1901.11150
    """

    def init(params):
        nu = tree.moment_like(params)
        mu = jax.tree.map(_largest, tree.square_like(params))
        return ScaleBySM3State(mu, nu)

    def update(updates, state, params=None, **extra):
        share = jnp.where(b2 == 1, 1.0, 1 - b2) if isinstance(b2, jax.Array) else (1 - b2) or 1.0

        def leaf(g, mu, m):
            least = functools.reduce(jnp.minimum, _spread(mu, g.ndim))
            v = b2 * least + share * abs_sq(g)
            m = ema(m, divide_by_root(g, v, eps, eps_in_sqrt=True), b1)
            return m, _largest(v), m

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleBySM3State(mu, nu)

    return init, update


@transformation(kind="optimizer")
def sm3(learning_rate: LearningRate, momentum: Decay = 0.9):
    """SM3: memory-efficient AdaGrad with momentum, m + n accumulators for an m × n matrix.

        θ ← θ − η·m,    m ← β·m + (1 − β)·g / √v,    v_ij = min(row_i, column_j) + |g_ij|²
        row_i ← max_j v_ij,    column_j ← max_i v_ij

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.sm3(0.5, momentum=0.0)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(4)
    Array([-0.5,  0.5], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        momentum: β in [0, 1).

    Reference: Anil, Gupta, Koren and Singer, Memory-efficient adaptive optimization, 2019,
        https://arxiv.org/abs/1901.11150
    """
    return chain(scale_by_sm3(momentum), scale_by_learning_rate(learning_rate))

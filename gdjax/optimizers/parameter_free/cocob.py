"""COCOB: parameter-free optimization by coin betting."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import safe_divide
from gdjax.core.rule.roles import PerParam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["COCOBState", "cocob", "scale_by_cocob"]


class COCOBState(NamedTuple):
    """State of `scale_by_cocob`."""

    init_particles: PerParam  # the initial parameters
    cumulative_gradients: PerParam  # minus the sum of g
    scale: PerParam  # largest |g| so far
    subgradients: PerParam  # sum of |g|
    reward: PerParam  # winnings of the bets


@transformation
def scale_by_cocob(alpha: NonNegative = 100.0, eps: NonNegative = 1e-8):
    """COCOB scaling: parameter-free updates by coin betting, already in the direction of descent.

        L ← max(L, |g|)      G ← G + |g|      R ← max(R − (θ − θ₀)·g, 0)      b ← b − g
        u = θ₀ + b / (L·max(G + L, α·L)) · (L + R) − θ,    L₀ = eps

    Each entry of the parameters has a bet of its own. As in optax, u is a
    descent direction and needs no change of sign. Entries are treated as real numbers.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_cocob(alpha=8.0)
    >>> tx.update(jnp.array([0.5, -3.0]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0]
    Array([-0.125,  0.125], dtype=float32)

    Args:
        alpha: α ≥ 0; the first updates are at most 1 / α.
        eps: In the units of the gradient.

    Raises:
        ValueError: `update` was called without params.

    Reference: Orabona and Tommasi, Training deep networks without learning rates through coin
        betting, 2017, https://arxiv.org/abs/1705.07795
    """

    def init(params):
        return COCOBState(
            init_particles=tree.copy(params),
            cumulative_gradients=tree.moment_like(params),
            scale=tree.square_like(params, eps),
            subgradients=tree.square_like(params),
            reward=tree.square_like(params),
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("scale_by_cocob", params)

        def leaf(g, bet, most, total, reward, x0, x):
            most = jnp.maximum(most, jnp.abs(g))
            total = total + jnp.abs(g)
            reward = jnp.maximum(reward - (x - x0) * g, 0)
            bet = bet - g
            wealth = safe_divide(most + reward, jnp.maximum(total + most, alpha * most))
            return x0 - x + safe_divide(bet, most) * wealth, bet, most, total, reward

        trees = (updates, *state[1:])
        u, *after = tree.evolve(leaf, trees, state.init_particles, params)
        return u, COCOBState(state.init_particles, *after)

    return init, update


@transformation(kind="optimizer")
def cocob(
    learning_rate: LearningRate = 1.0,
    alpha: NonNegative = 100.0,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
):
    """COCOB: parameter-free optimization by coin betting, without a learning rate to tune.

        g ← g + λθ           L ← max(L, |g|)    L₀ = eps
        G ← G + |g|          R ← max(R − (θ − θ₀)·g, 0)      b ← b − g
        θ ← θ + η·(θ₀ + b / (L·max(G + L, α·L)) · (L + R) − θ)

    For η = 1 it is the paper's method, in which θ is the last bet.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.cocob(alpha=8.0)
    >>> params = jnp.array([1.0, 2.0])
    >>> tx.update(jnp.array([0.5, -3.0]), tx.init(params), params)[0]
    Array([-0.125,  0.125], dtype=float32)

    Args:
        learning_rate: η in [0, 1], the part of the way to the bets.
        alpha: α ≥ 0; the first updates are at most 1 / α.
        eps: In the units of the gradient.
        weight_decay: λ ≥ 0: L2 regularization, added to the gradient.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Orabona and Tommasi, Training deep networks without learning rates through coin
        betting, 2017, https://arxiv.org/abs/1705.07795
    """
    return chain(
        add_decayed_weights(weight_decay, mask),
        scale_by_cocob(alpha, eps),
        scale_by_learning_rate(learning_rate, flip_sign=False),
    )

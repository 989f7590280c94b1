"""Grams: Adam's step size in the direction of the sign of the gradient."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.optimizers.adam.adam import ScaleByAdamState
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["grams", "scale_by_grams"]


@transformation
def scale_by_grams(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8):
    """Grams scaling: the absolute value of Adam's update with the sign of the gradient.

        m ← b1·m + (1 − b1)·g               m̂ = m / (1 − b1ᵗ)
        v ← b2·v + (1 − b2)·|g|²            v̂ = v / (1 − b2ᵗ)
        u = sign(g)·|m̂| / (√v̂ + eps)

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.

    Reference: Cao, Li and Song, Grams: gradient descent with adaptive momentum scaling, 2024,
        https://arxiv.org/abs/2412.17107
    """

    def init(params):
        return ScaleByAdamState(zero_count(), tree.moment_like(params), tree.square_like(params))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        of_m, of_v = debias(b1, t), debias(b2, t)

        def leaf(g, m, v):
            m = ema(m, g, b1)
            v = ema(v, abs_sq(g), b2)
            return jnp.sign(g) * jnp.abs(divide_by_root(m / of_m, v / of_v, eps)), m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByAdamState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def grams(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
):
    """Grams: Adam's step size with the sign of the gradient, and decoupled weight decay.

        θ ← θ − η·(sign(g)·|m̂| / (√v̂ + eps) + λθ),    m̂ and v̂ of `adam`

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.grams(0.1), jnp.array([1.0, -1.0])
    >>> updates, state = tx.update(jnp.array([3.0, -0.5]), tx.init(params), params)
    >>> updates.round(6)
    Array([-0.1,  0.1], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.
        weight_decay: λ ≥ 0, scaled by the learning rate.
        mask: Which parameters decay; see `add_decayed_weights`.

    Reference: Cao, Li and Song, Grams: gradient descent with adaptive momentum scaling, 2024,
        https://arxiv.org/abs/2412.17107
    """
    return chain(
        scale_by_grams(b1, b2, eps),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

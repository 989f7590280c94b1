"""AdaBelief: Adam with the mean squared deviation of the gradient as second moment."""

from __future__ import annotations

from typing import NamedTuple

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import (
    abs_sq,
    after,
    debias,
    divide_by_root,
    ema,
    increment,
    zero_count,
)
from gdjax.core.rule.roles import Count, Mean, MeanSquare
from gdjax.optimizers.adam.adam import one_ahead
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["ScaleByBeliefState", "adabelief", "scale_by_belief"]


class ScaleByBeliefState(NamedTuple):
    """State of `scale_by_belief`."""

    count: Count
    mu: Mean  # of the gradients
    nu: MeanSquare  # of the deviations of the gradients from their mean


@transformation
def scale_by_belief(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    *,
    nesterov: bool = False,
):
    """AdaBelief scaling: first moment over the root of the gradient's mean squared deviation.

        m ← b1·m + (1 − b1)·g
        s ← b2·s + (1 − b2)·|g − m|² + eps_root
        u = m̂ / (√(s / (1 − b2ᵗ)) + eps),    m̂ = m / (1 − b1ᵗ)
        with nesterov:            m̂ = b1·m / (1 − b1ᵗ⁺¹) + (1 − b1)·g / (1 − b1ᵗ)

    eps_root is added to s in every step, so that it contributes up to eps_root / (1 − b2).

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_belief(b2=0.99), gd.scale_by_learning_rate(0.01))
    chain(scale_by_belief(b2=0.99), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.
        eps_root: In the units of the squared gradient, ≥ 0.
        nesterov: Uses Nesterov momentum.

    Reference: Zhuang et al., AdaBelief optimizer: adapting stepsizes by the belief in observed
        gradients, 2020, https://arxiv.org/abs/2010.07468
    """

    def init(params):
        return ScaleByBeliefState(zero_count(), tree.moment_like(params), tree.square_like(params))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        of_m, of_v = debias(b1, t), debias(b2, t)
        of_next = debias(b1, increment(t)) if nesterov else None

        def leaf(g, m, s):
            m = ema(m, g, b1)
            s = after(ema(s, abs_sq(g - m), b2) + eps_root, m)
            m_hat = one_ahead(m, g, b1, of_m, of_next) if nesterov else m / of_m
            return divide_by_root(m_hat, s / of_v, eps), m, s

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByBeliefState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def adabelief(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    *,
    nesterov: bool = False,
):
    """AdaBelief: Adam with the gradient's mean squared deviation from its mean as second moment.

        m ← b1·m + (1 − b1)·g,    s ← b2·s + (1 − b2)·(g − m)² + eps_root
        θ ← θ − η·m̂ / (√ŝ + eps),    m̂ = m / (1 − b1ᵗ),  ŝ = s / (1 − b2ᵗ)
        with nesterov:    m̂ = b1·m / (1 − b1ᵗ⁺¹) + (1 − b1)·g / (1 − b1ᵗ)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.adabelief(0.1)  # the first deviation is b1·g, and the step η / b1
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(6)
    Array([-0.111111,  0.111111], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared deviation, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added to s in each step, in the units of the squared gradient.
        nesterov: Uses Nesterov momentum.

    Reference: Zhuang et al., AdaBelief optimizer: adapting stepsizes by the belief in observed
        gradients, 2020, https://arxiv.org/abs/2010.07468
    """
    return chain(
        scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov),
        scale_by_learning_rate(learning_rate),
    )

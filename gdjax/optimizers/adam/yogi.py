"""Yogi: Adam with additive updates of the second moment."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.optimizers.adam.adam import ScaleByAdamState
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["scale_by_yogi", "yogi"]


@transformation
def scale_by_yogi(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-3,
    eps_root: NonNegative = 0.0,
    initial_accumulator_value: NonNegative = 1e-6,
):
    """Yogi scaling: first moment over the root of an additively updated second moment.

        m ← b1·m + (1 − b1)·g               m̂ = m / (1 − b1ᵗ)
        v ← v − (1 − b2)·sign(v − |g|²)·|g|²    v̂ = v / (1 − b2ᵗ)
        u = m̂ / (√(v̂ + eps_root) + eps)    v₀ = initial_accumulator_value

    The mean m starts at 0, as in the paper. In optax it starts at the value of v, which moves the
    parameters at zero gradients.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_yogi(b2=0.99), gd.scale_by_learning_rate(0.01))
    chain(scale_by_yogi(b2=0.99), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.
        eps_root: In the units of the squared gradient, ≥ 0.
        initial_accumulator_value: v before the first step, ≥ 0.

    Reference: Zaheer et al., Adaptive methods for nonconvex optimization, 2018,
        https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization
    """

    def init(params):
        nu = tree.square_like(params, initial_accumulator_value)
        return ScaleByAdamState(zero_count(), tree.moment_like(params), nu)

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c1, c2 = debias(b1, t), debias(b2, t)

        def leaf(g, m, v):
            m = ema(m, g, b1)
            v = v - (1 - b2) * jnp.sign(v - abs_sq(g)) * abs_sq(g)
            return divide_by_root(m / c1, v / c2 + eps_root, eps), m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByAdamState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def yogi(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-3,
):
    """Yogi: Adam with an additively updated second moment, which falls slowly.

        m ← b1·m + (1 − b1)·g,    v ← v − (1 − b2)·sign(v − g²)·g²,    v₀ = 10⁻⁶
        θ ← θ − η·m̂ / (√v̂ + eps),    m̂ = m / (1 − b1ᵗ),  v̂ = v / (1 − b2ᵗ)

    Adam forgets a large v at the rate b2, however small the gradients; Yogi changes v by no more
    than (1 − b2)·g² in a step.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.yogi(0.5, eps=0.0)
    >>> tx.update(jnp.array([30.0, -2.0]), tx.init(jnp.zeros(2)))[0].round(3)
    Array([-0.5,  0.5], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: 1 − b2 is the share of g² by which v moves, b2 in [0, 1).
        eps: In the units of the gradient.

    Reference: Zaheer et al., Adaptive methods for nonconvex optimization, 2018,
        https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization
    """
    return chain(scale_by_yogi(b1, b2, eps), scale_by_learning_rate(learning_rate))

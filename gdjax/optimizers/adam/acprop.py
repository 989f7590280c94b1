"""ACProp: gradients over the root of the centered second moment of the steps before."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.optimizers.adam.adabelief import ScaleByBeliefState
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["acprop", "scale_by_acprop"]


@transformation
def scale_by_acprop(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
):
    """ACProp scaling: gradient over the root of the centered second moment of the step before.

        u = g / (√(s / (1 − b2ᵗ⁻¹)) + eps),    in the first step g / (1 + eps)
        m ← b1·m + (1 − b1)·g
        s ← b2·s + (1 − b2)·|g − m|² + eps_root

    The gradient and its denominator are independent, which the proof of convergence needs. In the
    first step there is no estimate of the deviation yet, and 1 is used.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_acprop(b2=0.99), gd.scale_by_learning_rate(0.01))
    chain(scale_by_acprop(b2=0.99), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.
        eps_root: In the units of the squared gradient, ≥ 0.

    Reference: Zhuang et al., Momentum centering and asynchronous update for adaptive gradient
        methods, 2021, https://arxiv.org/abs/2110.05454
    """

    def init(params):
        return ScaleByBeliefState(zero_count(), tree.moment_like(params), tree.square_like(params))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        first = t == 1
        c = debias(b2, jnp.where(first, 1, state.count))

        def leaf(g, m, s):
            u = divide_by_root(g, jnp.where(first, 1, s / c), eps)
            m = ema(m, g, b1)
            s = ema(s, abs_sq(g - m), b2) + eps_root
            return u, m, s

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByBeliefState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def acprop(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
):
    """ACProp: gradients over the previous centered second moment, with decoupled weight decay.

        u = g / (√(s / (1 − b2ᵗ⁻¹)) + eps),    in the first step g / (1 + eps)
        θ ← θ − η·(u + λθ)
        m ← b1·m + (1 − b1)·g,    s ← b2·s + (1 − b2)·(g − m)² + eps_root

    In the first step there is no estimate of s yet, and ŝ = 1 is used.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.acprop(0.1, b1=0.5), jnp.zeros(1)
    >>> u, state = tx.update(jnp.array([2.0]), tx.init(params), params)
    >>> u, tx.update(jnp.array([3.0]), state, params)[0].round(6)  # s is 1 then
    (Array([-0.2], dtype=float32), Array([-0.3], dtype=float32))

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared deviation, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added to s in each step, in the units of the squared gradient.
        weight_decay: λ ≥ 0, decoupled from the gradient.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Zhuang et al., Momentum centering and asynchronous update for adaptive gradient
        methods, 2021, https://arxiv.org/abs/2110.05454
    """
    return chain(
        scale_by_acprop(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

"""Adan: adaptive Nesterov momentum from gradient differences; and proximal weight decay."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import (
    abs_sq,
    after,
    debias,
    divide_by_root,
    ema,
    increment,
    zero_count,
)
from gdjax.core.rule.roles import Count, LastGradient, Mean, MeanSquare
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import masked_params

__all__ = ["ScaleByAdanState", "adan", "proximal_decay", "scale_by_adan"]


class ScaleByAdanState(NamedTuple):
    """State of `scale_by_adan`."""

    m: Mean  # of the gradients
    v: Mean  # of their differences
    n: MeanSquare  # of the gradients one step ahead
    g: LastGradient
    t: Count


@transformation
def scale_by_adan(
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 1e-8,
):
    """Adan scaling: Nesterov momentum from gradient differences over the root of its square.

        d = g − g₋,    in the first step 0
        m ← b1·m + (1 − b1)·g               m̂ = m / (1 − b1ᵗ)
        v ← b2·v + (1 − b2)·d               v̂ = v / (1 − b2ᵗ)
        n ← b3·n + (1 − b3)·|g + b2·d|²     n̂ = n / (1 − b3ᵗ)
        u = (m̂ + b2·v̂) / (√(n̂ + eps_root) + eps)

    The paper's β are 1 − b. The paper starts with m = g and n = g²; its authors' code, and this,
    start at 0 and correct the bias.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_adan(b1=0.9), gd.scale_by_learning_rate(0.01))
    chain(scale_by_adan(b1=0.9), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        b3: In [0, 1).
        eps: In the units of the gradient, ≥ 0.
        eps_root: In the units of the squared gradient, ≥ 0.

    Reference: Xie et al., Adan: adaptive Nesterov momentum algorithm for faster optimizing deep
        models, 2022, https://arxiv.org/abs/2208.06677
    """

    def init(params):
        return ScaleByAdanState(
            tree.moment_like(params),
            tree.moment_like(params),
            tree.square_like(params),
            tree.moment_like(params),
            zero_count(),
        )

    def update(updates, state, params=None, **extra):
        t = increment(state.t)
        c1, c2, c3 = debias(b1, t), debias(b2, t), debias(b3, t)

        def leaf(g, m, v, n, before):
            d = jnp.where(t == 1, 0, g - before)
            m, v = ema(m, g, b1), ema(v, d, b2)
            n = ema(n, abs_sq(g + b2 * d), b3)
            ahead = m / c1 + b2 * (v / c2)
            return divide_by_root(ahead, n / c3 + eps_root, eps), m, v, n, after(g, v, n)

        trees = updates, state.m, state.v, state.n, state.g
        updates, m, v, n, before = tree.evolve(leaf, trees)
        return updates, ScaleByAdanState(m, v, n, before, t)

    return init, update


@transformation
def proximal_decay(weight_decay: WeightDecay = 0.0, mask: Mask = None):
    """Proximal weight decay: shrinks the weights after the step, θ + u = (θ + g) / (1 + λ).

        u = (g − λθ) / (1 + λ)

    It belongs after the learning rate, and is the proximal step of λ/2·‖θ‖²: it does not change
    the sign of θ + g, however large λ is.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.proximal_decay(1.0).update(jnp.array([2.0]), gd.EmptyState(), jnp.array([8.0]))[0]
    Array([-3.], dtype=float32)

    Args:
        weight_decay: λ ≥ 0; the product ηλ where a paper multiplies the decay by the rate.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params, or the mask does not fit them.

    Reference: Zhuang et al., Understanding AdamW through proximal methods and scale-freeness,
        2022, https://arxiv.org/abs/2202.00089
    """

    def update(updates, state, params=None, **extra):
        errors.need_params("proximal_decay", params)

        def leaf(g, p):
            return g if p is None else (g - weight_decay * p) / (1 + weight_decay)

        return tree.map(leaf, updates, masked_params(params, mask, "proximal_decay")), state

    return lambda params: EmptyState(), update


@transformation(kind="optimizer")
def adan(
    learning_rate: LearningRate,
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
):
    """Adan: adaptive Nesterov momentum from gradient differences, with proximal weight decay.

        d = g − g₋,    in the first step 0
        m ← b1·m + (1 − b1)·g,  v ← b2·v + (1 − b2)·d,  n ← b3·n + (1 − b3)·(g + b2·d)²
        θ ← (θ − η·(m̂ + b2·v̂) / (√(n̂ + eps_root) + eps)) / (1 + ηλ)
        m̂, v̂ and n̂ of `scale_by_adan`

    m̂, v̂ and n̂ are m, v and n with bias correction. The paper's β are 1 − b.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.adan(0.5), jnp.zeros(2)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(params), params)[0].round(5)
    Array([-0.5,  0.5], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean difference, in [0, 1), and the weight of the difference.
        b3: Decay of the mean square, in [0, 1).
        eps: In the units of the gradient.
        eps_root: In the units of the squared gradient, ≥ 0.
        weight_decay: λ ≥ 0, by `proximal_decay`.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Xie et al., Adan: adaptive Nesterov momentum algorithm for faster optimizing deep
        models, 2022, https://arxiv.org/abs/2208.06677
    """
    return chain(
        scale_by_adan(b1, b2, b3, eps, eps_root),
        scale_by_learning_rate(learning_rate),
        proximal_decay(learning_rate * weight_decay, mask),
    )

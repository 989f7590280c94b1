"""Adamax: Adam with the exponentially weighted infinity norm of the gradients."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import debias, ema, increment, like, safe_divide, zero_count
from gdjax.optimizers.adam.adam import ScaleByAdamState
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["adamax", "adamaxw", "scale_by_adamax"]


@transformation
def scale_by_adamax(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8):
    """Adamax scaling: first moment over the exponentially weighted infinity norm of gradients.

        m ← b1·m + (1 − b1)·g               v ← max(b2·v, |g| + eps)
        u = m / ((1 − b1ᵗ)·v)

    The paper has no eps. With eps = 0, u is 0 where all gradients were 0.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_adamax(b2=0.99), gd.scale_by_learning_rate(0.01))
    chain(scale_by_adamax(b2=0.99), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.

    Reference: Kingma and Ba, Adam: a method for stochastic optimization, 2014,
        https://arxiv.org/abs/1412.6980
    """

    def init(params):
        return ScaleByAdamState(zero_count(), tree.moment_like(params), tree.square_like(params))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c = debias(b1, t)

        def leaf(g, m, v):
            m = ema(m, g, b1)
            v = jnp.maximum(b2 * v, jnp.abs(g) + eps)
            return safe_divide(m / c, like(v, m)), m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByAdamState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def adamax(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
):
    """Adamax: Adam with an exponentially weighted infinity norm in place of the second moment.

        m ← b1·m + (1 − b1)·g,    v ← max(b2·v, |g| + eps)
        θ ← θ − η·m / ((1 − b1ᵗ)·v)

    No step moves a coordinate by more than η while b1 < b2.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.adamax(0.1)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(6)
    Array([-0.1,  0.1], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the largest gradient, in [0, 1).
        eps: In the units of the gradient.

    Reference: Kingma and Ba, Adam: a method for stochastic optimization, 2014,
        https://arxiv.org/abs/1412.6980
    """
    return chain(scale_by_adamax(b1, b2, eps), scale_by_learning_rate(learning_rate))


@transformation(kind="optimizer")
def adamaxw(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 1e-4,
    mask: Mask = None,
):
    """AdamaxW: Adamax with decoupled weight decay, scaled by the learning rate.

        θ ← θ − η·(m / ((1 − b1ᵗ)·v) + λθ),   m and v of `adamax`

    >>> import gdjax as gd
    >>> gd.adamaxw(2e-3, weight_decay=0.1)
    adamaxw(learning_rate=0.002, weight_decay=0.1)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the largest gradient, in [0, 1).
        eps: In the units of the gradient.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Loshchilov and Hutter, Decoupled weight decay regularization, 2017,
        https://arxiv.org/abs/1711.05101; Kingma and Ba, Adam: a method for stochastic
        optimization, 2014, https://arxiv.org/abs/1412.6980
    """
    return chain(
        scale_by_adamax(b1, b2, eps),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

"""NAdam: Adam with Nesterov momentum, constant or by Dozat's schedule."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import (
    abs_sq,
    debias,
    divide_by_root,
    ema,
    increment,
    weak,
    zero_count,
)
from gdjax.core.rule.roles import Count, Mean, MeanSquare, Scalar
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["ScaleByNadamState", "nadam", "nadamw", "scale_by_nadam"]


class ScaleByNadamState(NamedTuple):
    """State of `scale_by_nadam`."""

    count: Count
    mu_product: Scalar  # μ₁·…·μₜ
    mu: Mean  # of the gradients
    nu: MeanSquare  # of the gradients


@transformation
def scale_by_nadam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    momentum_decay: NonNegative = 4e-3,
):
    """NAdam scaling with Dozat's momentum schedule: Adam with a Nesterov momentum that rises to b1.

        m ← b1·m + (1 − b1)·g               v ← b2·v + (1 − b2)·|g|²
        μₜ = b1·(1 − ½·0.96^(ψt))           P ← P·μₜ,    P₀ = 1
        m̂ = μₜ₊₁·m / (1 − P·μₜ₊₁) + (1 − μₜ)·g / (1 − P)
        u = m̂ / (√(v / (1 − b2ᵗ)) + eps)

    This is what torch and Keras call NAdam. The paper averages m with μₜ as well; torch, Keras and
    this rule average it with b1. With a constant μ = b1 it is `scale_by_adam(nesterov=True)`, the
    rule of `nadam`.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_nadam(), gd.scale_by_learning_rate(2e-3))
    chain(scale_by_nadam(), scale_by_learning_rate(learning_rate=0.002))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.
        momentum_decay: ψ ≥ 0, how fast μ rises from b1/2 to b1; 0 keeps it at b1/2.

    Reference: Dozat, Incorporating Nesterov momentum into Adam, 2016,
        https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """

    def init(params):
        one = tree.scalar_like(params, 1.0)
        return ScaleByNadamState(
            zero_count(), one, tree.moment_like(params), tree.square_like(params)
        )

    def update(updates, state, params=None, **extra):
        t = increment(state.count)

        def momentum(t):
            return b1 * (1 - 0.5 * 0.96 ** (momentum_decay * t.astype(state.mu_product.dtype)))

        now, ahead = momentum(t), momentum(increment(t))
        product = state.mu_product * now
        of_g = weak((1 - now) / (1 - product))
        of_m = weak(ahead / (1 - product * ahead))
        c = debias(b2, t)

        def leaf(g, m, v):
            m = ema(m, g, b1)
            v = ema(v, abs_sq(g), b2)
            return divide_by_root(of_m * m + of_g * g, v / c, eps), m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByNadamState(t, product, mu, nu)

    return init, update


@transformation(kind="optimizer")
def nadam(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
):
    """NAdam: Adam with Nesterov momentum.

        m ← b1·m + (1 − b1)·g,    v ← b2·v + (1 − b2)·g²
        m̂ = b1·m / (1 − b1ᵗ⁺¹) + (1 − b1)·g / (1 − b1ᵗ),    v̂ = v / (1 − b2ᵗ)
        θ ← θ − η · m̂ / (√v̂ + eps)

    It is `adam(nesterov=True)`: the paper's rule with a constant momentum. torch and Keras let the
    momentum rise by a schedule; for that, use `scale_by_nadam`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.nadam(0.1, b1=0.5)  # the first step is (1 + b1 / (1 + b1))·η
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))[0].round(3)
    Array([-0.133], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.

    Reference: Dozat, Incorporating Nesterov momentum into Adam, 2016,
        https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=True),
        scale_by_learning_rate(learning_rate),
    )


@transformation(kind="optimizer")
def nadamw(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    weight_decay: WeightDecay = 1e-4,
    mask: Mask = None,
):
    """NAdamW: Adam with Nesterov momentum and decoupled weight decay.

        θ ← θ − η·(m̂ / (√v̂ + eps) + λθ),   m̂ and v̂ of `nadam`

    >>> import gdjax as gd
    >>> gd.nadamw(1e-3, weight_decay=0.1)
    nadamw(learning_rate=0.001, weight_decay=0.1)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Loshchilov and Hutter, Decoupled weight decay regularization, 2017,
        https://arxiv.org/abs/1711.05101; Dozat, Incorporating Nesterov momentum into Adam, 2016,
        https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=True),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

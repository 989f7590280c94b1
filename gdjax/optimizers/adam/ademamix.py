"""AdEMAMix: Adam with a fast and a slow moving average of the gradient; its simplified form."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.core.rule.roles import Count, Mean, MeanSquare, SlowMean
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = [
    "ScaleByAdemamixState",
    "ScaleBySimplifiedAdEMAMixState",
    "ademamix",
    "scale_by_ademamix",
    "scale_by_simplified_ademamix",
    "simplified_ademamix",
]


class ScaleByAdemamixState(NamedTuple):
    """State of `scale_by_ademamix`."""

    count: Count
    count_m2: Count  # steps of m2, equal to count
    m1: Mean  # of the gradients
    m2: SlowMean  # of the gradients
    nu: MeanSquare  # of the gradients


@transformation
def scale_by_ademamix(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: NonNegative = 5.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
):
    """AdEMAMix scaling: fast plus slow average of the gradient over the root of the second moment.

        m₁ ← b1·m₁ + (1 − b1)·g             m̂₁ = m₁ / (1 − b1ᵗ)
        m₂ ← b3·m₂ + (1 − b3)·g
        v ← b2·v + (1 − b2)·|g|²            v̂ = v / (1 − b2ᵗ)
        u = (m̂₁ + α·m₂) / (√(v̂ + eps_root) + eps)

    The slow mean is not bias-corrected: it starts at zero and comes in gradually.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_ademamix()
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(2)
    Array([ 1., -1.], dtype=float32)

    Args:
        b1: Decay of the fast mean, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        b3: Decay of the slow mean, in [0, 1). The paper lets it rise from b1.
        alpha: α ≥ 0, the weight of the slow mean. The paper lets it rise from 0.
        eps: In the units of the gradient, ≥ 0.
        eps_root: In the units of the squared gradient, ≥ 0.
        mu_dtype: Dtype in which m₁ is kept; float32 or wider by default. m₂ stays wide: a
            step changes it by one part in ten thousand, which would be lost in 16 bits.

    Reference: Pagliardini, Ablin and Grangier, The AdEMAMix optimizer: better, faster, older, 2024,
        https://arxiv.org/abs/2409.03137
    """

    def init(params):
        return ScaleByAdemamixState(
            zero_count(),
            zero_count(),
            tree.moment_like(params, mu_dtype),
            tree.moment_like(params),
            tree.square_like(params),
        )

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c1, c2 = debias(b1, t), debias(b2, t)

        def leaf(g, m1, m2, v):
            m1 = ema(m1, g, b1)
            m2 = ema(m2, g, b3)
            v = ema(v, abs_sq(g), b2)
            return divide_by_root(m1 / c1 + alpha * m2, v / c2 + eps_root, eps), m1, m2, v

        updates, m1, m2, nu = tree.evolve(leaf, (updates, state.m1, state.m2, state.nu))
        return updates, ScaleByAdemamixState(t, increment(state.count_m2), m1, m2, nu)

    return init, update


@transformation(kind="optimizer")
def ademamix(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: NonNegative = 5.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
):
    """AdEMAMix: AdamW with a second, slow average of the gradient, over some ten thousand steps.

        θ ← θ − η·((m̂₁ + α·m₂) / (√v̂ + eps) + λθ),    m̂₁, m₂ and v̂ of `scale_by_ademamix`

    m₁ is Adam's fast mean, m₂ a slow one. Training is stable if α and b3 rise over the first T
    steps: α linearly from 0, b3 so that the half-life of the mean grows linearly from that of b1.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.ademamix(0.1, alpha=lambda step: jnp.minimum(5.0 * step / 1000, 5.0))
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0].round(6)
    Array([-0.1,  0.1], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the fast mean, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        b3: Decay of the slow mean, in [0, 1).
        alpha: α ≥ 0, the weight of the slow mean.
        eps: In the units of the gradient.
        eps_root: Added under the root.
        mu_dtype: Dtype in which m₁ is kept; float32 or wider by default.
        weight_decay: λ ≥ 0, scaled by the rate.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Pagliardini, Ablin and Grangier, The AdEMAMix optimizer: better, faster, older, 2024,
        https://arxiv.org/abs/2409.03137
    """
    return chain(
        scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    """State of `scale_by_simplified_ademamix`."""

    t: Count
    m: Mean  # decayed sum of the gradients
    n: MeanSquare  # of the gradients


@transformation
def scale_by_simplified_ademamix(
    b1: Decay = 0.99,
    b2: Decay = 0.95,
    alpha: NonNegative = 0.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
):
    """Simplified AdEMAMix scaling: α·g plus a momentum sum over the root of the second moment.

        m ← b1·m + g
        n ← b2·n + (1 − b2)·|g|²            n̂ = n / (1 − b2ᵗ)
        u = (α·g + m) / (√(n̂ + eps_root) + eps)

    The sum has no factor (1 − b1): it grows to 1/(1 − b1) times the mean, and so do the updates.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_simplified_ademamix()
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(2)
    Array([ 1., -1.], dtype=float32)

    Args:
        b1: Decay of the sum, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        alpha: α ≥ 0, the weight of the present gradient beside the sum.
        eps: In the units of the gradient, ≥ 0.
        eps_root: In the units of the squared gradient, ≥ 0.

    Reference: Morwani et al., Connections between schedule-free optimizers, AdEMAMix, and
        accelerated SGD variants, 2025, https://arxiv.org/abs/2502.02431
    """

    def init(params):
        return ScaleBySimplifiedAdEMAMixState(
            zero_count(), tree.moment_like(params), tree.square_like(params)
        )

    def update(updates, state, params=None, **extra):
        t = increment(state.t)
        c2 = debias(b2, t)

        def leaf(g, m, n):
            m = b1 * m + g
            n = ema(n, abs_sq(g), b2)
            return divide_by_root(alpha * g + m, n / c2 + eps_root, eps), m, n

        updates, m, n = tree.evolve(leaf, (updates, state.m, state.n))
        return updates, ScaleBySimplifiedAdEMAMixState(t, m, n)

    return init, update


@transformation(kind="optimizer")
def simplified_ademamix(
    learning_rate: LearningRate,
    b1: Decay = 0.99,
    b2: Decay = 0.95,
    alpha: NonNegative = 0.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
):
    """Simplified AdEMAMix: AdamW with α·g plus one momentum sum in place of the two averages.

        m ← b1·m + g
        θ ← θ − η·((α·g + m) / (√n̂ + eps) + λθ),    n̂ of `scale_by_simplified_ademamix`

    The rate is that of Adam divided by about 1/(1 − b1). Large batches want α = 0, small ones a
    large α.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.simplified_ademamix(0.01, alpha=4.0)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0].round(6)
    Array([-0.05,  0.05], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the sum of gradients, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        alpha: α ≥ 0, the weight of the present gradient.
        eps: In the units of the gradient.
        eps_root: Added under the root.
        weight_decay: λ ≥ 0, scaled by the rate.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Morwani et al., Connections between schedule-free optimizers, AdEMAMix, and
        accelerated SGD variants, 2025, https://arxiv.org/abs/2502.02431
    """
    return chain(
        scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

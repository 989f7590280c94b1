"""LaProp: momentum of gradients that are normalized first."""

from __future__ import annotations

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.optimizers.adam.adam import ScaleByAdamState
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["laprop", "scale_by_laprop"]


@transformation
def scale_by_laprop(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-15):
    """LaProp scaling: momentum of gradients, each divided by the root of the second moment.

        v ← b2·v + (1 − b2)·|g|²            v̂ = v / (1 − b2ᵗ)
        m ← b1·m + (1 − b1)·g / (√v̂ + eps)
        u = m / (1 − b1ᵗ)

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_laprop(b2=0.9), gd.scale_by_learning_rate(0.01))
    chain(scale_by_laprop(b2=0.9), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: μ of the paper, in [0, 1).
        b2: ν of the paper, in [0, 1).
        eps: In the units of the gradient, ≥ 0.

    Reference: Ziyin, Wang and Ueda, LaProp: separating momentum and adaptivity in Adam, 2020,
        https://arxiv.org/abs/2002.04839
    """

    def init(params):
        return ScaleByAdamState(zero_count(), tree.moment_like(params), tree.square_like(params))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c1, c2 = debias(b1, t), debias(b2, t)

        def leaf(g, m, v):
            v = ema(v, abs_sq(g), b2)
            m = ema(m, divide_by_root(g, v / c2, eps), b1)
            return m / c1, m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByAdamState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def laprop(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-15,
):
    """LaProp: momentum of gradients that are first divided by the root of the second moment.

        v ← b2·v + (1 − b2)·g²
        m ← b1·m + (1 − b1)·g / (√v̂ + eps),    v̂ = v / (1 − b2ᵗ)
        θ ← θ − η·m / (1 − b1ᵗ)

    Adam divides old gradients by a new v; here each term of m is at most 1 / √(1 − b2), so b1
    and b2 may be chosen freely. With b2 = 0 it is momentum of the signs of the gradients.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.laprop(0.1, b1=0.5, b2=0.0)
    >>> _, state = tx.update(jnp.array([30.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([-0.2]), state)[0].round(4)  # (0.5 − 1) / 1.5 · 0.1
    Array([0.0333], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: μ of the paper, the decay of the momentum, in [0, 1).
        b2: ν of the paper, the decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.

    Reference: Ziyin, Wang and Ueda, LaProp: separating momentum and adaptivity in Adam, 2020,
        https://arxiv.org/abs/2002.04839
    """
    return chain(scale_by_laprop(b1, b2, eps), scale_by_learning_rate(learning_rate))

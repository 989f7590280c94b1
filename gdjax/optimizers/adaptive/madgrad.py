"""MADGRAD: momentumized, adaptive, dual averaged gradients: AdaGrad with a cube root."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import abs_sq, increment, safe_divide, weak, zero_count
from gdjax.core.rule.roles import Count, PerParam, SlowMean, SumOfSquares
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["MadgradState", "madgrad", "scale_by_madgrad"]


class MadgradState(NamedTuple):
    """State of `scale_by_madgrad`."""

    count: Count
    grad_sum_sq: SumOfSquares  # of the gradients, weighted
    s: SlowMean  # weighted sum of the gradients
    x0: PerParam  # the initial parameters


@transformation
def scale_by_madgrad(learning_rate: LearningRate, momentum: Decay = 0.9, eps: NonNegative = 1e-6):
    """MADGRAD steps, learning rate included: dual averaging with a cube root and momentum.

        λ = η·√t
        s ← s + λ·g,    v ← v + λ·|g|²
        z = θ₀ − s / (∛v + eps)
        θ ← c·z + (1 − c)·θ,    c = 1 − momentum

    The learning rate is part of the rule: its updates are added to the parameters unscaled.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, x = gd.scale_by_madgrad(1.0, momentum=0.5), jnp.zeros(2)
    >>> tx.update(jnp.array([8.0, -1.0]), tx.init(x), x)[0].round(2)
    Array([-1. ,  0.5], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        momentum: In [0, 1).
        eps: In the units of ∛v, ≥ 0. The authors' code adds it to η as well.

    Raises:
        ValueError: `update` was called without params.

    Reference: Defazio and Jelassi, Adaptivity without compromise: a momentumized, adaptive, dual
        averaged gradient method for stochastic optimization, 2021,
        https://arxiv.org/abs/2101.11075
    """

    def init(params):
        return MadgradState(
            zero_count(), tree.square_like(params), tree.moment_like(params), tree.copy(params)
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("scale_by_madgrad", params)
        t = increment(state.count)
        rate = learning_rate * weak(jnp.sqrt(t.astype(float)))

        def leaf(g, v, s, x0, x):
            s = s + rate * g
            v = v + rate * abs_sq(g)
            z = x0 - safe_divide(s, (_cube_root(v) + eps).astype(s.dtype))
            return (1 - momentum) * (z - x), v, s

        moments = updates, state.grad_sum_sq, state.s
        updates, v, s = tree.evolve(leaf, moments, state.x0, params)
        return updates, MadgradState(t, v, s, state.x0)

    return init, update


def _cube_root(v: jax.Array) -> jax.Array:
    """∛v for v ≥ 0, with derivative 0 at 0 instead of infinity."""
    zero = v == 0
    return jnp.where(zero, 0, jnp.cbrt(jnp.where(zero, 1, v)))


@transformation(kind="optimizer")
def madgrad(
    learning_rate: LearningRate,
    momentum: Decay = 0.9,
    weight_decay: WeightDecay = 0.0,
    eps: NonNegative = 1e-6,
    *,
    mask: Mask = None,
):
    """MADGRAD: momentumized, adaptive, dual averaged gradients, with a cube root.

        g ← g + λθ
        s ← s + η√t·g,    v ← v + η√t·g²
        θ ← c·(θ₀ − s / (∛v + eps)) + (1 − c)·θ,    c = 1 − momentum

    All gradients count, later ones more. The scale of the rate differs from other optimizers':
    sweep it from 1e-4 upwards. It needs less weight decay than other methods, often none.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> tx, x = gd.madgrad(0.1), jnp.array([1.0, -2.0])
    >>> state = tx.init(x)
    >>> for _ in range(50):
    ...     x, state = tx.step(2 * x, state, x)
    >>> bool(jnp.all(jnp.abs(x) < 0.2))
    True

    Args:
        learning_rate: η ≥ 0.
        momentum: In [0, 1).
        weight_decay: λ ≥ 0: L2 regularization, λθ is added to the gradient.
        eps: In the units of ∛v, ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Defazio and Jelassi, Adaptivity without compromise: a momentumized, adaptive, dual
        averaged gradient method for stochastic optimization, 2021,
        https://arxiv.org/abs/2101.11075
    """
    decay = add_decayed_weights(weight_decay, mask)
    return chain(decay, scale_by_madgrad(learning_rate, momentum, eps))

"""MARS: variance-reduced gradients for an optimizer."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, NonNegative, Positive
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import numerics, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, LastGradient

__all__ = ["MarsState", "mars"]


class MarsState(NamedTuple):
    """State of `mars`."""

    count: Count
    last_grad: LastGradient
    inner_state: Any


@transformation(kind="wrapper")
def mars(inner: Any, gamma: NonNegative = 0.025, b1: Decay = 0.95, max_norm: Positive | None = 1.0):
    """MARS: variance reduction of the gradients by their change since the last step, and a clip.

        c = g + γ·b1/(1 − b1)·(g − g₋), in the first step g
        q = c
        with max_norm: q = c · min(1, ρ/‖c‖)
        u = inner(q)

    Norms are of each array.

    This is the approximate form of the paper, which the paper uses: g₋ is the gradient of the
    previous batch, so no gradient is computed twice.

    >>> import gdjax as gd
    >>> gd.mars(gd.adamw(3e-3, b1=0.95, b2=0.99), b1=0.95)
    mars(inner=adamw(learning_rate=0.003, b1=0.95, b2=0.99), b1=0.95)

    Args:
        inner: The optimizer.
        gamma: γ ≥ 0, the strength of the correction.
        b1: In [0, 1), the decay of the first moment of `inner`.
        max_norm: ρ > 0, the largest norm of the corrected gradient of an array, in the units of
            the gradient; None does not clip, as for Lion in the paper.

    Reference: Yuan et al., MARS: unleashing the power of variance reduction for training large
        models, 2024, https://arxiv.org/abs/2411.10438
    """

    def init(params):
        return MarsState(zero_count(), tree.moment_like(params), inner.init(params))

    def update(updates, state, params=None, **extra):
        strength = gamma * b1 / (1 - b1)

        def leaf(g, last):
            c = g + strength * jnp.where(state.count == 0, 0, g - last)
            if max_norm is not None:
                length = numerics.norm(c)
                longer = length > max_norm
                c = c * jnp.where(longer, max_norm / jnp.where(longer, length, 1), 1).astype(
                    c.dtype
                )
            return c, g

        corrected, last = tree.evolve(leaf, (updates, state.last_grad))
        updates, inner_state = call_update(inner, corrected, state.inner_state, params, extra)
        return updates, MarsState(increment(state.count), last, inner_state)

    return Rule(init, update, children=(Child("inner", inner, at="inner_state"),))

"""ADOPT: Adam that divides each gradient by the second moment of the steps before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import (
    abs_sq,
    after,
    ema,
    increment,
    like,
    safe_divide,
    safe_sqrt,
    weak,
    zero_count,
)
from gdjax.optimizers.adam.adam import ScaleByAdamState
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["adopt", "scale_by_adopt"]


def fourth_root(t: jax.Array) -> jax.Array:
    """The bound of ADOPT's clipping after t steps, t^¼."""
    return t**0.25


@transformation
def scale_by_adopt(
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: NonNegative = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Any], Any] = fourth_root,
):
    """ADOPT scaling: momentum of gradients over the root of the previous second moment.

        step 1:    v ← |g|²,  u = 0
        step t:    ĝ = g / max(√v, eps)
                   m ← b1·m + (1 − b1)·ĝ,  u = m
                   v ← b2·v + (1 − b2)·|g|²
        with use_clipping:    ĝ = clip(g / max(√v, eps), ±(t − 1)^¼)
        with nesterov:        u = b1·m + (1 − b1)·ĝ

    The first gradient only initializes v. Since g and v are independent, the method converges with
    any b2.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_adopt(b2=0.99), gd.scale_by_learning_rate(0.01))
    chain(scale_by_adopt(b2=0.99), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: Least denominator, in the units of the gradient, ≥ 0.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum, as optax does; not in the paper.
        use_clipping: Clips ĝ, as the paper's second algorithm does; its first does not.
        clip_value_fn: The bound as a function of t, [] floating-point.

    Reference: Taniguchi et al., ADOPT: modified Adam can converge with any β2 with the optimal
        rate, 2024, https://arxiv.org/abs/2411.02853
    """

    def init(params):
        return ScaleByAdamState(
            zero_count(), tree.moment_like(params, mu_dtype), tree.square_like(params)
        )

    def update(updates, state, params=None, **extra):
        first = state.count == 0
        bound = weak(clip_value_fn(state.count.astype(float))) if use_clipping else None

        def leaf(g, m, v):
            h = safe_divide(g, like(jnp.maximum(safe_sqrt(v), eps), g))
            if bound is not None:  # of the absolute value, also for complex gradients
                h = h * like(safe_divide(bound, jnp.maximum(jnp.abs(h), bound)), h)
            m = jnp.where(first, m, ema(m, h, b1))
            u = jnp.where(first, 0, ema(m, h, b1)) if nesterov else m
            return u, m, after(jnp.where(first, abs_sq(g), ema(v, abs_sq(g), b2)), m)

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByAdamState(increment(state.count), mu, nu)

    return init, update


@transformation(kind="optimizer")
def adopt(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: NonNegative = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[Any], Any] = fourth_root,
):
    """ADOPT: Adam that divides by the previous second moment, and converges with any b2.

        step 1:    v ← g²
        step t:    ĝ = g / max(√v, eps)
                   m ← b1·m + (1 − b1)·ĝ,  θ ← θ − η·m
                   v ← b2·v + (1 − b2)·g²
        with use_clipping:    ĝ = clip(g / max(√v, eps), ±(t − 1)^¼)
        with nesterov:        θ ← θ − η·(b1·m + (1 − b1)·ĝ)

    It converges with any b2, where Adam need not. The first update is zero.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.adopt(0.1)
    >>> u, state = tx.update(jnp.array([30.0, 0.2]), tx.init(jnp.zeros(2)))
    >>> u, tx.update(jnp.array([15.0, 9.0]), state)[0].round(6)  # (1 − b1)·η·[½, 1]
    (Array([-0., -0.], dtype=float32), Array([-0.005, -0.01 ], dtype=float32))

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: Least denominator, in the units of the gradient.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum.
        use_clipping: Clips ĝ.
        clip_value_fn: The bound as a function of t, [] floating-point.

    Reference: Taniguchi et al., ADOPT: modified Adam can converge with any β2 with the optimal
        rate, 2024, https://arxiv.org/abs/2411.02853
    """
    rule = scale_by_adopt(
        b1,
        b2,
        eps,
        mu_dtype,
        nesterov=nesterov,
        use_clipping=use_clipping,
        clip_value_fn=clip_value_fn,
    )
    return chain(rule, scale_by_learning_rate(learning_rate))

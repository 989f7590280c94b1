"""RAdam: Adam with a rectified adaptive rate, which warms up as its variance shrinks."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import (
    abs_sq,
    debias,
    divide_by_root,
    ema,
    increment,
    safe_divide,
    safe_sqrt,
    weak,
    zero_count,
)
from gdjax.optimizers.adam.adam import ScaleByAdamState, one_ahead
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["radam", "scale_by_radam"]


def _langevin(y: jax.Array) -> jax.Array:
    """The series of coth y − 1/y for 0 ≤ y ≤ ¼, where both terms are large."""
    return y / 3 - y**3 / 45 + 2 * y**5 / 945 - y**7 / 4725 + 2 * y**9 / 93555


def _length(b2: Any, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The length of the moving average after t steps, ρ, and its limit, ρ∞; dtypes as t.

    In the first steps ρ = ρ∞ − 2t·b2ᵗ / (1 − b2ᵗ), with ρ∞ = 2 / (1 − b2) − 1, is a difference of
    large numbers, of which float32 leaves four digits. With y = −½·log b2 they are coth y and
    coth y − t·coth(ty) + t, whose large parts 1/y cancel: ρ = t + L(y) − t·L(ty).
    """
    t = t.astype(float)
    log = math.log(b2) if isinstance(b2, float) and b2 > 0 else jnp.log(jnp.maximum(b2, 1e-30))
    y = jnp.asarray(-0.5 * log).astype(t.dtype)
    final = 1 / jnp.tanh(y)
    late = final - 2 * t / jnp.expm1(jnp.minimum(2 * t * y, 80))
    early = t + _langevin(jnp.minimum(y, 0.25)) - t * _langevin(jnp.minimum(t * y, 0.25))
    return jnp.where(t * y < 0.25, early, late), final


@transformation
def scale_by_radam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: NonNegative = 5.0,
    *,
    nesterov: bool = False,
):
    """RAdam scaling: Adam with a variance-rectified rate, and plain momentum in the first steps.

        m ← b1·m + (1 − b1)·g               m̂ = m / (1 − b1ᵗ)
        v ← b2·v + (1 − b2)·|g|²            v̂ = v / (1 − b2ᵗ)
        ρ∞ = 2 / (1 − b2) − 1               ρ = ρ∞ − 2t·b2ᵗ / (1 − b2ᵗ)
        r = √((ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ))
        u = r·m̂ / (√(v̂ + eps_root) + eps) if ρ ≥ threshold and ρ > 4, else m̂
        with nesterov:                      m̂ = b1·m / (1 − b1ᵗ⁺¹) + (1 − b1)·g / (1 − b1ᵗ)

    With b2 ≤ 0.6 the length ρ never passes 4, and all steps are plain momentum.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_radam(b2=0.99), gd.scale_by_learning_rate(0.01))
    chain(scale_by_radam(b2=0.99), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0.
        eps_root: In the units of the squared gradient, ≥ 0.
        threshold: The least length of the average under which v̂ is used. The variance is finite
            from 4 on; the paper writes ρ > 4, its authors' code ρ ≥ 5.
        nesterov: Uses Nesterov momentum.

    Reference: Liu et al., On the variance of the adaptive learning rate and beyond, 2019,
        https://arxiv.org/abs/1908.03265
    """

    def init(params):
        return ScaleByAdamState(zero_count(), tree.moment_like(params), tree.square_like(params))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        of_m, of_v = debias(b1, t), debias(b2, t)
        of_next = debias(b1, increment(t)) if nesterov else None
        rho, final = _length(b2, t)
        ratio = safe_divide((rho - 4) * (rho - 2) * final, (final - 4) * (final - 2) * rho)
        r = weak(safe_sqrt(jnp.maximum(ratio, 0)))
        rectified = (rho >= threshold) & (rho > 4)

        def leaf(g, m, v):
            m = ema(m, g, b1)
            v = ema(v, abs_sq(g), b2)
            u = one_ahead(m, g, b1, of_m, of_next) if nesterov else m / of_m
            return jnp.where(rectified, r * divide_by_root(u, v / of_v + eps_root, eps), u), m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByAdamState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def radam(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: NonNegative = 5.0,
    *,
    nesterov: bool = False,
):
    """RAdam: rectified Adam, with an automatic warmup by the variance of the adaptive rate.

        θ ← θ − η·r·m̂ / (√v̂ + eps) if ρ ≥ threshold and ρ > 4, else θ − η·m̂
        r, ρ, m̂ and v̂ of `scale_by_radam`

    m̂ and v̂ are Adam's; r grows from 0 to 1 as the length ρ of the average of v approaches ρ∞: a
    warmup that follows from b2 and needs no tuning. See `scale_by_radam`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.radam(0.1)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(6)  # no denominators yet
    Array([-3.  ,  0.02], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        threshold: The least length of the average under which v̂ is used.
        nesterov: Uses Nesterov momentum.

    Reference: Liu et al., On the variance of the adaptive learning rate and beyond, 2019,
        https://arxiv.org/abs/1908.03265
    """
    return chain(
        scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov),
        scale_by_learning_rate(learning_rate),
    )

"""MoMo and MoMo-Adam: momentum with a model-based (Polyak-type) adaptive learning rate."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, Hyperparam, LearningRate, NonNegative, WeightDecay
from gdjax.core.engine.rule import Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import (
    abs_sq,
    debias,
    divide_by_root,
    ema,
    increment,
    safe_divide,
    weak,
    zero_count,
)
from gdjax.core.rule.roles import Count, Mean, MeanSquare, Scalar

__all__ = ["MomoAdamState", "MomoState", "momo", "momo_adam"]


class MomoState(NamedTuple):
    """State of `momo`."""

    exp_avg: Mean  # d, of the gradients
    barf: Scalar  # mean of the losses
    gamma: Scalar  # mean of ⟨g, θ⟩
    lb: Scalar  # lower bound of the loss
    count: Count


class MomoAdamState(NamedTuple):
    """State of `momo_adam`."""

    exp_avg: Mean  # d, of the gradients
    exp_avg_sq: MeanSquare  # of the gradients
    barf: Scalar  # mean of the losses
    gamma: Scalar  # mean of ⟨g, θ⟩
    lb: Scalar  # lower bound of the loss
    count: Count


def _step(
    rate: Any, shrink: Any, rho: Any, model: Any, along: Any, square: Any, bound: Any, least: Any
) -> tuple[jax.Array, jax.Array]:
    """The step size τ and the lower bound after it; with `least` the bound is estimated."""
    h = shrink * model + along
    if least is not None:  # a bound that the model reaches is too high: halve the model
        bound = jnp.where(
            h <= shrink * rho * bound, jnp.maximum(h / (2 * shrink * rho), least), bound
        )
    gap = jnp.maximum(h - shrink * rho * bound, 0)
    tau = jnp.minimum(rate / rho, safe_divide(gap, square))
    if least is not None:
        bound = jnp.maximum((model + along - 0.5 * tau * square) / rho, least)
    return tau, bound


@transformation(kind="optimizer")
def momo(
    learning_rate: LearningRate = 1.0,
    b1: Decay = 0.9,
    lower_bound: Hyperparam = 0.0,
    weight_decay: WeightDecay = 0.0,
    adapt_lower_bound: bool = False,
):
    """MoMo: momentum with a model-based (Polyak-type) adaptive learning rate, at most η.

        d ← β·d + (1 − β)·g, in the first step g
        f̄ ← β·f̄ + (1 − β)·f, in the first step f
        γ ← β·γ + (1 − β)·⟨g, θ⟩, in the first step ⟨g, θ⟩
        c = f*
        with adapt_lower_bound: c = max(h / (2 + 2ηλ), f*) if h ≤ (1 + ηλ)·b, else b
        h = (1 + ηλ)·(f̄ − γ) + ⟨d, θ⟩      τ = min(η, max(h − (1 + ηλ)·c, 0) / ‖d‖²)
        b ← max(f̄ − γ + ⟨d, θ⟩ − τ·‖d‖² / 2, f*)      b₀ = f*
        θ ← (θ − τ·d) / (1 + ηλ)

    With `adapt_lower_bound`, b is an estimate of the minimum from below, by the model h of the
    loss; where the model is not above it, it is halved first.

    `update` needs the loss as an extra argument: `tx.update(grads, state, params, value=loss)`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> loss = lambda x: jnp.sum(x**2)
    >>> gd.minimize(loss, jnp.array([3.0, 4.0]), gd.momo(), 1).params
    Array([1.5, 2. ], dtype=float32)

    Args:
        learning_rate: η ≥ 0, the greatest step; rather too large than too small.
        b1: β in [0, 1).
        lower_bound: f*, a lower bound of the loss.
        weight_decay: λ ≥ 0.
        adapt_lower_bound: Estimates f* from below during training.

    Raises:
        TypeError: `update` was called without `value`.
        ValueError: `update` was called without params.

    Reference: Schaipp, Ohana, Eickenberg, Defazio and Gower, MoMo: momentum models for adaptive
        learning rates, 2023, https://arxiv.org/abs/2305.07583
    """

    def init(params):
        zero = tree.scalar_like(params)
        bound = tree.scalar_like(params, lower_bound)
        return MomoState(tree.moment_like(params), zero, jnp.zeros_like(zero), bound, zero_count())

    def update(updates, state, params=None, *, value, **extra):
        errors.need_params("momo", params)
        keep = jnp.where(state.count == 0, 0, b1)  # the means start at the first values

        def mean(before, new):
            return ema(before, numerics.like(new, before), keep)

        d = tree.evolve(lambda g, d: (g, ema(d, g, weak(keep))), (updates, state.exp_avg))[1]
        f = mean(state.barf, value)
        gamma = mean(state.gamma, tree.vdot(updates, params))
        along, square = tree.vdot(d, params), tree.norm(d) ** 2
        shrink = 1 + learning_rate * weight_decay
        bound = state.lb if adapt_lower_bound else jnp.full_like(state.lb, lower_bound)
        tau, bound = _step(
            learning_rate,
            shrink,
            1,
            f - gamma,
            numerics.like(along, f),
            numerics.like(square, f),
            bound,
            lower_bound if adapt_lower_bound else None,
        )
        tau = weak(tau)
        pull = learning_rate * weight_decay
        u = tree.map(lambda g, d, x: -(tau * d + pull * x) / shrink, updates, d, params)
        return u, MomoState(d, f, gamma, bound, increment(state.count))

    return Rule(init, update, couples=True)


@transformation(kind="optimizer")
def momo_adam(
    learning_rate: LearningRate = 1e-2,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    lower_bound: Hyperparam = 0.0,
    weight_decay: WeightDecay = 0.0,
    adapt_lower_bound: bool = False,
):
    """MoMo-Adam: Adam with a model-based (Polyak-type) adaptive learning rate, at most η.

        d ← β₁·d + (1 − β₁)·g     f̄ ← β₁·f̄ + (1 − β₁)·f     γ ← β₁·γ + (1 − β₁)·⟨g, θ⟩
        v ← β₂·v + (1 − β₂)·|g|²     D = √(v / (1 − β₂ᵗ)) + eps     ρ = 1 − β₁ᵗ
        c = f*
        with adapt_lower_bound: c = max(h / (2ρ + 2ρηλ), f*) if h ≤ (1 + ηλ)·ρb, else b
        h = (1 + ηλ)·(f̄ − γ) + ⟨d, θ⟩
        τ = min(η / ρ, max(h − (1 + ηλ)·ρc, 0) / ⟨d, d / D⟩)
        b ← max((f̄ − γ + ⟨d, θ⟩ − τ·⟨d, d / D⟩ / 2) / ρ, f*)      b₀ = f*
        θ ← (θ − τ·d / D) / (1 + ηλ)

    With `adapt_lower_bound`, b is an estimate of the minimum as in `momo`. `update` needs the loss
    as an extra argument: `tx.update(grads, state, params, value=loss)`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> loss = lambda x: jnp.sum(x**2)
    >>> gd.minimize(loss, jnp.array([3.0, 4.0]), gd.momo_adam(1.0), 1).params.round(4)
    Array([2., 3.], dtype=float32)

    Args:
        learning_rate: η ≥ 0, the greatest rate; rather too large than too small.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: In the units of the gradient.
        lower_bound: f*, a lower bound of the loss.
        weight_decay: λ ≥ 0.
        adapt_lower_bound: Estimates f* from below during training.

    Raises:
        TypeError: `update` was called without `value`.
        ValueError: `update` was called without params.

    Reference: Schaipp, Ohana, Eickenberg, Defazio and Gower, MoMo: momentum models for adaptive
        learning rates, 2023, https://arxiv.org/abs/2305.07583
    """

    def init(params):
        zero = tree.scalar_like(params)
        return MomoAdamState(
            tree.moment_like(params),
            tree.square_like(params),
            zero,
            jnp.zeros_like(zero),
            tree.scalar_like(params, lower_bound),
            zero_count(),
        )

    def update(updates, state, params=None, *, value, **extra):
        errors.need_params("momo_adam", params)
        t = increment(state.count)
        rho, c2 = debias(b1, t), debias(b2, t)

        def leaf(g, d, v):
            d = ema(d, g, b1)
            v = ema(v, abs_sq(g), b2)
            return divide_by_root(d, v / c2, eps), d, v

        adam, d, v = tree.evolve(leaf, (updates, state.exp_avg, state.exp_avg_sq))
        f = ema(state.barf, numerics.like(value, state.barf), b1)
        gamma = ema(state.gamma, numerics.like(tree.vdot(updates, params), f), b1)
        shrink = 1 + learning_rate * weight_decay
        bound = state.lb if adapt_lower_bound else jnp.full_like(state.lb, lower_bound)
        tau, bound = _step(
            learning_rate,
            shrink,
            rho,
            f - gamma,
            numerics.like(tree.vdot(d, params), f),
            numerics.like(tree.vdot(d, adam), f),
            bound,
            lower_bound if adapt_lower_bound else None,
        )
        tau = weak(tau)
        pull = learning_rate * weight_decay
        u = tree.map(lambda a, x: -(tau * a + pull * x) / shrink, adam, params)
        return u, MomoAdamState(d, v, f, gamma, bound, t)

    return Rule(init, update, couples=True)

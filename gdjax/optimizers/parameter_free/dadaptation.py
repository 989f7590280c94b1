"""D-Adaptation: learning-rate-free AdamW, by a lower bound on the distance to the solution."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.rule import Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import (
    abs_sq,
    debias,
    divide_by_root,
    ema,
    increment,
    weak,
    zero_count,
)
from gdjax.core.rule.roles import Count, Mean, MeanSquare, Scalar, SlowMean
from gdjax.optimizers.parameter_free.prodigy import Fixed, Start
from gdjax.transforms.decay import masked_params

__all__ = ["DAdaptAdamWState", "dadapt_adamw"]


class DAdaptAdamWState(NamedTuple):
    """State of `dadapt_adamw`."""

    exp_avg: Mean  # of d·γ·g
    exp_avg_sq: MeanSquare  # of g
    grad_sum: SlowMean  # s, a longer mean of d·γ·g
    estim_lr: Scalar  # d
    numerator_weighted: Scalar  # r
    count: Count


@transformation(kind="optimizer")
def dadapt_adamw(
    learning_rate: LearningRate = 1.0,
    betas: tuple[Fixed, Fixed] = (0.9, 0.999),
    eps: NonNegative = 1e-8,
    estim_lr0: Start = 1e-6,
    weight_decay: WeightDecay = 0.0,
    *,
    mask: Mask = None,
):
    """D-Adaptation for AdamW: learning-rate-free, by a bound on the distance to the solution.

        γ = η·√(1 − β₂ᵗ) / (1 − β₁ᵗ),       β₃ = √β₂
        r ← β₃·r + (1 − β₃)·dγ·⟨g, s₋ / (√v₋ + eps)⟩
        m ← β₁·m + (1 − β₁)·dγ·g            v ← β₂·v + (1 − β₂)·|g|²
        s ← β₃·s + (1 − β₃)·dγ·g
        θ ← θ − m / (√v + eps) − dγλθ
        d ← max(d, r / ((1 − β₃)·‖s‖₁))     d₀ = estim_lr0

    The rate needs no tuning: leave η at 1, or use a schedule that begins at 1. While the gradients
    are zero, d does not change.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> loss = lambda x: jnp.sum((x - 30.0) ** 2)
    >>> result = gd.minimize(loss, jnp.zeros(2), gd.dadapt_adamw(), 500)
    >>> bool(loss(result.params) < 1.0)
    True

    Args:
        learning_rate: η ≥ 0, a factor of the rate that is found.
        betas: β₁ and β₂, each in [0, 1).
        eps: In the units of the gradient.
        estim_lr0: d in the first step, > 0; smaller than the distance to the solution.
        weight_decay: λ ≥ 0, decoupled from the gradient.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Defazio and Mishchenko, Learning-rate-free learning by D-Adaptation, 2023,
        https://arxiv.org/abs/2301.07733
    """
    b1, b2 = map(weak, betas)
    b3 = b2**0.5

    def init(params):
        return DAdaptAdamWState(
            exp_avg=tree.moment_like(params),
            exp_avg_sq=tree.square_like(params),
            grad_sum=tree.moment_like(params),
            estim_lr=tree.scalar_like(params, estim_lr0),
            numerator_weighted=tree.scalar_like(params),
            count=zero_count(),
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("dadapt_adamw", params)
        t = increment(state.count)
        rate = weak(state.estim_lr) * learning_rate * debias(b2, t) ** 0.5 / debias(b1, t)

        # The paper's algorithm has the new v here. The bound is on ⟨g, θ₀ − θ⟩, and θ was computed
        # with the old v, which the authors' code uses too.
        before = tree.map(
            lambda g, s, v: divide_by_root(s, v, eps), updates, state.grad_sum, state.exp_avg_sq
        )
        gain = numerics.like(rate * tree.vdot(updates, before), state.numerator_weighted)

        def leaf(g, m, v, s, x):
            decay = 0 if x is None else weight_decay * x
            m = ema(m, rate * g, b1)
            v = ema(v, abs_sq(g), b2)
            s = ema(s, rate * g, b3)
            return -(divide_by_root(m, v, eps) + rate * decay), m, v, s

        trees = (updates, state.exp_avg, state.exp_avg_sq, state.grad_sum)
        u, m, v, s = tree.evolve(leaf, trees, masked_params(params, mask, "dadapt_adamw"))
        r = ema(state.numerator_weighted, gain, b3)
        estimate = numerics.safe_divide(r, (1 - b3) * numerics.like(tree.absolute_sum(s), r))
        d = jnp.maximum(state.estim_lr, numerics.like(estimate, state.estim_lr))
        return u, DAdaptAdamWState(m, v, s, d, r, t)

    return Rule(init, update, couples=True)

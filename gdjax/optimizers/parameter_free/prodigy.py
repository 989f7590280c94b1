"""Prodigy: learning-rate-free Adam, by an estimate of the distance to the solution."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import (
    Decay,
    LearningRate,
    Mask,
    NonNegative,
    Positive,
    Range,
    ScalarLike,
    WeightDecay,
)
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
from gdjax.core.rule.roles import Count, Mean, MeanSquare, PerParam, Scalar, SlowMean
from gdjax.transforms.decay import masked_params

__all__ = ["ProdigyState", "prodigy"]

# Two decays in one argument, and a number that is read once: neither can be a schedule.
Fixed = Annotated[ScalarLike, Range(low=0.0, high=1.0, open_high=True, scheduled=False)]
Start = Annotated[ScalarLike, Range(low=0.0, open_low=True, scheduled=False)]


class ProdigyState(NamedTuple):
    """State of `prodigy`."""

    exp_avg: Mean  # of d·g
    exp_avg_sq: MeanSquare  # of d·g
    grad_sum: SlowMean  # decayed sum of weighted gradients
    params0: PerParam  # the initial parameters
    estim_lr: Scalar  # d
    numerator_weighted: Scalar  # decayed sum of ⟨g, θ₀ − θ⟩
    count: Count


@transformation(kind="optimizer")
def prodigy(
    learning_rate: LearningRate = 1.0,
    betas: tuple[Fixed, Fixed] = (0.9, 0.999),
    beta3: Decay | None = None,
    eps: NonNegative = 1e-8,
    estim_lr0: Start = 1e-6,
    estim_lr_coef: Positive = 1.0,
    weight_decay: WeightDecay = 0.0,
    safeguard_warmup: bool = False,
    *,
    mask: Mask = None,
):
    """Prodigy: learning-rate-free Adam, by an estimate of the distance to the solution.

        γ = η·√(1 − β₂ᵗ) / (1 − β₁ᵗ)        d₀ = estim_lr0
        without beta3: β₃ = √β₂
        m ← β₁·m + (1 − β₁)·d·g             v ← β₂·v + (1 − β₂)·d²·|g|²
        r ← β₃·r + d²·γ·⟨g, θ₀ − θ⟩         s ← β₃·s + d²·γ·g
        with safeguard_warmup: s ← β₃·s + d²·g
        θ ← θ − d·γ·(m / (√v + d·eps) + λθ)
        d ← max(d, c · r / ‖s‖₁)

    The rate needs no tuning: leave η at 1, or use a schedule that begins at 1. All leaves share one
    d. While the gradients are zero, d does not change.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> loss = lambda x: jnp.sum((x - 30.0) ** 2)
    >>> result = gd.minimize(loss, jnp.zeros(2), gd.prodigy(), 200)
    >>> bool(loss(result.params) < 1.0)
    True

    Args:
        learning_rate: η ≥ 0, a factor of the rate that is found.
        betas: β₁ and β₂, each in [0, 1).
        beta3: β₃ in [0, 1), the decay of r and s; √β₂ by default.
        eps: In the units of the gradient.
        estim_lr0: d in the first step, > 0; smaller than the distance to the solution.
        estim_lr_coef: c > 0; below 1 for a smaller learning rate, above 1 for a larger one.
        weight_decay: λ ≥ 0, decoupled from the gradient.
        safeguard_warmup: Leaves γ out of s, so that a warmup of η does not make d too large.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Mishchenko and Defazio, Prodigy: an expeditiously adaptive parameter-free learner,
        2023, https://arxiv.org/abs/2306.06101
    """
    b1, b2 = map(weak, betas)
    b3 = b2**0.5 if beta3 is None else beta3

    def init(params):
        return ProdigyState(
            exp_avg=tree.moment_like(params),
            exp_avg_sq=tree.square_like(params),
            grad_sum=tree.moment_like(params),
            params0=tree.copy(params),
            estim_lr=tree.scalar_like(params, estim_lr0),
            numerator_weighted=tree.scalar_like(params),
            count=zero_count(),
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("prodigy", params)
        t = increment(state.count)
        d = weak(state.estim_lr)
        gamma = d * learning_rate * debias(b2, t) ** 0.5 / debias(b1, t)
        # d² is 1e-12 at first; the paper's constant factors of r and s cancel, and so does 1 / d₀.
        share = d / estim_lr0

        def summed(g, s):
            return g, b3 * s + share * (d if safeguard_warmup else gamma) * g

        def leaf(g, m, v, x):
            decay = 0 if x is None else weight_decay * x
            m = ema(m, d * g, b1)
            v = ema(v, abs_sq(d * g), b2)
            return -rate * (divide_by_root(m, v, d * eps) + decay), m, v

        _, s = tree.evolve(summed, (updates, state.grad_sum))
        away = tree.map(lambda g, x0, x: x0 - x, updates, state.params0, params)
        sums = tree.vdot(updates, away), tree.absolute_sum(s)
        # Both sums are computed together with s, before the parameters that they read change.
        rate = numerics.after(gamma, *sums)
        r = b3 * state.numerator_weighted + numerics.like(
            share * gamma * sums[0], state.numerator_weighted
        )
        trees = updates, state.exp_avg, state.exp_avg_sq
        u, m, v = tree.evolve(leaf, trees, masked_params(params, mask, "prodigy"))
        estimate = estim_lr_coef * numerics.safe_divide(r, numerics.like(sums[1], r))
        found = jnp.maximum(state.estim_lr, numerics.like(estimate, state.estim_lr))
        return u, ProdigyState(m, v, s, state.params0, found, r, t)

    return Rule(init, update, couples=True)

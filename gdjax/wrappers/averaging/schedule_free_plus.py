"""ScheduleFree+: Schedule-Free learning with a Polyak step size instead of a learning rate."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import debias, ema, increment, safe_divide, weak, zero_count
from gdjax.core.rule.roles import Count, PerParam, Scalar
from gdjax.transforms.decay import masked_params
from gdjax.wrappers.averaging.primal_averaging import Share, move
from gdjax.wrappers.averaging.schedule_free import schedule_free_eval_params

__all__ = ["ScheduleFreePlusState", "schedule_free_plus"]

# Norms of gradients below this share of the loss are 0: the square of a step size must be finite.
VANISHING = 1e-12
OF_NORMAL = math.sqrt(math.pi / 2)  # of normal entries: the root of the mean square over mean |g|


class ScheduleFreePlusState(NamedTuple):
    """State of `schedule_free_plus`; the scalars have the dtype of the widest leaf."""

    b1: Scalar  # the share that the parameters were made with
    weight_sum: Scalar  # sum of the weights of the average
    step_count: Count  # steps taken
    max_lr: Scalar  # largest step size so far
    grad_l1: Scalar  # mean of the scaled L1 norms of the gradients
    base_optimizer_state: Any
    z: PerParam  # the iterate that `inner` moves, float32 or wider


@transformation(kind="wrapper")
def schedule_free_plus(
    inner: Any,
    learning_rate: LearningRate = 1.0,
    b1: Share = 0.9,
    weight_decay: WeightDecay = 0.0,
    r: NonNegative = 0.0,
    polyak_beta: Decay = 0.0,
    c_warmup: int = 0,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: Any = None,
    *,
    mask: Mask = None,
):
    """ScheduleFree+: Schedule-Free learning with a Polyak step size, without rate or schedule.

        e ← ρ·e + (1 − ρ)·√(π/2)·‖g‖₁
        γ = η · max(f + β·⟨g, z − x⟩, 0) / (e / (1 − ρᵗ))
        z ← z − γ·inner(g) − γ²·λy
        γ̄ ← max(γ̄, γ)        w = t^r·γ̄ᵖ if t > W, else 0
        S ← S + w              c = w / S if t > W, else 1
        x ← (1 − c)·x + c·z        y = (1 − β)·z + β·x

    The trained parameters are y; `gd.state.eval_params` returns x, at which the model is
    evaluated. `inner` gives a direction, with momentum and without a learning rate:
    `scale_by_adam()`, whose entries have about the size 1. Sum and inner product are over all
    leaves. While the gradients are zero, or below 10⁻¹² of the loss, z does not move.

    The step size takes 0 for the minimum of the loss, and grows without bound where the gradients
    vanish at a larger loss: pass `value=loss - minimum` where the minimum is known. The mean e is
    bias-corrected once in each step; the authors' file, which keeps the corrected mean, corrects it
    again in the next, and so differs where ρ > 0.

    `update` needs the loss as an extra argument: `tx.update(grads, state, params, value=loss)`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> loss = lambda x: jnp.sum((x - 3.0) ** 2)
    >>> tx = gd.schedule_free_plus(gd.scale_by_adam(0.5, 0.5))
    >>> result = gd.minimize(loss, jnp.zeros(2), tx, 100)
    >>> bool(loss(result.params) < 0.1)
    True

    Args:
        inner: The transformation that makes the direction.
        learning_rate: η ≥ 0, a factor of the step size: 1, or a schedule that warms up to 1.
        b1: β in (0, 1], the weight of the average in the trained parameters.
        weight_decay: λ ≥ 0, multiplied by the square of the step size: much larger than for AdamW,
            20 or 50 in the authors' code.
        r: ≥ 0, the power of the step in the weights of the average; 2 for long runs.
        polyak_beta: ρ in [0, 1), the decay of the mean of the norms.
        c_warmup: W ≥ 0, the steps in which x is z; once or twice the steps in which η warms up.
        weight_lr_power: p ≥ 0.
        state_dtype: Dtype in which z is kept; float32 or wider by default.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        TypeError: `update` was called without `value`, the loss f.
        ValueError: `c_warmup` is negative, or `update` was called without params.

    Reference: Defazio, ScheduleFree+: scaling learning-rate-free and schedule-free learning to
        large language models, 2026, https://arxiv.org/abs/2605.19095
    """
    if c_warmup < 0:
        errors.fail("schedule_free_plus", "c_warmup must be 0 or more", c_warmup)

    def init(params):
        zero = tree.scalar_like(params)
        return ScheduleFreePlusState(
            b1=tree.scalar_like(params, b1),
            weight_sum=zero,
            step_count=zero_count(),
            max_lr=jnp.zeros_like(zero),
            grad_l1=jnp.zeros_like(zero),
            base_optimizer_state=inner.init(params),
            z=tree.add(tree.moment_like(params, state_dtype), params),
        )

    def update(updates, state, params=None, *, value, **extra):
        errors.need_params("schedule_free_plus", params)
        of_state = lambda x: numerics.like(x, state.b1)
        t = increment(state.step_count)
        ahead = tree.map(lambda g, z, y: z - y, updates, state.z, params)  # b₀·(z − x)
        along = of_state(b1) / state.b1 * of_state(tree.vdot(updates, ahead))
        e = ema(state.grad_l1, of_state(OF_NORMAL * tree.absolute_sum(updates)), polyak_beta)
        norm, gap = e / debias(polyak_beta, t), jnp.maximum(of_state(value) + along, 0)
        rate = learning_rate * safe_divide(jnp.where(norm > VANISHING * gap, gap, 0), norm)

        more = {"value": value, **extra}
        directions, base = call_update(inner, updates, state.base_optimizer_state, params, more)
        by = weak(rate)
        decayed = masked_params(params, mask, "schedule_free_plus")
        pull = lambda y: 0 if y is None else by * weight_decay * y
        steps = tree.map(lambda d, y: -by * (d + pull(y)), directions, decayed)

        most = jnp.maximum(state.max_lr, of_state(rate))
        weight = t.astype(most.dtype) ** r * most**weight_lr_power
        early = state.step_count < c_warmup
        total = state.weight_sum + jnp.where(early, 0, weight)
        share = jnp.where(early, 1, safe_divide(weight, total))
        u, z = move(steps, state.z, params, b1, state.b1, share)
        return u, ScheduleFreePlusState(of_state(b1), total, t, most, e, base, z)

    return Rule(
        init,
        update,
        evaluate=schedule_free_eval_params,
        children=(Child("inner", inner, at="base_optimizer_state"),),
        couples=True,
    )

"""ScheduleFree+ AdamC."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.wrappers.averaging.primal_averaging import Share
from gdjax.wrappers.averaging.schedule_free_plus import schedule_free_plus

__all__ = ["schedule_free_plus_adamc"]


def _annealed(first: Any, last: Any, steps: int | None) -> Any:
    """The share of the average, which rises so that 1 minus it falls by the same factor a step."""
    if steps is None or steps == 0:
        return first
    if steps < 0:
        must = "anneal_steps must be 0 or more"
        errors.fail("schedule_free_plus_adamc", must, steps)

    def share(step):
        passed = jnp.minimum(step.astype(float) / steps, 1)
        return 1 - (1 - first) ** (1 - passed) * (1 - last) ** passed

    return share


@transformation(kind="optimizer")
def schedule_free_plus_adamc(
    learning_rate: LearningRate = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.95,
    sf_beta1: Share = 0.9,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    r: NonNegative = 0.0,
    polyak_beta: Decay = 0.0,
    c_warmup: int = 0,
    anneal_steps: int | None = None,
    sf_beta1_max: Share = 0.965,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: Any = None,
    *,
    mask: Mask = None,
):
    """ScheduleFree+ (Schedule-Free Plus) AdamC: Polyak step size and iterate averaging.

        e ← ρ·e + (1 − ρ)·√(π/2)·‖g‖₁
        γ = η · max(f + β·⟨g, z − x⟩, 0) / (e / (1 − ρᵗ))
        z ← z − γ·m̂ / (√v̂ + eps) − γ²·λy,    m̂ and v̂ of `adam`
        γ̄ ← max(γ̄, γ)        w = t^r·γ̄ᵖ if t > W, else 0
        S ← S + w              c = w / S if t > W, else 1
        x ← (1 − c)·x + c·z        y = (1 − β)·z + β·x
        without anneal_steps: β = β₀
        with anneal_steps: β = 1 − (1 − β₀)^(1 − s)·(1 − β₁)^s    s = min((t − 1)/T, 1)

    The trained parameters are y; `gd.state.eval_params` returns x, at which the model is
    evaluated. It is `schedule_free_plus` over `scale_by_adam`; any other direction takes its
    place, as in `schedule_free_plus(scale_by_lion())`.

    `update` needs the loss as an extra argument: `tx.update(grads, state, params, value=loss)`. The
    step size takes 0 for its minimum, and grows without bound where the gradients vanish at a
    larger loss: pass `value=loss - minimum` where the minimum is known.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> loss = lambda x: jnp.sum((x - 30.0) ** 2)
    >>> result = gd.minimize(loss, jnp.zeros(2), gd.schedule_free_plus_adamc(), 200)
    >>> bool(loss(result.params) < 0.01 * loss(jnp.zeros(2)))
    True

    Args:
        learning_rate: η ≥ 0, a factor of the step size: 1, or a schedule that warms up to 1.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        sf_beta1: β₀ in (0, 1], the weight of the average in the trained parameters.
        eps: In the units of the gradient.
        weight_decay: λ ≥ 0, multiplied by the square of the step size: much larger than for AdamW,
            20 or 50 in the authors' code.
        r: ≥ 0, the power of the step in the weights of the average; 2 for long runs.
        polyak_beta: ρ in [0, 1), the decay of the mean of the norms.
        c_warmup: W ≥ 0, the steps in which x is z; once or twice the steps in which η warms up.
        anneal_steps: T, the steps in which β goes from β₀ to β₁; None for a constant β.
        sf_beta1_max: β₁ in (0, 1].
        weight_lr_power: p ≥ 0.
        state_dtype: Dtype in which z is kept; float32 or wider by default.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        TypeError: `update` was called without `value`, the loss f.
        ValueError: `c_warmup` or `anneal_steps` is negative, or `update` was called without params.

    Reference: Defazio, ScheduleFree+: scaling learning-rate-free and schedule-free learning to
        large language models, 2026, https://arxiv.org/abs/2605.19095
    """
    return schedule_free_plus(
        scale_by_adam(b1, b2, eps),
        learning_rate,
        _annealed(sf_beta1, sf_beta1_max, anneal_steps),
        weight_decay,
        r,
        polyak_beta,
        c_warmup,
        weight_lr_power,
        state_dtype,
        mask=mask,
    )

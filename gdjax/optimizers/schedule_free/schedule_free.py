"""Schedule-Free SGD and Schedule-Free AdamW."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors
from gdjax.optimizers.adaptive.rmsprop import scale_by_rms
from gdjax.transforms.basic import identity, scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.wrappers.averaging.primal_averaging import Share
from gdjax.wrappers.averaging.schedule_free import schedule_free

__all__ = ["schedule_free_adamw", "schedule_free_sgd"]


def _warmed(where: str, learning_rate: Any, warmup_steps: int | None) -> Any:
    """The learning rate, with linear warmup η/W, 2η/W, … from the first step where one is asked."""
    if warmup_steps is None or warmup_steps == 0:
        return learning_rate
    if warmup_steps < 0:
        errors.fail(where, "warmup_steps must be 0 or more", warmup_steps)
    return lambda step: learning_rate * jnp.minimum((step + 1).astype(float) / warmup_steps, 1)


@transformation(kind="optimizer")
def schedule_free_sgd(
    learning_rate: LearningRate = 1.0,
    warmup_steps: int | None = None,
    b1: Share = 0.9,
    weight_decay: WeightDecay | None = None,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: Any = None,
    *,
    mask: Mask = None,
):
    """Schedule-Free SGD: iterate averaging in place of learning-rate decay.

        x = (θ − (1 − β)·z) / β         z ← z − ηₜ·g,    z₀ = θ₀
        η̄ ← max(η̄, ηₜ)                  W ← W + η̄ᵖ,    c = η̄ᵖ / W
        θ ← (1 − β)·z + β·((1 − c)·x + c·z)
        without warmup_steps:    ηₜ = η
        with warmup_steps:       ηₜ = η·min(t / warmup_steps, 1)
        with weight_decay:       z ← z − ηₜ·(g + λθ)

    The parameters in training are θ, between z and the average x; evaluate the model at x:
    `gd.state.eval_params`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.schedule_free_sgd(0.5, warmup_steps=2)
    >>> y, state = tx.step(jnp.array([4.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))
    >>> gd.state.eval_params(tx, state, y)
    Array([-1.], dtype=float32)

    Args:
        learning_rate: η ≥ 0; the best one is larger than with a decaying rate.
        warmup_steps: Steps of linear warmup to η; the rate of the first is η / warmup_steps.
        b1: β in (0, 1], the share of the average in the parameters.
        weight_decay: λ ≥ 0, of θ; None for no decay.
        weight_lr_power: p ≥ 0.
        state_dtype: Dtype in which z is kept; float32 or wider by default.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, The road less scheduled, 2024,
        https://arxiv.org/abs/2405.15682
    """
    rate = _warmed("schedule_free_sgd", learning_rate, warmup_steps)
    base = chain(
        identity() if weight_decay is None else add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(rate),
    )
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)


@transformation(kind="optimizer")
def schedule_free_adamw(
    learning_rate: LearningRate = 0.0025,
    warmup_steps: int | None = None,
    b1: Share = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.0,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: Any = None,
    *,
    mask: Mask = None,
):
    """Schedule-Free AdamW: iterate averaging in place of learning-rate decay.

        v ← β₂·v + (1 − β₂)·|g|²        x = (θ − (1 − β)·z) / β
        z ← z − ηₜ·(g / (√(v / (1 − β₂ᵗ)) + eps) + λθ),    z₀ = θ₀
        η̄ ← max(η̄, ηₜ)                  W ← W + η̄ᵖ,    c = η̄ᵖ / W
        θ ← (1 − β)·z + β·((1 − c)·x + c·z)
        without warmup_steps:    ηₜ = η
        with warmup_steps:       ηₜ = η·min(t / warmup_steps, 1)

    The parameters in training are θ, between z and the average x; evaluate the model at x:
    `gd.state.eval_params`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.schedule_free_adamw(0.5)
    >>> y, state = tx.step(jnp.array([4.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))
    >>> gd.state.eval_params(tx, state, y).round(2)
    Array([-0.5], dtype=float32)

    Args:
        learning_rate: η ≥ 0; the best one is larger than with a decaying rate.
        warmup_steps: Steps of linear warmup to η; the rate of the first is η / warmup_steps.
        b1: β in (0, 1], the share of the average in the parameters.
        b2: β₂ in [0, 1).
        eps: In the units of the gradient.
        weight_decay: λ ≥ 0, of θ.
        weight_lr_power: p ≥ 0.
        state_dtype: Dtype in which z is kept; float32 or wider by default.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, The road less scheduled, 2024,
        https://arxiv.org/abs/2405.15682
    """
    rate = _warmed("schedule_free_adamw", learning_rate, warmup_steps)
    base = chain(
        scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(rate),
    )
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)

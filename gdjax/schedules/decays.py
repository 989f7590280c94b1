"""Exponential (and step) decay, and inverse square root decay."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.data.schedule import schedule_of_counts
from gdjax.schedules.annotations import Count, Factor, Steps, Value
from gdjax.schedules.interpolation import after, cycle, geometric, lerp, real, remaining

__all__ = ["exponential_decay", "inverse_sqrt_schedule"]


@schedule_of_counts
def exponential_decay(
    init_value: Value,
    transition_steps: Steps,
    decay_rate: Factor,
    transition_begin: Count = 0,
    staircase: bool = False,
    end_value: Value | None = None,
):
    """Exponential decay, or step decay: by a factor every `transition_steps` steps.

        c(t) = a·rˣ,    x = max(t − B, 0)/T
        with staircase: x = ⌊max(t − B, 0)/T⌋
        with end_value: c(t) = max(a·rˣ, b) if r < 1, else min(a·rˣ, b)

    Up to step B the value is exactly a; a staircase has its steps at B + T, B + 2T, … It is torch's
    ExponentialLR (T = 1) and StepLR (a staircase).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> print(gd.exponential_decay(8.0, 2, 0.5, staircase=True, end_value=3.0)(jnp.arange(6)))
    [8. 8. 4. 4. 3. 3.]

    Args:
        init_value: a, the first value.
        transition_steps: T > 0, in steps.
        decay_rate: r > 0, the factor for T steps.
        transition_begin: B ≥ 0, the step at which the decay begins.
        staircase: True to decay in discrete steps, after every T steps.
        end_value: b, the value at which the decay stops; none by default.
    """

    def value(step):
        passed = jnp.maximum(after(step, transition_begin), 0)
        times = (
            cycle(passed, transition_steps)[0]
            if staircase
            else passed.astype(float) / real(transition_steps)
        )
        decayed = real(init_value) * geometric(decay_rate, times)
        if end_value is None:
            return decayed
        bound = real(end_value)
        falls = real(decay_rate) < 1
        return jnp.where(falls, jnp.maximum(decayed, bound), jnp.minimum(decayed, bound))

    return value


@schedule_of_counts
def inverse_sqrt_schedule(peak_value: Value, warmup_steps: Steps):
    """Linear warmup from zero, then inverse square root decay (the Transformer's schedule).

        c(t) = c₁·t/W       for t ≤ W
        c(t) = c₁·√(W/t)    for t ≥ W

    0 at step 0, exactly the peak at step W, half of it at step 4W. The paper's own scale is
    c₁ = 1/√(dim · W), and its first step is t = 1.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.inverse_sqrt_schedule(1.0, 4)(jnp.array([0, 2, 4, 16]))
    Array([0. , 0.5, 1. , 0.5], dtype=float32)

    Args:
        peak_value: c₁, the value at step W.
        warmup_steps: W > 0, in steps.

    Reference: Vaswani et al., Attention is all you need, 2017, https://arxiv.org/abs/1706.03762
    """

    def value(step):
        warmup = real(warmup_steps)
        rise = lerp(peak_value, 0.0, remaining(step, 0, warmup))
        fall = real(peak_value) * jnp.sqrt(warmup / jnp.maximum(step.astype(float), warmup))
        return jnp.where(after(step, warmup) < 0, rise, fall)

    return value

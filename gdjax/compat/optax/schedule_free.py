"""Schedule-Free optimizers as in optax: schedules of the weights are one step ahead."""

from __future__ import annotations

import functools
from typing import Any

from gdjax.compat.optax import rates
from gdjax.compat.optax.optimizers import sgd
from gdjax.compat.optax.stages import add_decayed_weights
from gdjax.compat.optax.twins import follows, invoke, kept, twin
from gdjax.core.engine.chain import chain
from gdjax.core.rule.numerics import weak
from gdjax.optimizers.schedule_free import schedule_free as _free
from gdjax.wrappers.averaging import schedule_free as _averaged

__all__ = ["schedule_free", "schedule_free_adamw", "schedule_free_sgd"]

_override = functools.partial(twin, module="gdjax.compat.optax.contrib")


@_override(_averaged.schedule_free, stage=True, hands_on=True)
def schedule_free(
    base_optimizer: Any,
    learning_rate: Any,
    b1: Any = 0.9,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Any:
    """Schedule-Free, with weights by the learning rate of the next step."""
    numbers = {"b1": b1, "weight_lr_power": weight_lr_power, "state_dtype": state_dtype}

    def made(rate: Any) -> Any:
        given = {"inner": base_optimizer, "learning_rate": rate, **numbers}
        ahead = lambda state, by: state._replace(step_count=state.step_count + by)
        rule = invoke(_averaged.schedule_free, given)  # optax's counts from 1
        return kept(rule, lambda state: ahead(state, 1), lambda state, _: ahead(state, -1))

    if not follows(learning_rate):
        return made(learning_rate)
    rule = made(1.0)

    @functools.wraps(rule.update)
    def update(updates, state, params=None, **extra):
        now = made(weak(learning_rate(state.step_count)))
        return now.update(updates, state, params, **extra)

    return rule._replace(update=update)


def _risen(learning_rate: Any, warmup_steps: Any) -> Any:
    """The learning rate with warm-up from 0; gdjax's own starts above 0."""
    if not warmup_steps:
        return learning_rate
    return rates.warmup_constant_schedule(0.0, learning_rate, warmup_steps)


@_override(_free.schedule_free_sgd)
def schedule_free_sgd(
    learning_rate: Any = 1.0,
    warmup_steps: Any = None,
    b1: Any = 0.9,
    weight_decay: Any = None,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Any:
    """Schedule-Free SGD."""
    rate = _risen(learning_rate, warmup_steps)
    base = (
        sgd(rate) if weight_decay is None else chain(add_decayed_weights(weight_decay), sgd(rate))
    )
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)


@_override(_free.schedule_free_adamw)
def schedule_free_adamw(
    learning_rate: Any = 0.0025,
    warmup_steps: Any = None,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Any:
    """Schedule-Free AdamW."""
    numbers = (None, b1, b2, eps, weight_decay, weight_lr_power, state_dtype)
    return _free.schedule_free_adamw(_risen(learning_rate, warmup_steps), *numbers)

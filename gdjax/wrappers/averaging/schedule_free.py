"""Schedule-Free learning: iterate averaging instead of learning-rate decay."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.numbers import InjectHyperparamsState
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import increment, safe_divide, zero_count
from gdjax.core.rule.roles import Count, PerParam, Scalar
from gdjax.wrappers.averaging.primal_averaging import Share, average, move

__all__ = ["ScheduleFreeState", "schedule_free", "schedule_free_eval_params"]


class ScheduleFreeState(NamedTuple):
    """State of `schedule_free`; the scalars have the dtype of the widest leaf."""

    b1: Scalar  # the share that the parameters were made with
    weight_sum: Scalar  # sum of the weights of the average
    step_count: Count  # steps taken
    max_lr: Scalar  # largest rate so far
    base_optimizer_state: Any
    z: PerParam  # where the base optimizer is, float32 or wider


@transformation(kind="wrapper")
def schedule_free(
    inner: Any,
    learning_rate: NonNegative,
    b1: Share = 0.9,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: Any = None,
):
    """Schedule-Free: replaces learning-rate decay by iterate averaging.

        z ← z + u of `inner`
        η̄ ← max(η̄, η)        w = η̄ᵖ        c = w / (sum of all w)
        x ← (1 − c)·x + c·z        y = (1 − β)·z + β·x

    The trained parameters are y; `gd.state.eval_params` returns x, at which the model is
    evaluated. `inner` should have no momentum: the interpolation replaces it. The learning rate may
    warm up and needs no decay.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.schedule_free(gd.sgd(0.5), 0.5, b1=0.5)
    >>> y, state = tx.step(jnp.array([4.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))
    >>> y, state = tx.step(jnp.array([4.0]), state, y)
    >>> y, gd.state.eval_params(tx, state, y)
    (Array([-3.5], dtype=float32), Array([-3.], dtype=float32))

    Args:
        inner: The transformation that updates z, its learning rate included. Its parameters are
            y, so its weight decay applies to y.
        learning_rate: η ≥ 0, the learning rate of `inner`; it weights the average.
        b1: β in (0, 1], the weight of the average in the trained parameters.
        weight_lr_power: p ≥ 0.
        state_dtype: Dtype in which z is kept; float32 or wider by default.

    Raises:
        ValueError: `update` was called without params.

    Reference: Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, The road less scheduled, 2024,
        https://arxiv.org/abs/2405.15682
    """

    def init(params):
        return ScheduleFreeState(
            b1=tree.scalar_like(params, b1),
            weight_sum=tree.scalar_like(params),
            step_count=zero_count(),
            max_lr=tree.scalar_like(params),
            base_optimizer_state=inner.init(params),
            z=tree.add(tree.moment_like(params, state_dtype), params),
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("schedule_free", params)
        steps, base = call_update(inner, updates, state.base_optimizer_state, params, extra)
        most = jnp.maximum(state.max_lr, learning_rate)
        weight = most**weight_lr_power
        total = state.weight_sum + weight
        u, z = move(steps, state.z, params, b1, state.b1, safe_divide(weight, total))
        count, share = increment(state.step_count), numerics.like(b1, state.b1)
        return u, ScheduleFreeState(share, total, count, most, base, z)

    return Rule(
        init,
        update,
        evaluate=schedule_free_eval_params,
        children=(Child("inner", inner, at="base_optimizer_state"),),
    )


def schedule_free_eval_params(state: Any, params: Any) -> Any:
    """Evaluation parameters of Schedule-Free: the average x, from the state and the parameters y.

    `gd.state.eval_params(tx, state, params)` returns the same, for nested transformations too.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.schedule_free_sgd(0.5)
    >>> y, state = tx.step(jnp.array([4.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))
    >>> gd.schedule_free_eval_params(state, y)
    Array([-2.], dtype=float32)

    Raises:
        TypeError: The state is of another transformation.
    """
    while isinstance(state, InjectHyperparamsState):
        state = state.inner_state
    if not hasattr(state, "z") or not hasattr(state, "b1"):
        must = "state must be a ScheduleFreeState"
        hint = "Write gd.state.eval_params(tx, state, params)."
        got = type(state).__name__
        errors.fail("schedule_free_eval_params", must, got, instead=hint, kind=TypeError)
    return average(state.b1, state.z, params)

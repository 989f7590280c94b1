"""Learning-rate reduction on a plateau of a metric."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.hyperparams import Decay, NonNegative, Positive
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import zero_count
from gdjax.core.rule.roles import Count, Scalar

__all__ = ["ReduceLROnPlateauState", "reduce_on_plateau"]


class ReduceLROnPlateauState(NamedTuple):
    """State of `reduce_on_plateau`; the floating-point scalars are float32 or wider."""

    scale: Scalar  # factor of the updates
    best_value: Scalar  # lowest metric so far, infinite before the first
    plateau_count: Count  # metrics since the best that were no better
    cooldown_count: Count  # metrics to come that are not counted
    count: Count  # values averaged so far
    avg_value: Scalar  # their mean


@transformation
def reduce_on_plateau(
    factor: Decay = 0.1,
    patience: NonNegative = 10,
    rtol: NonNegative = 1e-4,
    atol: NonNegative = 0.0,
    cooldown: NonNegative = 0,
    accumulation_size: Positive = 1,
    min_scale: NonNegative = 0.0,
):
    """Reduces the scale of the updates when a metric has stopped improving (ReduceLROnPlateau).

        u = s·g,    better:  x < best − rtol·|best| − atol
        s ← max(factor·s, min_scale) after more than `patience` metrics in a row that are not better

    The metric is the extra argument `value`, [], where lower is better: a loss of either sign, or
    the negative accuracy. A reduction applies from the update that got the metric.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.sgd(1.0), gd.reduce_on_plateau(factor=0.5, patience=1))
    >>> state = tx.init(jnp.zeros(1))
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     updates, state = tx.update(jnp.ones(1), state, value=jnp.array(loss))
    >>> updates
    Array([-0.5], dtype=float32)

    Args:
        factor: In [0, 1).
        patience: The number of metrics without improvement before a reduction.
        rtol: Smallest improvement relative to the absolute value of the best metric.
        atol: Smallest improvement in the units of the metric.
        cooldown: The number of metrics after a reduction that do not count.
        accumulation_size: The number of values that are averaged to one metric, for batch losses.
        min_scale: The lower bound of the scale.

    Raises:
        TypeError: `update` was called without `value`.
    """

    def init(params):
        number = lambda fill: tree.scalar_like(params, fill)
        return ReduceLROnPlateauState(
            number(1), number(np.inf), zero_count(), zero_count(), zero_count(), number(0)
        )

    def judge(state: Any, metric: Any) -> Any:
        """The state after a metric."""
        best = state.best_value
        margin = jnp.where(jnp.isfinite(best), rtol * jnp.abs(best) + atol, 0)
        better = metric < best - margin
        cooling = state.cooldown_count > 0
        bad = jnp.where(better | cooling, 0, state.plateau_count + 1)
        reduce = bad.astype(best.dtype) > patience
        lower = jnp.maximum(factor * state.scale, min_scale)
        rest = jnp.asarray(cooldown).astype(jnp.int32)
        return ReduceLROnPlateauState(
            jnp.where(reduce, jnp.minimum(lower, state.scale), state.scale),
            jnp.where(better, metric, best),
            jnp.where(reduce, 0, bad),
            jnp.where(reduce, rest, jnp.maximum(state.cooldown_count - 1, 0)),
            zero_count(),
            jnp.zeros_like(state.avg_value),
        )

    def update(updates, state, params=None, *, value, **extra):
        count = state.count + 1
        value = jnp.asarray(value).astype(state.avg_value.dtype)
        mean = state.avg_value + (value - state.avg_value) / count.astype(value.dtype)
        whole = count.astype(value.dtype) >= accumulation_size
        after, before = judge(state, mean), state._replace(count=count, avg_value=mean)
        state = jax.tree.map(lambda new, old: jnp.where(whole, new, old), after, before)
        return tree.map(lambda g: state.scale.astype(g.dtype) * g, updates), state

    return init, update

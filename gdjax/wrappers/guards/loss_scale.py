"""Dynamic loss scaling for training in float16."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Positive
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.find import locate
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, Scalar
from gdjax.wrappers.guards.apply_if_finite import all_finite
from gdjax.wrappers.guards.cond import guarded

__all__ = ["LossScaleState", "loss_scale", "loss_scale_of"]

LARGEST = 2.0**126  # the inverse of a larger scale is not a normal number of float32


class LossScaleState(NamedTuple):
    """State of `loss_scale`."""

    scale: Scalar  # float32: what the next loss is to be multiplied by
    growth_tracker: Count  # finite gradients since the scale changed
    skipped: Count  # steps left out, of all
    inner_state: Any  # of the inner transformation, which counts only the steps taken

    def metrics(self) -> dict[str, jax.Array]:
        """The scale, and the number of skipped steps."""
        return {"loss_scale": self.scale, "skipped": self.skipped}


@transformation(kind="wrapper")
def loss_scale(
    inner: Any,
    init_scale: Positive = 2.0**15,
    growth_factor: Positive = 2.0,
    backoff_factor: Positive = 0.5,
    growth_interval: int = 2000,
    *,
    min_scale: Positive = 1.0,
    axis_name: Any = None,
):
    """Dynamic loss scaling: unscales float16 gradients, skips overflows and adapts the scale.

        g finite:      θ ← inner(g / s),  after growth_interval of them in a row  s ← growth·s
        otherwise:     s ← max(backoff·s, min_scale), and the step is skipped

    For mixed precision with float16 gradients; bfloat16 needs none. Multiply the loss by
    `loss_scale_of(state)` before it is differentiated. Gradients are unscaled in float32 or wider,
    so small ones do not underflow.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> tx = gd.loss_scale(gd.sgd(0.5))
    >>> params = jnp.ones(2, jnp.float16)
    >>> state = tx.init(params)
    >>> def scaled(params, state):
    ...     return 1e-7 * jnp.sum(params.astype(float)) * gd.loss_scale_of(state)
    >>> grads = jax.grad(scaled)(params, state)  # 1e-7 is no float16
    >>> updates, state = tx.update(grads, state, params)
    >>> [f"{u:.1e}" for u in updates], float(gd.loss_scale_of(state))
    (['-5.0e-08', '-5.0e-08'], 32768.0)

    Args:
        inner: The transformation of the unscaled gradients.
        init_scale: The initial s; scaling by powers of two is exact.
        growth_factor: Above 1.
        backoff_factor: Below 1.
        growth_interval: Finite gradients in a row before s grows, 1 or more.
        min_scale: The lower bound of s, for gradients that are NaN at any scale.
        axis_name: Axes of `shard_map` or `pmap` over which the gradients are split: all devices
            skip the step if one of them overflows.

    Raises:
        ValueError: `growth_interval` is no integer of 1 or more.

    Reference: Micikevicius et al., Mixed precision training, 2017,
        https://arxiv.org/abs/1710.03740
    """
    if not isinstance(growth_interval, int) or growth_interval < 1:
        must = "growth_interval must be an integer of 1 or more"
        errors.fail("loss_scale", must, growth_interval)

    def init(params):
        scale = jnp.asarray(init_scale).astype(jnp.float32)
        return LossScaleState(scale, zero_count(), zero_count(), inner.init(params))

    def decide(updates: Any, state: Any, extra: dict[str, Any]) -> Any:
        """Whether to step, and the new state without the inner one."""
        finite = all_finite(updates, axis_name=axis_name)
        count = jnp.where(finite, increment(state.growth_tracker), 0)
        grows = count >= growth_interval
        larger = growth_factor * state.scale
        larger = jnp.where(larger <= LARGEST, larger, state.scale)
        smaller = jnp.maximum(backoff_factor * state.scale, min_scale)
        kept = jnp.where(grows, larger, state.scale)
        return finite, LossScaleState(
            jnp.where(finite, kept, smaller).astype(jnp.float32),
            jnp.where(grows, 0, count),
            jnp.where(finite, state.skipped, increment(state.skipped)),
            state.inner_state,
        )

    def unscaled(updates: Any, scale: Any) -> Any:
        inverse = 1 / scale  # one division, and XLA forms the products where they are read
        return tree.map(lambda g: g * inverse.astype(g.dtype), updates)

    given = lambda updates, state: unscaled(updates, state.scale)
    return guarded(inner, init, decide, given=given)


def loss_scale_of(state: Any) -> jax.Array:
    """The current loss scale of `loss_scale`, by which to multiply the loss, [] float32.

    Args:
        state: The state of `loss_scale`, or a state that contains it.

    Raises:
        KeyError: `state` contains no state of `loss_scale`, or several.
    """
    return locate(state, LossScaleState, "loss_scale_of")[1].scale

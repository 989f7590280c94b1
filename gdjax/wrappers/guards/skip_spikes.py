"""A guard against spikes: steps whose loss or gradient lies far above those of the steps before."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import increment, safe_sqrt, zero_count
from gdjax.core.rule.roles import Count, Scalars
from gdjax.wrappers.guards.cond import guarded

__all__ = ["SkipSpikesState", "skip_spikes"]

# Deviations below this part of the mean count as this much: what a run that hardly moves does
# within its rounding is no spike.
FLOOR = 1e-3


class SkipSpikesState(NamedTuple):
    """State of `skip_spikes`."""

    count: Count  # steps taken since the start, or since the level changed
    losses: Scalars | None  # [window] of the steps taken last, as a ring
    norms: Scalars | None  # [window]
    in_a_row: Count  # spikes skipped since the last step that was taken
    skipped: Count  # steps skipped, of all
    reason: Count  # of the last call: 0 taken, 1 loss, 2 norm, 3 not finite
    inner_state: Any  # of the inner transformation, which counts only the steps taken

    def metrics(self) -> dict[str, jax.Array]:
        """Steps skipped, why the last one was, and the means that a step is compared with."""
        means = {"loss_mean": self.losses, "grad_norm_mean": self.norms}
        told = {k: _level(x, self.count)[0] for k, x in means.items() if x is not None}
        return {"skipped": self.skipped, "skip_reason": self.reason, **told}


@transformation(kind="wrapper")
def skip_spikes(
    inner: Any,
    loss: NonNegative | None = 6.0,
    norm: NonNegative | None = 6.0,
    window: int = 128,
    *,
    patience: int = 16,
    axis_name: Any = None,
):
    """Leaves out steps whose loss or gradient norm stands out from those of the steps before.

        x > mean + c · max(deviation, |mean| / 1000)

    Mean and deviation are those of the last `window` steps that were taken, so a spike never
    enters them. A step whose loss or gradient is NaN or infinite is left out at any time. What is
    left out changes nothing: no update, no new inner state.

    Spikes end; a new level of the loss, after the data changed say, lasts. So once `patience` of
    them came one after another the next one is taken, and the statistics begin anew with it.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.skip_spikes(gd.sgd(0.1), window=8)
    >>> params, state = jnp.ones(1), tx.init(jnp.ones(1))
    >>> for loss in (1.0, 1.1, 0.9, 50.0, 1.0):
    ...     params, state = tx.step(jnp.ones(1), state, params, value=loss)
    >>> round(float(params[0]), 3), int(state.skipped)
    (0.6, 1)

    Args:
        inner: What is applied in all other steps.
        loss: c for the loss, in deviations; the loss is the extra argument `value`, [], which
            `update` then needs. None leaves this test out.
        norm: c for the norm of all gradients. None leaves this test out.
        window: Steps to compare with, 4 or more. Until a quarter of them is known, all finite
            steps are taken.
        patience: Spikes one after another, from which on they are a new level.
        axis_name: Axes of `shard_map` or `pmap` over which the gradients are split.

    Raises:
        ValueError: `window` is no integer of 4 or more, or `patience` none of 0 or more.
    """
    if not isinstance(window, int) or window < 4:
        errors.fail("skip_spikes", "window must be an integer of 4 or more", window)
    if not isinstance(patience, int) or patience < 0:
        errors.fail("skip_spikes", "patience must be an integer of 0 or more", patience)

    def init(params):
        ring = lambda bound: None if bound is None else jnp.tile(tree.scalar_like(params), window)
        rings, zero = (ring(loss), ring(norm)), zero_count  # each count in a buffer of its own
        return SkipSpikesState(zero(), *rings, zero(), zero(), zero(), inner.init(params))

    def judge(updates: Any, state: Any, extra: dict[str, Any]) -> Any:
        """Whether to take the step, and the state after it but for the inner one."""
        length = tree.norm(updates, axis_name=axis_name)
        value = None if loss is None else jnp.asarray(extra["value"])
        finite = jnp.isfinite(length) & (True if value is None else jnp.isfinite(value))
        known = state.count >= window // 4
        by_loss = known & _stands_out(value, loss, state.losses, state.count)
        by_norm = known & _stands_out(length, norm, state.norms, state.count)
        spike = by_loss | by_norm
        lasting = spike & (state.in_a_row >= patience)
        take = finite & (~spike | lasting)
        before = jnp.where(lasting, 0, state.count)
        in_a_row = jnp.where(finite, increment(state.in_a_row), state.in_a_row)
        return take, SkipSpikesState(
            jnp.where(take, increment(before), state.count),
            _enter(take, value, state.losses, before),
            _enter(take, length, state.norms, before),
            jnp.where(take, 0, in_a_row),
            jnp.where(take, state.skipped, increment(state.skipped)),
            jnp.where(take, 0, jnp.where(finite, jnp.where(by_loss, 1, 2), 3)).astype(jnp.int32),
            state.inner_state,
        )

    return guarded(inner, init, judge, needs=None if loss is None else "value")


def _level(ring: Any, count: Any) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of what is in a ring so far."""
    filled = jnp.arange(ring.size, dtype=count.dtype) < count
    number = jnp.clip(count, 1, ring.size).astype(ring.dtype)
    mean = jnp.sum(jnp.where(filled, ring, 0)) / number
    apart = jnp.where(filled, ring - mean, 0)
    return mean, safe_sqrt(jnp.sum(apart * apart) / number)


def _stands_out(x: Any, bound: Any, ring: Any, count: Any) -> Any:
    if bound is None:
        return False
    mean, deviation = jax.lax.stop_gradient(_level(ring, count))
    spread = jnp.maximum(deviation, FLOOR * jnp.abs(mean))
    return x.astype(ring.dtype) > mean + bound * spread


def _enter(take: Any, x: Any, ring: Any, count: Any) -> Any:
    if ring is None:
        return None
    at = count % ring.size
    return ring.at[at].set(jnp.where(take, x.astype(ring.dtype), ring[at]))

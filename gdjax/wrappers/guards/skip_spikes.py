"""Spike skipping: no step where the loss or the gradient norm is far above its recent values."""

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
        """The number of skipped steps, the reason of the last skip, and the running means."""
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
    """Skips steps whose loss or gradient norm is an outlier among the recent steps (loss spikes).

        x > mean + c · max(deviation, |mean| / 1000)

    Mean and deviation are of the last `window` steps that were not skipped, so spikes do not enter
    them. Steps with a non-finite loss or gradient are always skipped. A skipped step changes
    nothing: no update, no new inner state.

    After `patience` skipped steps in a row the level of the loss itself is taken to have changed,
    for instance with the data: the next step is not skipped, and the statistics start again.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.skip_spikes(gd.sgd(0.1), window=8)
    >>> params, state = jnp.ones(1), tx.init(jnp.ones(1))
    >>> for loss in (1.0, 1.1, 0.9, 50.0, 1.0):
    ...     params, state = tx.step(jnp.ones(1), state, params, value=loss)
    >>> round(float(params[0]), 3), int(state.skipped)
    (0.6, 1)

    Args:
        inner: The transformation that is applied in all other steps.
        loss: c for the loss, in standard deviations; the loss is the extra argument `value`, [],
            which `update` then needs. None: the loss is not tested.
        norm: c for the global norm of the gradients. None: the norm is not tested.
        window: The number of recent steps, 4 or more. No finite step is skipped before a quarter
            of them is known.
        patience: The most skipped steps in a row.
        axis_name: Axes of `shard_map` or `pmap` over which the gradients are split.

    Raises:
        ValueError: `window` is no integer of 4 or more, or `patience` is no integer of 0 or more.
    """
    if not isinstance(window, int) or window < 4:
        errors.fail("skip_spikes", "window must be an integer of 4 or more", window)
    if not isinstance(patience, int) or patience < 0:
        errors.fail("skip_spikes", "patience must be an integer of 0 or more", patience)

    def init(params):
        ring = lambda bound: None if bound is None else jnp.tile(tree.scalar_like(params), window)
        rings, zero = (ring(loss), ring(norm)), zero_count  # each count in a buffer of its own
        return SkipSpikesState(zero(), *rings, zero(), zero(), zero(), inner.init(params))

    def decide(updates: Any, state: Any, extra: dict[str, Any]) -> Any:
        """Whether to step, and the new state without the inner one."""
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

    return guarded(inner, init, decide, needs=None if loss is None else "value")


def _level(ring: Any, count: Any) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of the filled part of a ring buffer."""
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

"""Skipping steps with non-finite gradients, and a test for NaNs and infinities."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import collectives, errors, numerics, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.wrappers.guards.cond import guarded

__all__ = ["ApplyIfFiniteState", "all_finite", "apply_if_finite"]
from gdjax.core.rule.roles import Count, Scalar


class ApplyIfFiniteState(NamedTuple):
    """State of `apply_if_finite`."""

    notfinite_count: Count  # gradients that were not finite, since the last that was
    last_finite: Scalar  # bool
    total_notfinite: Count
    inner_state: Any  # of the inner transformation

    def metrics(self) -> dict[str, jax.Array]:
        """The number of skipped steps."""
        return {"skipped": self.total_notfinite}


@transformation(kind="wrapper")
def apply_if_finite(inner: Any, max_consecutive: int | None = None, *, axis_name: Any = None):
    """Skips steps with non-finite gradients (NaN, infinity); parameters and state stay unchanged.

    The state counts the skipped steps.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.apply_if_finite(gd.sgd(0.1, momentum=0.9))
    >>> updates, state = tx.update(jnp.array([jnp.nan, 1.0]), tx.init(jnp.ones(2)))
    >>> updates, int(state.total_notfinite)
    (Array([0., 0.], dtype=float32), 1)

    Args:
        inner: The transformation that is applied where all gradients are finite.
        max_consecutive: The most steps that are skipped in a row; the next non-finite gradient
            after them is applied, as in optax, and makes the parameters NaN. None, the default:
            no limit.
        axis_name: Axes of `shard_map` or `pmap` over which the gradients are split: all devices
            skip the step if one of them has a non-finite gradient.

    Raises:
        ValueError: `max_consecutive` is negative.
    """
    if max_consecutive is not None and max_consecutive < 0:
        must = "max_consecutive must be 0 or more, or None"
        errors.fail("apply_if_finite", must, max_consecutive)

    def init(params):
        return ApplyIfFiniteState(
            zero_count(), jnp.ones([], bool), zero_count(), inner.init(params)
        )

    def decide(updates: Any, state: Any, extra: dict[str, Any]) -> Any:
        """Whether to step, and the new state without the inner one."""
        finite = all_finite(updates, axis_name=axis_name)
        count = jnp.where(finite, 0, increment(state.notfinite_count))
        total = jnp.where(finite, state.total_notfinite, increment(state.total_notfinite))
        apply = finite
        if max_consecutive is not None:
            apply = finite | (count > max_consecutive)
        return apply, ApplyIfFiniteState(count, finite, total, state.inner_state)

    return guarded(inner, init, decide)


def all_finite(updates: Any, *, axis_name: Any = None) -> jax.Array:
    """Whether all entries of a tree are finite (no NaN, no infinity), [] bool.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> bool(gd.all_finite({"w": jnp.array([1.0, jnp.inf])}))
    False

    Args:
        updates: Arrays of any shapes and dtypes.
        axis_name: Axes of `shard_map` or `pmap` over which they are split; the result is then for
            all shards together, the same on every device.
    """
    flags = [_finite(x) for x in jax.tree.leaves(updates) if tree.differentiable(x)]
    finite = jnp.all(jnp.stack(flags)) if flags else jnp.ones([], bool)
    return finite if axis_name is None else ~on_any(~finite, axis_name)


def on_any(flag: jax.Array, axis_name: Any) -> jax.Array:
    """Whether a flag holds on one of the devices along some axes, [] bool."""
    return collectives.pmax(flag.astype(jnp.int32), axis_name) > 0


def _finite(x: Any) -> jax.Array:
    """Whether all entries are finite, [] bool; in one reading that writes nothing.

    XLA on CPU writes the flag of every entry to memory before it looks for one that is False, and
    its maximum loses a NaN. So: x − x is 0 where x is finite and NaN elsewhere, and a sum keeps a
    NaN.
    """
    x = jax.lax.stop_gradient(numerics.wide(x))
    return jnp.sum(x - x) == 0

"""Accumulated updates inside a chain: their sum passes at every k-th call."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import zero_count
from gdjax.core.rule.roles import Count, PerParam

__all__ = ["ApplyEvery", "apply_every"]


class ApplyEvery(NamedTuple):
    """State of `apply_every`."""

    count: Count  # updates added up so far
    grad_acc: PerParam  # their sum, float32 or wider; with count 0 the one that was passed on


@transformation
def apply_every(every: int = 1):
    """Accumulates the updates and passes on their sum at every k-th call; zero at the others.

        n ← n + 1 if n < k, else 1        s ← s + g if n > 1, else g
        u = s if n ≥ k, else 0

    The other stages of the chain run at each call. For gradient accumulation as in a larger batch
    use `accumulate`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.sgd(1.0), gd.apply_every(2))
    >>> first, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> second, state = tx.update(jnp.array([2.0]), state)
    >>> float(first[0]), float(second[0])
    (0.0, -3.0)

    Args:
        every: k, the number of calls from one update to the next, 1 or more.

    Raises:
        ValueError: `every` is no integer of 1 or more.
    """
    if not isinstance(every, int) or every < 1:
        errors.fail("apply_every", "every must be an integer of 1 or more", every)

    def init(params):
        return ApplyEvery(zero_count(), tree.moment_like(params))

    def update(updates, state, params=None, **extra):
        first, due = state.count == 0, state.count >= every - 1

        def leaf(g, held):
            total = jnp.where(first, g, held + g)
            return jnp.where(due, total, 0), total

        updates, held = tree.evolve(leaf, (updates, state.grad_acc))
        return updates, ApplyEvery(jnp.where(due, 0, state.count + 1), held)

    return init, update

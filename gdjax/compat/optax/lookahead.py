"""Lookahead with optax's protocol: parameters are pairs of fast and slow parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.compat.optax.tree_search import Placeholder
from gdjax.compat.optax.types import (
    GradientTransformationExtraArgs,
    LookaheadParams,
)
from gdjax.core.engine.transformation import apply_updates, call_update
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import zero_count
from gdjax.core.rule.roles import Count

__all__ = ["LookaheadState", "TwoTrees", "both", "lookahead"]


class TwoTrees(GradientTransformationExtraArgs):
    """A pair whose updates and parameters are two trees, and whose gradients are one."""

    __slots__ = ()


class LookaheadState(NamedTuple):
    """State of `lookahead`."""

    fast_state: Any
    steps_since_sync: Count


def both(params: Any) -> LookaheadParams:
    """The two trees of parameters, also from optax's own class.

    Raises:
        ValueError: `params` are no `LookaheadParams`.
    """
    if not isinstance(params, tuple) or getattr(params, "_fields", ()) != ("fast", "slow"):
        hint = "Write params = optax.LookaheadParams.init_synced(params)."
        errors.fail("optax.lookahead", "params must be LookaheadParams", params, instead=hint)
    return LookaheadParams(*params)


def lookahead(
    fast_optimizer: Any, sync_period: Any, slow_step_size: Any, reset_state: bool = False
) -> TwoTrees:
    """Lookahead: every k steps, interpolates between slow and fast weights.

        φ ← φ + α(θ − φ),  θ ← φ       after every k steps of the fast optimizer on θ

    A plain pair: gradients are of the fast parameters, at `params.fast`, while parameters and
    updates are of both, as `LookaheadParams`.

    >>> from gdjax.compat import optax
    >>> import jax.numpy as jnp
    >>> tx = optax.lookahead(optax.sgd(1.0), sync_period=1, slow_step_size=0.5)
    >>> params = optax.LookaheadParams.init_synced(jnp.zeros(1))
    >>> updates, state = tx.update(jnp.ones(1), tx.init(params), params)
    >>> optax.apply_updates(params, updates).slow
    Array([-0.5], dtype=float32)

    Args:
        fast_optimizer: The optimizer of the fast parameters θ.
        sync_period: k ≥ 1, in steps.
        slow_step_size: α in [0, 1].
        reset_state: Whether to reinitialize the fast optimizer after every k steps.

    Raises:
        ValueError: Params are no `LookaheadParams`, or k is not 1 or more.

    Reference: Zhang, Lucas, Hinton and Ba, Lookahead optimizer: k steps forward, 1 step back,
        2019, https://arxiv.org/abs/1907.08610
    """
    if not isinstance(sync_period, jax.core.Tracer) and sync_period < 1:
        errors.fail("optax.lookahead", "sync_period must be at least 1", sync_period)

    def init(params: Any) -> LookaheadState:
        if isinstance(params, Placeholder):
            return LookaheadState(fast_optimizer.init(params), zero_count())
        return LookaheadState(fast_optimizer.init(both(params).fast), zero_count())

    def update(
        updates: Any, state: LookaheadState, params: Any = None, **extra_args: Any
    ) -> tuple[LookaheadParams, LookaheadState]:
        fast, slow = both(params)
        updates, fast_state = call_update(
            fast_optimizer, updates, state.fast_state, fast, extra_args
        )
        synced = state.steps_since_sync == sync_period - 1

        def pull(u, f, s):
            return jnp.where(synced, slow_step_size * (f + u - s), 0)

        slow_updates = tree.map(pull, updates, fast, slow)
        fast_updates = tree.map(
            lambda u, f, s, d: jnp.where(synced, s + d - f, u), updates, fast, slow, slow_updates
        )
        if reset_state:
            fresh = fast_optimizer.init(apply_updates(slow, slow_updates))
            fast_state = jax.tree.map(
                lambda new, old: jnp.where(synced, new, old), fresh, fast_state
            )
        steps = jnp.where(synced, 0, state.steps_since_sync + 1).astype(jnp.int32)
        out = LookaheadParams(fast_updates, slow_updates)
        return out, LookaheadState(fast_state, steps)

    return TwoTrees(init, update)

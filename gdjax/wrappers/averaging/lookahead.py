"""Lookahead: k steps forward, one step back."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import apply_updates, call_update, transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import zero_count
from gdjax.core.rule.roles import Count, PerParam

__all__ = ["LookaheadState", "lookahead"]


class LookaheadState(NamedTuple):
    """State of `lookahead`."""

    inner_state: Any
    steps_since_sync: Count
    slow: PerParam  # the slow weights φ, float32 or wider


@transformation(kind="wrapper")
def lookahead(inner: Any, every: int, slow_step_size: NonNegative, reset_state: bool = False):
    """Lookahead: every k steps of an optimizer, interpolates between slow and fast weights.

        n ← n + 1 if n < k, else 1           p = θ + inner(g)        φ₀ = θ₀
        φ ← φ + α·(p − φ) if n ≥ k, else φ
        θ ← φ if n ≥ k, else p

    The slow weights φ are in the state; the parameters are the fast weights θ. This wrapper must
    be the last to change the updates. `gdjax.state.eval_params` returns φ, the weights at which
    the model is evaluated.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.lookahead(gd.sgd(1.0), every=2, slow_step_size=0.5), jnp.zeros(1)
    >>> state = tx.init(params)
    >>> for _ in range(2):
    ...     params, state = tx.step(jnp.array([-1.0]), state, params)
    >>> params
    Array([1.], dtype=float32)

    Args:
        inner: The optimizer of the fast weights.
        every: k ≥ 1, in steps.
        slow_step_size: α ≥ 0, at most 1 in the paper.
        reset_state: Whether to reinitialize the state of `inner` after every k steps, including
            its step counts and schedules.

    Raises:
        ValueError: `every` is less than 1, or `update` was called without params.

    Reference: Zhang et al., Lookahead optimizer: k steps forward, 1 step back, 2019,
        https://arxiv.org/abs/1907.08610
    """
    errors.check_counts("lookahead", every=every)

    def init(params):
        return LookaheadState(
            inner.init(params), zero_count(), jax.tree.map(numerics.wide, tree.copy(params))
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("lookahead", params)
        updates, inner_state = call_update(inner, updates, state.inner_state, params, extra)
        steps = (state.steps_since_sync + 1) % every
        due = steps == 0

        def leaf(u, slow, p):
            ahead = jnp.where(due, slow + slow_step_size * (p + u - slow), slow)
            return jnp.where(due, ahead - p, u), ahead

        updates, slow = tree.evolve(leaf, (updates, state.slow), params)
        if reset_state:
            fresh = inner.init(apply_updates(params, updates))
            inner_state = jax.tree.map(lambda a, b: jnp.where(due, a, b), fresh, inner_state)
        return updates, LookaheadState(inner_state, steps, slow)

    return Rule(
        init, update, evaluate=slow_weights, children=(Child("inner", inner, at="inner_state"),)
    )


def slow_weights(state: Any, params: Any) -> Any:
    """The slow weights of a state, in the dtypes of the parameters."""

    def pick(slow, p):
        return p if slow is None else numerics.like(slow, p)

    return jax.tree.map(pick, state.slow, params, is_leaf=tree.is_none)

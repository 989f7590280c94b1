"""DiLoCo: an outer optimizer on the change of the parameters over many inner steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.collectives import pmean
from gdjax.core.rule.numerics import zero_count
from gdjax.core.rule.roles import Count, PerParam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.momentum import trace
from gdjax.wrappers.averaging.lookahead import slow_weights
from gdjax.wrappers.guards.cond import update_if

__all__ = ["DilocoState", "diloco"]


class DilocoState(NamedTuple):
    """State of `diloco`."""

    inner_state: Any
    outer_state: Any
    steps_since_sync: Count
    slow: PerParam  # the parameters φ of the last outer step, float32 or wider


@transformation(kind="wrapper")
def diloco(inner: Any, every: int, outer: Any | None = None, *, axis_name: Any = None):
    """DiLoCo: every H steps of an optimizer, an outer step of Nesterov momentum on their change.

        n ← n + 1 if n < H, else 1           p = θ + inner(g)        φ₀ = θ₀
        φ ← φ + outer(φ − p) if n ≥ H, else φ
        θ ← φ if n ≥ H, else p

    The change φ − p over H steps is the gradient that `outer` gets, once in H steps. With one
    worker this is Lookahead with momentum (SNOO); `outer=sgd(α)` is `lookahead` itself. With
    `axis_name` each replica trains on its own data, and `outer` gets the mean of the changes of
    all: replicas communicate once in H steps. With `inner=muon(...)` it is MuLoCo. This wrapper
    must be the last to change the updates. `gdjax.state.eval_params` returns φ.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.diloco(gd.sgd(1.0), every=2), jnp.zeros(1)
    >>> state = tx.init(params)
    >>> for _ in range(2):
    ...     params, state = tx.step(jnp.array([-1.0]), state, params)
    >>> round(float(params[0]), 2)
    2.66

    Args:
        inner: The optimizer of the H steps; its state is kept over outer steps.
        every: H ≥ 1, in steps: 500 in the paper of DiLoCo, 30 in that of MuLoCo.
        outer: The outer optimizer; None is that of the paper of DiLoCo, the stages of
            `sgd(0.7, momentum=0.9, nesterov=True)`. Its schedules count outer steps.
        axis_name: The axis, or axes, of the replicas in `shard_map`, `pmap` or `vmap`; None for
            one worker.

    Raises:
        ValueError: `every` is less than 1, or `update` was called without params.

    Reference: Douillard et al., DiLoCo: distributed low-communication training of language models,
        2023, https://arxiv.org/abs/2311.08105; Thérien, Huang, Defazio, Rish and Belilovsky,
        MuLoCo: Muon is a practical inner optimizer for DiLoCo, 2025,
        https://arxiv.org/abs/2505.23725
    """
    errors.check_counts("diloco", every=every)
    if outer is None:
        outer = chain(trace(0.9, nesterov=True), scale_by_learning_rate(0.7))

    def init(params):
        slow = jax.tree.map(numerics.wide, tree.copy(params))
        return DilocoState(inner.init(params), outer.init(slow), zero_count(), slow)

    def update(updates, state, params=None, **extra):
        errors.need_params("diloco", params)
        steps, inner_state = call_update(inner, updates, state.inner_state, params, extra)

        def outer_step():
            change = lambda u, slow, p: pmean(slow - (p + u), axis_name)
            changes = tree.map(change, steps, state.slow, params)
            out, outer_state = call_update(outer, changes, state.outer_state, state.slow, extra)
            slow = tree.add(state.slow, out)
            return tree.map(lambda u, slow, p: slow - p, steps, slow, params), (outer_state, slow)

        count = (state.steps_since_sync + 1) % every
        kept = state.outer_state, state.slow
        u, (outer_state, slow) = update_if(count == 0, outer_step, steps, kept, lambda u: u)
        return u, DilocoState(inner_state, outer_state, count, slow)

    children = Child("inner", inner, at="inner_state"), Child("outer", outer, at="outer_state")
    return Rule(init, update, evaluate=slow_weights, children=children)

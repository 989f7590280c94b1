"""Float32 master weights of 16-bit parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import GradientTransformation, call_update, transformation
from gdjax.core.engine.walk import trained
from gdjax.core.lowbit.rounding import evolve_narrow, is_narrow, land, nearest
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.roles import PerParam

__all__ = ["MasterWeightsState", "with_master_weights"]


class MasterWeightsState(NamedTuple):
    """State of `with_master_weights`."""

    master: PerParam  # float32; None where a parameter is not of 16 bits
    inner_state: Any  # of the inner transformation, which has seen the master


@transformation(kind="wrapper")
def with_master_weights(inner: Any):
    """Mixed precision: trains float32 master weights of 16-bit parameters.

        w ← w + u(g, w),    θ ← w rounded to the dtype of θ

    State: 4 bytes for each 16-bit parameter, none for others. The returned updates are float32 and
    exact (see `stochastic_rounding`); this wrapper must be the last to change them. The parameters
    follow w: a change made to them elsewhere is undone by the next step.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = jnp.ones(1, jnp.bfloat16)
    >>> tx = gd.with_master_weights(gd.sgd(1e-3))
    >>> state = tx.init(params)
    >>> for _ in range(10):
    ...     params, state = tx.step(jnp.ones(1), state, params)
    >>> params, round(float(state.master[0]), 4)
    (Array([0.988281], dtype=bfloat16), 0.99)

    Args:
        inner: The transformation, its learning rate included. Its parameters are w.

    Raises:
        ValueError: `update` was called without params.

    Reference: Micikevicius et al., Mixed precision training, 2017,
        https://arxiv.org/abs/1710.03740
    """

    def init(params):
        own = lambda p: p.astype(jnp.float32) if is_narrow(p) else None
        master = jax.tree.map(own, trained(inner, params))
        return MasterWeightsState(master, inner.init(instead(master, params)))

    def update(updates, state, params=None, **extra):
        errors.need_params("with_master_weights", params)
        weights = instead(state.master, params)
        updates, inner_state = call_update(inner, updates, state.inner_state, weights, extra)

        def leaf(u, p, dtype, w, path):
            w = w + u
            d, _ = land(p, w, nearest(w, dtype), dtype)
            return d, w

        updates, master = evolve_narrow(leaf, updates, params, state.master)
        return updates, MasterWeightsState(master, inner_state)

    def evaluate(state, params):
        return point_of(inner, state.inner_state, instead(state.master, params), params)

    return Rule(
        init, update, evaluate=evaluate, children=(Child("inner", inner, at="inner_state"),)
    )


def instead(weights: Any, params: Any) -> Any:
    """The master weights; parameters without one as they are."""
    choose = lambda w, p: p if w is None else w
    return jax.tree.map(choose, weights, params, is_leaf=tree.is_none)


def point_of(inner: Any, state: Any, weights: Any, params: Any) -> Any:
    """The evaluation point of `inner`, which has the master weights, in the dtypes of params."""
    if not isinstance(inner, GradientTransformation):
        return params
    pick = lambda x, w, p: p if x is w else numerics.like(x, p)
    point = inner.evaluate(state, weights)
    return jax.tree.map(pick, point, weights, params, is_leaf=tree.is_none)

"""Elementwise corrections of updates: zeroed NaNs, nonnegative parameters, any function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.roles import Scalars

__all__ = [
    "ZeroNansState",
    "keep_params_nonnegative",
    "stateless_with_tree_map",
    "zero_nans",
]


class ZeroNansState(NamedTuple):
    """State of `zero_nans`."""

    found_nan: Scalars  # bool for each parameter: whether its last update had a NaN


@transformation
def zero_nans():
    """Replaces NaNs in the updates by zeros, and records which arrays had any.

    Before momentum or second moments, skip the whole step instead: `apply_if_finite`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.zero_nans()
    >>> tx.update({"w": jnp.array([jnp.nan, 1.0])}, tx.init({"w": jnp.zeros(2)}))
    ({'w': Array([0., 1.], dtype=float32)}, ZeroNansState(found_nan={'w': Array(True, dtype=bool)}))
    """

    def init(params):
        no = lambda p: jnp.zeros([], bool) if tree.differentiable(p) else None
        return ZeroNansState(jax.tree.map(no, params))

    def update(updates, state, params=None, **extra):
        def look(g, before):
            here = before is not None and tree.differentiable(g)
            return jnp.any(jnp.isnan(g)) if here else before

        found = jax.tree.map(look, updates, state.found_nan, is_leaf=tree.is_none)
        return tree.map(lambda g: jnp.where(jnp.isnan(g), 0, g), updates), ZeroNansState(found)

    return init, update


@transformation
def keep_params_nonnegative():
    """Nonnegative parameters: clips the updates so that θ + u ≥ 0.

        u = max(g, −θ)

    Put it last in a chain. A negative parameter becomes zero.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.sgd(1.0), gd.keep_params_nonnegative())
    >>> params = jnp.array([1.0, 1.0])
    >>> tx.step(jnp.array([3.0, 0.5]), tx.init(params), params)[0]
    Array([0. , 0.5], dtype=float32)

    Raises:
        ValueError: `update` was called without params.
        TypeError: A parameter is complex.
    """

    def leaf(g, p):
        if jnp.iscomplexobj(p) or jnp.iscomplexobj(g):
            must = "parameters must be real to have a sign"
            errors.fail("keep_params_nonnegative", must, p.dtype, kind=TypeError)
        return jnp.maximum(g, -p)

    def update(updates, state, params=None, **extra):
        errors.need_params("keep_params_nonnegative", params)
        return tree.map(leaf, updates, params), state

    return lambda params: EmptyState(), update


@transformation
def stateless_with_tree_map(f: Callable[[Any, Any], Any]):
    """Stateless transformation from a function of one array and its parameter: u = f(g, θ).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> shrink = gd.stateless_with_tree_map(lambda g, p: jnp.sign(g) * jnp.abs(p))
    >>> shrink.update(jnp.array([-3.0, 2.0]), gd.EmptyState(), jnp.array([1.0, 5.0]))[0]
    Array([-1.,  5.], dtype=float32)

    Args:
        f: Takes an array of updates and its parameter (None if not given), both in float32 or
            wider; returns an array of the same shape. A function with a name can be pickled and
            written as JSON.

    Raises:
        TypeError: `f` is not callable.
    """
    if not callable(f):
        must = "f must be callable as f(update, param)"
        errors.fail("stateless_with_tree_map", must, f, kind=TypeError)

    def update(updates, state, params=None, **extra):
        return tree.map(f, updates, params), state

    return lambda params: EmptyState(), update

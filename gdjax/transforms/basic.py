"""Basic transformations: identity, zero, scaling, learning rate, schedule, any function."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Hyperparam, LearningRate, SignedFactor, Turns
from gdjax.core.engine.rule import EmptyState, Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree

__all__ = [
    "identity",
    "scale",
    "scale_by_learning_rate",
    "scale_by_schedule",
    "set_to_zero",
    "stateless",
]


def _without_state(params: Any) -> EmptyState:
    return EmptyState()


@transformation
def identity():
    """Identity: returns the updates unchanged.

        u = g

    >>> import gdjax as gd
    >>> gd.identity().update({"w": None}, gd.EmptyState())
    ({'w': None}, EmptyState())
    """

    def update(updates, state, params=None, **extra):
        return updates, state

    return _without_state, update


@transformation
def set_to_zero():
    """Sets all updates to zero.

        u = 0

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.set_to_zero().update(jnp.array([1.0, 2.0]), gd.EmptyState())[0]
    Array([0., 0.], dtype=float32)
    """

    def update(updates, state, params=None, **extra):
        return tree.map(jnp.zeros_like, updates), state

    nothing = lambda params: jax.tree.map(lambda p: None, params)
    return Rule(_without_state, update, moves=nothing)


@transformation
def stateless(function: Callable[[Any, Any], Any]):
    """Stateless transformation from a function of updates and parameters: u = f(g, θ).

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> sign = gd.stateless(lambda updates, params: jax.tree.map(jnp.sign, updates))
    >>> sign.update(jnp.array([-3.0, 2.0]), gd.EmptyState())[0]
    Array([-1.,  1.], dtype=float32)

    Args:
        function: Takes the trees of updates and parameters (None if not given), returns updates of
            the same structure. A function with a name can be pickled and written as JSON.

    Raises:
        TypeError: `function` is not callable.
        ValueError: `function` returned a tree of another structure.
    """
    if not callable(function):
        must = "function must be callable as function(updates, params)"
        errors.fail("stateless", must, function, kind=TypeError)

    def update(updates, state, params=None, **extra):
        out = function(updates, params)
        if jax.tree.structure(out) != jax.tree.structure(updates):
            must = "function must return a tree with the structure of the updates"
            errors.fail("stateless", must, tree.difference(updates, out, ("updates", "result")))
        return out, state

    return _without_state, update


@transformation
def scale(step_size: SignedFactor):
    """Scales the updates by a factor.

        u = s·g

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.scale(-0.5).update(jnp.array([2.0, 4.0]), gd.EmptyState())[0]
    Array([-1., -2.], dtype=float32)

    Args:
        step_size: s, of either sign; negative for descent.
    """

    def update(updates, state, params=None, **extra):
        return tree.map(functools.partial(operator.mul, step_size), updates), state

    return _without_state, update


@transformation
def scale_by_learning_rate(learning_rate: LearningRate, *, flip_sign: Turns = True):
    """Scales the updates by the negative learning rate, the last stage of a chain.

        with flip_sign:       u = −η·g
        without flip_sign:    u = η·g

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.scale_by_learning_rate(0.5).update(jnp.array([2.0, 4.0]), gd.EmptyState())[0]
    Array([-1., -2.], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        flip_sign: False for gradient ascent.
    """

    def update(updates, state, params=None, **extra):
        factor = -learning_rate if flip_sign else learning_rate
        return tree.map(functools.partial(operator.mul, factor), updates), state

    return _without_state, update


@transformation
def scale_by_schedule(step_size_fn: Hyperparam):
    """Scales the updates by a schedule, whose step count is 0 at the first step.

        u = s·g

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_schedule(lambda step: 1.0 / (1.0 + step))
    >>> state = tx.init(jnp.ones([]))
    >>> u, state = tx.update(jnp.ones([]), state)
    >>> tx.update(jnp.ones([]), state)[0]
    Array(0.5, dtype=float32)

    Args:
        step_size_fn: s, any schedule or function of the step count [] int32.
    """
    return scale(step_size_fn)

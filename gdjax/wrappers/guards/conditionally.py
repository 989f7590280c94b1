"""Transformations that are applied at some steps only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count
from gdjax.wrappers.guards.cond import guarded

__all__ = [
    "ConditionallyMaskState",
    "ConditionallyTransformState",
    "conditionally_mask",
    "conditionally_transform",
]


class ConditionallyMaskState(NamedTuple):
    """State of `conditionally_mask`."""

    step: Count  # calls so far
    inner_state: Any  # of the inner transformation, which counts only its own steps


class ConditionallyTransformState(NamedTuple):
    """State of `conditionally_transform`."""

    inner_state: Any  # of the inner transformation, which counts only its own steps
    step: Count  # calls so far


@transformation(kind="wrapper")
def conditionally_mask(
    inner: Any, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
):
    """Conditional updates: applies a transformation at some steps, zero updates at the others.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.conditionally_mask(gd.sgd(1.0), lambda step: step % 2 == 1)
    >>> first, state = tx.update(jnp.ones(1), tx.init(jnp.ones(1)))
    >>> second, state = tx.update(jnp.ones(1), state)
    >>> float(first[0]), float(second[0])
    (0.0, -1.0)

    Args:
        inner: What is applied; its own schedules count the steps at which it is.
        should_transform_fn: Takes the number of calls before this one, [] int32, and returns
            [] bool.
        forward_extra_args: Gives it the extra arguments too.

    Raises:
        TypeError: `should_transform_fn` is not callable.
    """
    init = lambda params: ConditionallyMaskState(zero_count(), inner.init(params))
    decide = _at_steps("conditionally_mask", should_transform_fn, forward_extra_args)
    return guarded(inner, init, decide, couples=False)


@transformation(kind="wrapper")
def conditionally_transform(
    inner: Any, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
):
    """Conditional transformation: applied at some steps, the identity at the others.

    For a stage inside a chain, such as a clip. For a whole optimizer use `conditionally_mask`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.conditionally_transform(gd.clip(1.0), lambda step: step >= 1)
    >>> first, state = tx.update(jnp.array([3.0]), tx.init(jnp.ones(1)))
    >>> second, state = tx.update(jnp.array([3.0]), state)
    >>> float(first[0]), float(second[0])
    (3.0, 1.0)

    Args:
        inner: What is applied; its own schedules count the steps at which it is.
        should_transform_fn: Takes the number of calls before this one, [] int32, and returns
            [] bool.
        forward_extra_args: Gives it the extra arguments too.

    Raises:
        TypeError: `should_transform_fn` is not callable.
    """
    init = lambda params: ConditionallyTransformState(inner.init(params), zero_count())
    decide = _at_steps("conditionally_transform", should_transform_fn, forward_extra_args)
    return guarded(inner, init, decide, otherwise=lambda updates: updates, couples=False)


def _at_steps(name: str, should: Callable[..., Any], forward: bool) -> Callable[..., Any]:
    """Decides by a function of the step."""
    if not callable(should):
        must = "should_transform_fn must be callable as function(step)"
        errors.fail(name, must, should, kind=TypeError)

    def decide(updates: Any, state: Any, extra: dict[str, Any]) -> tuple[Any, Any]:
        take = jnp.asarray(should(state.step, **(extra if forward else {})))
        return take, state._replace(step=increment(state.step))

    return decide

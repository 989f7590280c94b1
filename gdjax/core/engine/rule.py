"""Declarations of a transformation: its functions, properties, and inner transformations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gdjax.core.rule.tree import is_none


class EmptyState(NamedTuple):
    """State of a transformation without state."""


class Child(NamedTuple):
    """A transformation inside another.

    Attributes:
        name: Its name there; by default the name of its factory, with a number.
        tx: The transformation, of gdjax or of another library.
        at: Where its state is in the outer state: a field, an index or a key, or a tuple of these
            as a path; `()` is the whole state.
        share: Function of the parameters that returns those it gets, with None for the others.
        named: Whether the user gave the name, which is then a part of the paths of the state.
        split: Axis of the mesh over which its state is split, if any.
    """

    name: str
    tx: Any
    at: str | int | tuple[Any, ...]
    share: Callable[[Any], Any] | None = None
    named: bool = False
    split: str | None = None

    def state_in(self, state: Any) -> Any:
        """Its state, from the outer state."""
        for key in self.at if isinstance(self.at, tuple) else (self.at,):
            state = getattr(state, key) if hasattr(state, "_fields") else state[key]  # type: ignore
        return state

    def params_of(self, params: Any) -> Any:
        """The parameters that it gets."""
        return params if self.share is None or params is None else self.share(params)


class Rule(NamedTuple):
    """The result of a factory's body, where there is more to declare than `(init, update)`.

    Attributes:
        init: `init(params)` returns the state.
        update: `update(updates, state, params=None, **extra)` returns `(updates, state)`.
        step: `step(updates, state, params, **extra)` returns `(params, state)`, the same as
            `update` and `apply_updates`; for speed alone.
        evaluate: `evaluate(state, params)` returns the parameters to evaluate a model at; by
            default those of the children, `at_params` for the parameters themselves.
        children: The transformations inside.
        couples: Whether the update of one leaf depends on the gradients of others, as in clipping
            by the global norm; children declare this themselves.
        skips: Whether a call may leave parameters and the inner state unchanged.
        per_example: Whether the gradients have a leading axis of examples.
        moves: Function of the parameters that returns those it may change, with None for the
            others; by default those of the children, and all if there are none.
        needs: Extra arguments that `update` requires and reads from `**extra`, because their names
            are arguments of the factory. Others are required by their names: `*, value`.
    """

    init: Callable[..., Any]
    update: Callable[..., Any]
    step: Callable[..., Any] | None = None
    evaluate: Callable[[Any, Any], Any] | None = None
    children: tuple[Child, ...] = ()
    couples: bool = False
    skips: bool = False
    per_example: bool = False
    moves: Callable[[Any], Any] | None = None
    needs: tuple[str, ...] = ()


def at_params(state: Any, params: Any) -> Any:
    """`evaluate` of a rule whose model is evaluated at the parameters, whatever is inside it."""
    return params


def merged(some: Any, others: Any) -> Any:
    """Merges two trees: the leaves of `some`, and those of `others` where `some` has None."""
    choose = lambda x, y: y if x is None else x
    return jax.tree.map(choose, some, others, is_leaf=is_none)

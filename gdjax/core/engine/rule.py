"""What is known of a transformation, declared once: its functions, and what is inside of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from gdjax.core.rule.tree import is_none


class EmptyState(NamedTuple):
    """State of a transformation that has none."""


class Child(NamedTuple):
    """A transformation inside of another.

    Attributes:
        name: What it is called there; by default what its factory is called, numbered.
        tx: The transformation, of any origin.
        at: Where its state is in the state of the other: a field, an index or a key, or a tuple of
            these on the way; `()` is the whole.
        share: Makes of the parameters those that it gets, with None in the place of the others.
        named: Whether the user gave the name, which then stands in the paths of the state.
        split: Axis of the mesh over whose devices its state is shared out, if it is.
    """

    name: str
    tx: Any
    at: str | int | tuple[Any, ...]
    share: Callable[[Any], Any] | None = None
    named: bool = False
    split: str | None = None

    def state_in(self, state: Any) -> Any:
        """Its state, inside of that of the other."""
        for key in self.at if isinstance(self.at, tuple) else (self.at,):
            state = getattr(state, key) if hasattr(state, "_fields") else state[key]  # type: ignore
        return state

    def params_of(self, params: Any) -> Any:
        """The parameters that it gets."""
        return params if self.share is None or params is None else self.share(params)


class Rule(NamedTuple):
    """What the body of a factory returns, where `(init, update)` is not all there is to say.

    Attributes:
        init: Makes the state: `init(params)`.
        update: `update(updates, state, params=None, **extra)` returns `(updates, state)`.
        step: `step(updates, state, params, **extra)` returns `(params, state)`, the numbers of
            `update` and `apply_updates`. It is for speed alone.
        evaluate: `evaluate(state, params)` gives the parameters to evaluate a model at; by default
            those of the children.
        children: The transformations inside.
        couples: Whether the update of one leaf depends on the gradients of others, as in a clip by
            the global norm; what the children do is known of them.
        skips: Whether a call may leave parameters and the inner state as they are.
        per_example: Whether the updates that come in have a leading axis of examples.
        moves: Makes of the parameters those that it may move, None in the place of the others; by
            default those of the children, and all if there are none.
        needs: Extra arguments that `update` needs and finds in `**extra`, whose names are
            themselves arguments of the factory. Others are needed by being named: `*, value`.
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


def merged(some: Any, others: Any) -> Any:
    """One tree of two: the leaves of `some`, and those of `others` where `some` has None."""
    choose = lambda x, y: y if x is None else x
    return jax.tree.map(choose, some, others, is_leaf=is_none)

"""The classes and types that code for optax asks for, such that ours are members of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import chex
import jax
import jax.numpy as jnp

from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import GradientTransformation as Recipe
from gdjax.core.engine.transformation import call_update
from gdjax.core.rule.roles import Count

__all__ = [
    "AdaptiveGradClipState",
    "AddDecayedWeightsState",
    "ArrayTree",
    "ClipByGlobalNormState",
    "ClipState",
    "GradientTransformation",
    "GradientTransformationExtraArgs",
    "LookaheadParams",
    "MaskOrFn",
    "MaskedNode",
    "NonNegativeParamsState",
    "NormalizeState",
    "OptState",
    "Params",
    "ScalarOrSchedule",
    "ScaleByScheduleState",
    "ScaleByTrustRatioState",
    "ScaleState",
    "Schedule",
    "TransformInitFn",
    "TransformUpdateExtraArgsFn",
    "TransformUpdateFn",
    "Updates",
    "init_empty_state",
    "with_extra_args_support",
]

ArrayTree = chex.ArrayTree
Params = Updates = OptState = ArrayTree
Schedule = Callable[[chex.Numeric], chex.Numeric]
ScalarOrSchedule = float | jax.Array | Schedule
MaskOrFn = Any | Callable[[Params], Any] | None


class TransformInitFn(Protocol):
    """Makes a state of parameters."""

    def __call__(self, params: Params) -> OptState:
        """Makes the state before the first step."""
        ...


class TransformUpdateFn(Protocol):
    """Turns gradients into updates."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params | None = None
    ) -> tuple[Updates, OptState]:
        """Gives updates and the next state."""
        ...


class TransformUpdateExtraArgsFn(Protocol):
    """Turns gradients into updates, and may be told more."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        """Gives updates and the next state."""
        ...


class _Two(NamedTuple):
    init: Any
    update: Any


class _Membership(type):
    """Members are all pairs of that form, whichever library has made them."""

    def __instancecheck__(cls, value: Any) -> bool:
        if cls not in (_classes := (GradientTransformation, GradientTransformationExtraArgs)):
            return type.__instancecheck__(cls, value)
        if isinstance(value, Recipe):
            return True
        if not (isinstance(value, tuple) and getattr(value, "_fields", ()) == _Two._fields):
            return False
        if cls is _classes[0]:
            return True
        return any(kind.__name__ == "GradientTransformationExtraArgs" for kind in type(value).mro())


class GradientTransformation(_Two, metaclass=_Membership):
    """A plain pair of functions `(init, update)`, which remembers nothing.

    Everything of gdjax is an instance of it, and so are the pairs of other libraries.

    >>> from gdjax.compat import optax
    >>> isinstance(optax.adam(0.1), optax.GradientTransformation)
    True
    """

    __slots__ = ()


class GradientTransformationExtraArgs(GradientTransformation):
    """A pair whose `update` takes any extra arguments."""

    __slots__ = ()


def with_extra_args_support(tx: Any) -> Any:
    """Makes a transformation that ignores the extra arguments that `update` does not take.

    >>> from gdjax.compat import optax
    >>> plain = optax.GradientTransformation(lambda params: (), lambda u, state, params: (u, state))
    >>> optax.with_extra_args_support(plain).update(1.0, (), None, value=3.0)
    (1.0, ())
    """
    if isinstance(tx, GradientTransformationExtraArgs):
        return tx

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        return call_update(tx, updates, state, params, extra_args)

    return GradientTransformationExtraArgs(tx.init, update)


class MaskedNode(NamedTuple):
    """Stands in a tree for a leaf that is masked out; it has no leaves itself."""


class LookaheadParams(NamedTuple):
    """The two sets of parameters of `lookahead`: train with `fast`, evaluate with `slow`."""

    fast: Params
    slow: Params

    @classmethod
    def init_synced(cls, params: Params) -> LookaheadParams:
        """Both sets equal, in buffers of their own."""
        return cls(params, jax.tree.map(lambda x: jnp.array(x, copy=True), params))


class ScaleByScheduleState(NamedTuple):
    """State of optax's `scale_by_schedule`; ours is `InjectHyperparamsState`."""

    count: Count


# What has no state has that of every such transformation.
AdaptiveGradClipState = AddDecayedWeightsState = ClipState = ClipByGlobalNormState = EmptyState
NonNegativeParamsState = NormalizeState = ScaleByTrustRatioState = ScaleState = EmptyState


def init_empty_state(params: Params) -> EmptyState:
    """Makes the state of a transformation that has none."""
    return EmptyState()

"""Classes and types of optax, of which transformations of gdjax are instances."""

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
    """Type of `init`: makes a state of parameters."""

    def __call__(self, params: Params) -> OptState:
        """Returns the initial state."""
        ...


class TransformUpdateFn(Protocol):
    """Type of `update`: turns gradients into updates."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params | None = None
    ) -> tuple[Updates, OptState]:
        """Gives updates and the next state."""
        ...


class TransformUpdateExtraArgsFn(Protocol):
    """Type of `update` with extra arguments."""

    def __call__(
        self, updates: Updates, state: OptState, params: Params | None = None, **extra_args: Any
    ) -> tuple[Updates, OptState]:
        """Gives updates and the next state."""
        ...


class _Two(NamedTuple):
    init: Any
    update: Any


class _Membership(type):
    """Instances are all pairs `(init, update)`, of any library."""

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
    """A plain pair of functions `(init, update)`.

    Transformations of gdjax are instances of it, and so are the pairs of other libraries.

    >>> from gdjax.compat import optax
    >>> isinstance(optax.adam(0.1), optax.GradientTransformation)
    True
    """

    __slots__ = ()


class GradientTransformationExtraArgs(GradientTransformation):
    """A pair whose `update` takes any extra arguments."""

    __slots__ = ()


def with_extra_args_support(tx: Any) -> Any:
    """Wraps a transformation: extra arguments that `update` does not take are ignored.

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
    """A placeholder without leaves for a leaf that is masked out."""


class LookaheadParams(NamedTuple):
    """The two sets of parameters of `lookahead`: train with `fast`, evaluate with `slow`."""

    fast: Params
    slow: Params

    @classmethod
    def init_synced(cls, params: Params) -> LookaheadParams:
        """Fast and slow parameters that are equal, in separate buffers."""
        return cls(params, jax.tree.map(lambda x: jnp.array(x, copy=True), params))


class ScaleByScheduleState(NamedTuple):
    """State of optax's `scale_by_schedule`; ours is `InjectHyperparamsState`."""

    count: Count


# What has no state has that of every such transformation.
AdaptiveGradClipState = AddDecayedWeightsState = ClipState = ClipByGlobalNormState = EmptyState
NonNegativeParamsState = NormalizeState = ScaleByTrustRatioState = ScaleState = EmptyState


def init_empty_state(params: Params) -> EmptyState:
    """The state of a stateless transformation."""
    return EmptyState()

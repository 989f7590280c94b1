"""Gradient accumulation (`MultiSteps`), with the class and the state of optax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from gdjax.compat.optax.twins import named
from gdjax.core.data.hyperparams import is_known
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, PerParam, Scalars
from gdjax.wrappers.guards.accumulate import skip_large_updates, skip_not_finite

__all__ = [
    "MultiSteps",
    "MultiStepsState",
    "ShouldSkipUpdateFunction",
    "skip_large_updates",
    "skip_not_finite",
]


class MultiStepsState(NamedTuple):
    """State of `MultiSteps`."""

    mini_step: Count  # gradients added up so far
    gradient_step: Count  # steps of the inner optimizer
    inner_opt_state: Any
    acc_grads: PerParam  # mean or sum of the gradients so far; () where each call is a step
    skip_state: Scalars = ()  # the last result of the function that skips


class ShouldSkipUpdateFunction(Protocol):
    """Type of functions that decide whether gradients are skipped."""

    def __call__(self, updates: Any, gradient_step: Any, params: Any) -> tuple[Any, Any]:
        """Returns a bool, [], and a tree for the state."""
        ...


def _never(updates: Any, gradient_step: Any, params: Any) -> tuple[jax.Array, tuple]:
    return jnp.zeros([], bool), ()


@named("optax")
def multi_steps(
    opt: Any,
    every_k_schedule: Any,
    use_grad_mean: bool = True,
    should_skip_update_fn: Callable[..., Any] | None = None,
    accumulator_dtype: Any = jnp.float32,
):
    """Gradient accumulation: one step in a number of calls, zero updates in the others."""
    skips = _never if should_skip_update_fn is None else should_skip_update_fn
    alone = should_skip_update_fn is None and not callable(every_k_schedule)
    alone = alone and is_known(every_k_schedule) and every_k_schedule == 1

    # float32 or wider, as wide as the parameters, unless asked for less
    dtype = None if accumulator_dtype == jnp.float32 else accumulator_dtype

    def init(params):
        empty = jax.tree.map(jnp.zeros_like, params)
        _, kept = skips(empty, zero_count(), params)
        inner = opt.init(params)
        acc = () if alone else tree.moment_like(params, dtype)
        return MultiStepsState(zero_count(), zero_count(), inner, acc, kept)

    def each(updates, state, params=None, **extra):
        """A step in every call, without accumulation."""
        out, inner = call_update(opt, updates, state.inner_opt_state, params, extra)
        return out, state._replace(
            gradient_step=increment(state.gradient_step), inner_opt_state=inner
        )

    def update(updates, state, params=None, **extra):
        every = every_k_schedule
        k = every(state.gradient_step) if callable(every) else every
        skip, kept = skips(updates, state.gradient_step, params)
        number = (state.mini_step + 1).astype(float)

        def leaf(a, g):
            return a + (g - a) / number.astype(g.dtype) if use_grad_mean else a + g

        def final(acc: Any) -> Any:
            out, inner = call_update(opt, acc, state.inner_opt_state, params, extra)
            empty = jax.tree.map(jnp.zeros_like, state.acc_grads)
            return out, MultiStepsState(
                zero_count(), increment(state.gradient_step), inner, empty, kept
            )

        def middle(acc: Any) -> Any:
            out, _ = jax.eval_shape(final, acc)
            nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), out)
            return nothing, state._replace(
                mini_step=increment(state.mini_step), acc_grads=acc, skip_state=kept
            )

        def skipped(acc: Any) -> Any:
            out, _ = middle(acc)
            return out, state._replace(skip_state=kept)

        acc = tree.map(leaf, state.acc_grads, updates)
        acc = jax.tree.map(lambda new, old: new.astype(old.dtype), acc, state.acc_grads)

        def taken(acc: Any) -> Any:
            return jax.lax.cond(state.mini_step >= k - 1, final, middle, acc)

        if should_skip_update_fn is None:
            return taken(acc)
        return jax.lax.cond(skip, skipped, taken, acc)

    update = each if alone else update
    return Rule(init, update, children=(Child("inner", opt, at="inner_opt_state"),), skips=True)


class MultiSteps:
    """Gradient accumulation: one step with the mean or sum of the gradients of several calls.

    >>> from gdjax.compat import optax
    >>> import jax.numpy as jnp
    >>> tx = optax.MultiSteps(optax.sgd(1.0), every_k_schedule=2)
    >>> state = tx.init(jnp.zeros(1))
    >>> for g in (1.0, 3.0):
    ...     u, state = tx.update(jnp.array([g]), state)
    ...     print(float(u[0]), bool(tx.has_updated(state)))
    0.0 False
    -2.0 True

    Args:
        opt: The inner transformation.
        every_k_schedule: The number of calls for a step, or a function of the number of steps that
            returns it.
        use_grad_mean: False for the sum of the gradients.
        should_skip_update_fn: A `ShouldSkipUpdateFunction` that decides which gradients to skip.
        accumulator_dtype: Dtype of the accumulated gradients.
    """

    def __init__(
        self,
        opt: Any,
        every_k_schedule: Any,
        use_grad_mean: bool = True,
        should_skip_update_fn: ShouldSkipUpdateFunction | None = None,
        accumulator_dtype: Any = jnp.float32,
    ) -> None:
        more: dict[str, Any] = {} if use_grad_mean else {"use_grad_mean": False}
        if should_skip_update_fn is not None:
            more["should_skip_update_fn"] = should_skip_update_fn
        if accumulator_dtype != jnp.float32:
            more["accumulator_dtype"] = accumulator_dtype
        self._tx = multi_steps(opt, every_k_schedule, **more)

    def __repr__(self) -> str:
        return repr(self._tx).replace("optax.multi_steps", "optax.MultiSteps", 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MultiSteps) and self._tx == other._tx

    def __hash__(self) -> int:
        return hash(self._tx)

    @property
    def inner_opt(self) -> Any:
        """The inner transformation."""
        return self._tx.arguments["opt"]

    def init(self, params: Any) -> MultiStepsState:
        """The initial state."""
        return self._tx.init(params)

    def update(
        self, updates: Any, state: MultiStepsState, params: Any = None, **extra_args: Any
    ) -> tuple[Any, MultiStepsState]:
        """Accumulates the gradients; returns zero, or the update of the inner transformation."""
        return self._tx.update(updates, state, params, **extra_args)

    def has_updated(self, state: MultiStepsState) -> jax.Array:
        """Whether the last call made a step."""
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> Any:
        """The same as a transformation, for a chain."""
        return self._tx

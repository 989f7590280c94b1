"""Transformations that run only at some steps, or only while the gradients are finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.engine.extra_args import call_update
from gdjax.core.engine.transformation import Pair, transformation
from gdjax.core.rule import collectives, errors, numerics, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.wrappers.guards.cond import call_step, step_if, update_if

if TYPE_CHECKING:
    import chex

__all__ = [
    "ApplyIfFiniteState",
    "ConditionallyMaskState",
    "ConditionallyTransformState",
    "all_finite",
    "apply_if_finite",
    "conditionally_mask",
    "conditionally_transform",
]


class ConditionallyMaskState(NamedTuple):
    """State of `conditionally_mask`."""

    step: chex.Array  # [] int32: calls so far
    inner_state: Any  # of the inner transformation, which counts only its own steps


class ConditionallyTransformState(NamedTuple):
    """State of `conditionally_transform`."""

    inner_state: Any  # of the inner transformation, which counts only its own steps
    step: chex.Array  # [] int32: calls so far


class ApplyIfFiniteState(NamedTuple):
    """State of `apply_if_finite`."""

    notfinite_count: chex.Array  # [] int32: gradients that were not finite, since the last that was
    last_finite: chex.Array  # [] bool
    total_notfinite: chex.Array  # [] int32
    inner_state: Any  # of the inner transformation

    def metrics(self) -> dict[str, chex.Array]:
        """Steps left out, of all."""
        return {"skipped": self.total_notfinite}


@transformation(kind="wrapper")
def conditionally_mask(
    inner: Any, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
):
    """Applies a transformation at some steps; at the others the updates are zero.

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

    def wrap(step: Any, state: Any) -> Any:
        return ConditionallyMaskState(step, state)

    return _conditionally(
        "conditionally_mask", inner, should_transform_fn, forward_extra_args, wrap, None
    )


@transformation(kind="wrapper")
def conditionally_transform(
    inner: Any, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
):
    """Applies a transformation at some steps; at the others the updates pass as they are.

    It is for a stage of a chain that other stages finish; an optimizer wants `conditionally_mask`.

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

    def wrap(step: Any, state: Any) -> Any:
        return ConditionallyTransformState(state, step)

    return _conditionally(
        "conditionally_transform",
        inner,
        should_transform_fn,
        forward_extra_args,
        wrap,
        lambda updates: updates,
        steps=False,
    )


@transformation(kind="wrapper")
def apply_if_finite(inner: Any, max_consecutive: int | None = None, *, axis_name: Any = None):
    """Leaves out the steps whose gradients hold a NaN or an infinity: no update, no new state.

    The state counts them, so a run that only skips is seen. `step` keeps the parameters inside of
    the branch and spares their copy.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.apply_if_finite(gd.sgd(0.1, momentum=0.9))
    >>> updates, state = tx.update(jnp.array([jnp.nan, 1.0]), tx.init(jnp.ones(2)))
    >>> updates, int(state.total_notfinite)
    (Array([0., 0.], dtype=float32), 1)

    Args:
        inner: What is applied where all gradients are finite.
        max_consecutive: As many are left out one after another; then one that is not finite
            is applied, and the parameters with it are lost. None, the default, never does.
        axis_name: Axes of `shard_map` or `pmap` over which the gradients are split: what one
            device meets, all of them act on.

    Raises:
        ValueError: `max_consecutive` is negative.
    """
    if max_consecutive is not None and max_consecutive < 0:
        must = "max_consecutive must be 0 or more, or None"
        errors.fail("apply_if_finite", must, max_consecutive)

    def init(params):
        return ApplyIfFiniteState(
            zero_count(), jnp.ones([], bool), zero_count(), inner.init(params)
        )

    def judge(updates: Any, state: Any) -> Any:
        """Whether to apply, and the state after it but for the inner one."""
        finite = all_finite(updates, axis_name=axis_name)
        count = jnp.where(finite, 0, increment(state.notfinite_count))
        total = jnp.where(finite, state.total_notfinite, increment(state.total_notfinite))
        apply = finite
        if max_consecutive is not None:
            apply = finite | (count > max_consecutive)
        return apply, ApplyIfFiniteState(count, finite, total, state.inner_state)

    def update(updates, state, params=None, **extra):
        apply, after = judge(updates, state)
        act = lambda: call_update(inner, updates, state.inner_state, params, extra)
        out, inner_state = update_if(apply, act, updates, state.inner_state)
        return out, after._replace(inner_state=inner_state)

    def step(updates, state, params, **extra):
        apply, after = judge(updates, state)
        act = lambda: call_step(inner, updates, state.inner_state, params, extra)
        params, inner_state = step_if(apply, act, params, state.inner_state)
        return params, after._replace(inner_state=inner_state)

    return Pair(init, update, step, lambda state: [("inner", inner, state.inner_state)])


def all_finite(updates: Any, *, axis_name: Any = None) -> jax.Array:
    """Whether no number of a tree is NaN or infinite, [] bool.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> bool(gd.all_finite({"w": jnp.array([1.0, jnp.inf])}))
    False

    Args:
        updates: Arrays of any shapes and dtypes.
        axis_name: Axes of `shard_map` or `pmap` over which they are split; the answer is then that
            of all shards together, the same on every device.
    """
    flags = [_finite(x) for x in jax.tree.leaves(updates) if tree.differentiable(x)]
    finite = jnp.all(jnp.stack(flags)) if flags else jnp.ones([], bool)
    return finite if axis_name is None else ~on_any(~finite, axis_name)


def on_any(flag: jax.Array, axis_name: Any) -> jax.Array:
    """Whether a flag holds on one of the devices along some axes, [] bool."""
    return collectives.pmax(flag.astype(jnp.int32), axis_name) > 0


def _finite(x: Any) -> jax.Array:
    """Whether all entries are finite, [] bool; in one reading that writes nothing.

    XLA on CPU writes the flag of every entry to memory before it looks for one that is False, and
    its maximum loses a NaN. So: x − x is 0 where x is finite and NaN elsewhere, and a sum keeps a
    NaN.
    """
    x = jax.lax.stop_gradient(numerics.wide(x))
    return jnp.sum(x - x) == 0


def _conditionally(
    name: str,
    inner: Any,
    should: Callable[..., Any],
    forward: bool,
    wrap: Callable[[Any, Any], Any],
    otherwise: Callable[[Any], Any] | None,
    steps: bool = True,
) -> Pair:
    if not callable(should):
        must = "should_transform_fn must be callable as function(step)"
        errors.fail(name, must, should, kind=TypeError)

    def init(params):
        return wrap(zero_count(), inner.init(params))

    def run_now(state: Any, extra: dict[str, Any]) -> Any:
        return jnp.asarray(should(state.step, **(extra if forward else {})))

    def update(updates, state, params=None, **extra):
        act = lambda: call_update(inner, updates, state.inner_state, params, extra)
        flag = run_now(state, extra)
        out, after = update_if(flag, act, updates, state.inner_state, otherwise)
        return out, wrap(increment(state.step), after)

    def step(updates, state, params, **extra):
        act = lambda: call_step(inner, updates, state.inner_state, params, extra)
        params, after = step_if(run_now(state, extra), act, params, state.inner_state)
        return params, wrap(increment(state.step), after)

    parts = lambda state: [("inner", inner, state.inner_state)]
    return Pair(init, update, step if steps else None, parts)

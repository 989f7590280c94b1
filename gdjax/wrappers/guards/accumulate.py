"""Gradient accumulation: one step of the optimizer for several micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.compare import show
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import (
    GradientTransformation,
    call_step,
    call_update,
    transformation,
)
from gdjax.core.engine.walk import trained
from gdjax.core.rule import collectives, errors, numerics, tree
from gdjax.core.rule.find import locate
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, PerParam, Scalar
from gdjax.wrappers.guards.apply_if_finite import all_finite, on_any
from gdjax.wrappers.guards.cond import step_over, update_over

__all__ = [
    "MultiStepsState",
    "SkipState",
    "accumulate",
    "did_step",
    "flush",
    "skip_large_updates",
    "skip_not_finite",
]


class SkipState(NamedTuple):
    """Counts of `accumulate`: the weights of the gradients, and the gradients that were skipped."""

    weight: Scalar  # of the gradients accumulated so far
    skipped: Count  # gradients left out, of all
    last: Scalar  # bool: whether the last one was


class MultiStepsState(NamedTuple):
    """State of `accumulate`."""

    mini_step: Count  # gradients accumulated so far
    gradient_step: Count  # steps of the inner transformation
    inner_opt_state: Any  # of the inner transformation
    acc_grads: PerParam  # mean of the gradients so far, float32 or wider
    skip_state: SkipState

    def metrics(self) -> dict[str, jax.Array]:
        """Gradients accumulated since the last step, and gradients skipped in total."""
        return {"accumulated": self.mini_step, "skipped": self.skip_state.skipped}


def skip_not_finite(
    updates: Any, gradient_step: Any, params: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Rule for `accumulate`: skips gradients that contain a NaN or an infinity.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> skip, info = gd.skip_not_finite({"w": jnp.array([1.0, jnp.nan])}, 0, None)
    >>> bool(skip), int(info["num_not_finite"])
    (True, 1)
    """
    leaves = [x for x in jax.tree.leaves(updates) if tree.differentiable(x)]
    count = sum((jnp.sum(~jnp.isfinite(x), dtype=jnp.int32) for x in leaves), zero_count())
    skip = ~all_finite(updates)  # costs less than the count, which is dead code where unused
    return skip, {"should_skip": skip, "num_not_finite": count}


def skip_large_updates(
    updates: Any, gradient_step: Any, params: Any, max_squared_norm: Any, axis_name: Any = None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Rule for `accumulate`: skips gradients that are NaN or whose norm is too large.

    The bound of the global norm is √max_squared_norm.

    >>> import functools, gdjax as gd
    >>> skip = functools.partial(gd.skip_large_updates, max_squared_norm=100.0)
    >>> tx = gd.accumulate(gd.sgd(0.1), 4, should_skip_update_fn=skip)
    """
    each = jax.tree.map(lambda g: tree.vdot(g, g), updates)
    squared = tree.total([collectives.psum(square, axis_name) for square in jax.tree.leaves(each)])
    skip = ~(squared <= max_squared_norm)  # so NaN is skipped too
    return skip, {"should_skip": skip, "norm_squared": squared}


def _means(updates: Any, means: Any) -> Any:
    """The means, in the dtypes of the gradients; leaves without a mean stay as they are."""

    def pick(g, mean):
        if mean is None or not tree.differentiable(g):
            return g
        to = numerics.wide_dtype(jnp.asarray(g).dtype)
        return mean.astype(to) if jnp.finfo(mean.dtype).bits < jnp.finfo(to).bits else mean

    return jax.tree.map(pick, updates, means, is_leaf=tree.is_none)


def _counted(state: Any, skip: jax.Array, total: jax.Array, k: Any) -> tuple[jax.Array, Any]:
    """Whether the k-th gradient is there, and the state that has counted this one."""
    count = jnp.where(skip, state.mini_step, increment(state.mini_step))
    due = ~skip & (count >= jnp.asarray(k).astype(count.dtype))
    skipped = state.skip_state.skipped
    skipped = jnp.where(skip, increment(skipped), skipped)
    return due, state._replace(
        mini_step=jnp.where(due, 0, count),
        gradient_step=jnp.where(due, increment(state.gradient_step), state.gradient_step),
        skip_state=SkipState(jnp.where(due, 0, total), skipped, skip),
    )


@transformation(kind="wrapper")
def accumulate(
    inner: Any,
    every: Any,
    weight: str | None = None,
    *,
    use_grad_mean: bool = True,
    should_skip_update_fn: Callable[..., Any] | None = skip_not_finite,
    accumulator_dtype: Any = None,
    axis_name: Any = None,
):
    """Gradient accumulation: averages k gradients, then applies the inner transformation once.

        ḡ ← ḡ + (g − ḡ)·w / Σw              at the k-th:  θ ← inner(ḡ),  ḡ ← 0

    In the other calls the updates are zero, and the inner transformation (its schedules and weight
    decay too) does not run. Skipped gradients, by default those with a NaN or an infinity, are
    counted in the state and do not enter the average. The inner transformation gets the extra
    arguments of the k-th call. `step` accumulates in place. With k = 1 nothing is accumulated;
    `flush` steps with fewer than k gradients, at the end of an epoch.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.accumulate(gd.sgd(1.0), 2)
    >>> params, state = jnp.zeros(1), tx.init(jnp.zeros(1))
    >>> for g in (1.0, jnp.nan, 3.0):
    ...     params, state = tx.step(jnp.array([g]), state, params)
    ...     print(float(params[0]), bool(gd.did_step(state)))
    0.0 False
    0.0 False
    -2.0 True

    Micro-batches of different sizes: name the extra argument that weights each mean gradient.

    >>> tx = gd.accumulate(gd.sgd(1.0), 2, weight="tokens")
    >>> _, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)), tokens=300)
    >>> tx.update(jnp.array([5.0]), state, tokens=100)[0]
    Array([-2.], dtype=float32)

    Args:
        inner: Any transformation.
        every: k ≥ 1, or a schedule of k as a function of the steps of the inner transformation.
        weight: Name of the extra argument w ≥ 0, [], by which a gradient is weighted; `update`
            then needs it. None for a plain mean.
        use_grad_mean: False sums the gradients: ḡ ← ḡ + w·g.
        should_skip_update_fn: Takes `(updates, gradient_step, params)` and returns [] bool and a
            dict; where it is True the gradient is skipped. None skips none.
        accumulator_dtype: Dtype in which ḡ is kept; float32 or wider by default.
        axis_name: Axes of `shard_map` or `pmap` over which the gradients are split: all devices
            skip what one of them skips.

    Raises:
        ValueError: `every` is neither an integer of 1 or more nor a schedule; `weight` is no name.
        TypeError: `update` was called without the extra argument that `weight` names.
    """
    if not callable(every) and not (isinstance(every, int) and every >= 1):
        errors.fail("accumulate", "every must be an integer of 1 or more or a schedule", every)
    if weight is not None and not (isinstance(weight, str) and weight.isidentifier()):
        errors.fail("accumulate", "weight must be the name of an extra argument, or None", weight)

    if should_skip_update_fn is not None and not callable(should_skip_update_fn):
        must = "should_skip_update_fn must be a function(updates, gradient_step, params) or None"
        errors.fail("accumulate", must, should_skip_update_fn, kind=TypeError)

    alone = isinstance(every, int) and every == 1  # each gradient is its own mean

    def init(params):
        mean = tree.moment_like(trained(inner, params), accumulator_dtype)
        skips = SkipState(tree.scalar_like(mean), zero_count(), jnp.zeros([], bool))
        mean = jax.tree.map(lambda x: None, mean) if alone else mean
        return MultiStepsState(zero_count(), zero_count(), inner.init(params), mean, skips)

    def collect(updates: Any, state: Any, params: Any, extra: dict[str, Any]) -> Any:
        """Whether a step is due, its gradients, and the state that counts this call."""
        skip = jnp.zeros([], bool)
        if should_skip_update_fn is not None:
            skip, _ = should_skip_update_fn(updates, state.gradient_step, params)
            skip = skip if axis_name is None else on_any(skip, axis_name)
        before = state.skip_state.weight
        w = jnp.asarray(1 if weight is None else extra[weight]).astype(before.dtype)
        total = before + jnp.where(skip, 0, w)
        share = numerics.safe_divide(w, total) if use_grad_mean else w

        def leaf(g, mean):
            mixed = mean + share.astype(g.dtype) * ((g - mean) if use_grad_mean else g)
            return mixed, jnp.where(skip, mean, mixed)

        if not alone:
            _, mean = tree.evolve(leaf, (updates, state.acc_grads))
        else:
            mean = state.acc_grads
            if weight is not None and not use_grad_mean:
                updates = tree.map(lambda g: share.astype(g.dtype) * g, updates)
        k = every(state.gradient_step) if callable(every) else every
        due, state = _counted(state, skip, total, k)
        return due, _means(updates, mean), state._replace(acc_grads=mean)

    # The mean is formed outside of the branch, which only reads it: XLA then overwrites the old
    # mean, and in the branch the parameters and the inner state, without a copy of any.

    def update(updates, state, params=None, **extra):
        due, grads, state = collect(updates, state, params, extra)
        inner_state = state.inner_opt_state
        act = lambda: call_update(inner, grads, inner_state, params, extra)
        out, inner_state, mean = update_over(due, act, updates, inner_state, state.acc_grads)
        return out, state._replace(inner_opt_state=inner_state, acc_grads=mean)

    def step(updates, state, params, **extra):
        due, grads, state = collect(updates, state, params, extra)
        inner_state = state.inner_opt_state
        act = lambda: call_step(inner, grads, inner_state, params, extra)
        params, inner_state, mean = step_over(due, act, params, inner_state, state.acc_grads)
        return params, state._replace(inner_opt_state=inner_state, acc_grads=mean)

    inside = Child("inner", inner, at="inner_opt_state")
    couples = should_skip_update_fn is not None
    return Rule(
        init,
        update,
        step,
        children=(inside,),
        couples=couples,
        skips=True,
        needs=() if weight is None else (weight,),
    )


def flush(tx: Any, state: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
    """Steps with the gradients accumulated so far: the incomplete last group of an epoch.

    Without accumulated gradients nothing changes. Works under `jit`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.accumulate(gd.sgd(1.0), 4)
    >>> params, state = tx.step(jnp.array([3.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))
    >>> params, state = gd.flush(tx, state, params)
    >>> float(params[0]), int(state.mini_step)
    (-3.0, 0)

    Args:
        tx: A transformation made by `accumulate`.
        state: Its state.
        params: The parameters.
        **extra: Extra arguments of the inner transformation.

    Returns:
        The parameters and the state.

    Raises:
        TypeError: `tx` is not made by `accumulate`.
    """
    if not (isinstance(tx, GradientTransformation) and tx.made_by(accumulate)):
        hint = "Write flush(tx, state, params) with tx = accumulate(...)."
        errors.fail(
            "flush", "tx must be made by accumulate", show(tx), instead=hint, kind=TypeError
        )
    due, means = state.mini_step > 0, state.acc_grads
    grads = jax.tree.map(lambda p, mean: mean, params, means, is_leaf=tree.is_none)
    inner, inner_state = tx.arguments["inner"], state.inner_opt_state
    act = lambda: call_step(inner, grads, inner_state, params, extra)
    params, inner_state, means = step_over(due, act, params, inner_state, means)
    skips = state.skip_state._replace(weight=jnp.where(due, 0, state.skip_state.weight))
    steps = jnp.where(due, increment(state.gradient_step), state.gradient_step)
    return params, MultiStepsState(
        jnp.zeros_like(state.mini_step), steps, inner_state, means, skips
    )


def did_step(state: Any) -> jax.Array:
    """Whether the last call of `accumulate` ran the inner transformation, [] bool.

    Args:
        state: The state of `accumulate`, or a state that contains it.

    Raises:
        KeyError: `state` contains no state of `accumulate`, or several.
    """
    _, one = locate(state, MultiStepsState, "did_step")
    return (one.mini_step == 0) & (one.gradient_step > 0) & ~one.skip_state.last

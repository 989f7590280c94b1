"""Logging of measurements of the updates in the state; the updates stay unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.compare import is_transformation
from gdjax.core.data.hyperparams import Decay
from gdjax.core.engine.rule import Child, EmptyState, Rule
from gdjax.core.engine.transformation import GradientTransformation, call_update, transformation
from gdjax.core.mesh import distribute
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, Scalars

__all__ = [
    "MeasureWithEmaState",
    "MonitorState",
    "SnapshotState",
    "measure_with_ema",
    "monitor",
    "snapshot",
]


class SnapshotState(NamedTuple):
    """State of `snapshot`."""

    measurement: Scalars  # by name: what was measured at the last step, zero before it


@transformation
def snapshot(measure_name: str, measure: Callable[[Any], Any]):
    """Logs a function of the updates in the state, under a name; the updates stay unchanged.

    `gdjax.state.find(state, name)` returns its last value.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.snapshot("gradient_norm", gd.global_norm), gd.sgd(0.1))
    >>> _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    >>> gd.state.find(state, "gradient_norm")
    Array(5., dtype=float32)

    Args:
        measure_name: Its name in the state.
        measure: Takes the tree of updates at this stage of the chain, returns an array or a tree.

    Raises:
        TypeError: `measure` is not callable.
    """
    _check("snapshot", measure)

    def init(params):
        return SnapshotState({measure_name: _blank(measure, params)})

    def update(updates, state, params=None, **extra):
        return updates, SnapshotState(
            {measure_name: _take(measure, updates, *state.measurement.values())}
        )

    return init, update


class MeasureWithEmaState(NamedTuple):
    """State of `measure_with_ema`."""

    count: Count
    ema: Scalars  # like what is measured, float32 or wider: its average, from zero
    measurement: Scalars  # the same, unbiased where that is asked for


@transformation
def measure_with_ema(
    measure: Callable[[Any], Any], decay: Decay, debias: bool = True, mu_dtype: Any = None
):
    """Logs an exponential moving average (EMA) of a function of the updates in the state.

        m ← β·m + (1 − β)·f(g)          measured: m, or with debias m / (1 − βᵗ)

    A stage of a chain, or a measure of `monitor`. Booleans are averaged as 0 and 1.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.measure_with_ema(gd.global_norm, decay=0.5)
    >>> state = tx.init(jnp.zeros(2))
    >>> for g in (4.0, 1.0):
    ...     _, state = tx.update(jnp.array([g, 0.0]), state)
    >>> state.measurement
    Array(2., dtype=float32)

    Args:
        measure: Takes the tree of updates at this stage of the chain, returns an array or a tree.
        decay: β in [0, 1).
        debias: Whether to divide by the sum of the weights.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.

    Raises:
        TypeError: `measure` is not callable.
    """
    _check("measure_with_ema", measure)

    def init(params):
        real = lambda x: x if tree.differentiable(x) else x.astype(np.float32)
        zeros = jax.tree.map(real, _blank(measure, params))
        mean = lambda: tree.moment_like(zeros, mu_dtype)
        return MeasureWithEmaState(zero_count(), mean(), mean())

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c = numerics.debias(decay, t) if debias else 1.0

        def one(value, mean):
            wide = numerics.wide(jnp.asarray(value))
            if not tree.differentiable(wide):
                wide = wide.astype(numerics.wide_dtype(mean.dtype))
            mean = numerics.ema(mean.astype(wide.dtype), wide, decay)
            return mean, mean / c

        pairs = jax.tree.map(one, measure(updates), state.ema)
        pick = lambda i: jax.tree.map(lambda m, pair: numerics.like(pair[i], m), state.ema, pairs)
        return updates, MeasureWithEmaState(t, pick(0), pick(1))

    return init, update


class MonitorState(NamedTuple):
    """State of `monitor`."""

    measurements: Scalars  # by name: what was measured at the last step, zero before it
    measure_states: tuple[Any, ...]  # of those measures that have one, else empty


@transformation
def monitor(measures: Mapping[str, Any]):
    """Logs several measurements of the updates in the state, by name.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.monitor({
    ...     "norm": gd.global_norm,
    ...     "clipped": gd.measure_with_ema(lambda updates: gd.global_norm(updates) > 1.0, 0.9),
    ... })
    >>> _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    >>> gd.state.find(state, "norm"), gd.state.find(state, "clipped").round(6)
    (Array(5., dtype=float32), Array(1., dtype=float32))

    Args:
        measures: A dict of functions of the tree of updates, or of `measure_with_ema(...)`.

    Raises:
        TypeError: `measures` is no dict, or a measure is neither a function nor
            `measure_with_ema(...)`.
    """
    if not isinstance(measures, Mapping):
        hint = 'Write monitor({"norm": global_norm}).'
        errors.fail("monitor", "measures must be a dict", measures, instead=hint, kind=TypeError)
    for measure in measures.values():
        if not is_transformation(measure):
            _check("monitor", measure)
    stateful = [name for name, measure in measures.items() if is_transformation(measure)]

    def init(params):
        states = {name: measures[name].init(params) for name in stateful}
        taken = {
            name: _measured(states[name]) if name in states else _blank(measure, params)
            for name, measure in measures.items()
        }
        return MonitorState(taken, tuple(states.get(name, EmptyState()) for name in measures))

    def update(updates, state, params=None, **extra):
        taken, after = {}, []
        for (name, measure), inner in zip(measures.items(), state.measure_states):
            if name in stateful:
                _, inner = call_update(measure, updates, inner, params, extra)
                taken[name] = _measured(inner)
            else:
                taken[name] = _take(measure, updates, state.measurements[name])
            after.append(inner)
        return updates, MonitorState(taken, tuple(after))

    children = [
        Child(name, measure, at=("measure_states", i), named=True)
        for i, (name, measure) in enumerate(measures.items())
        if name in stateful
    ]
    return Rule(init, update, children=tuple(children), moves=lambda params: params)


def _check(where: str, measure: Any) -> None:
    """Raises where a measure is no function of the updates."""
    if isinstance(measure, GradientTransformation) or not callable(measure):
        must = "measure must be callable as function(updates)"
        errors.fail(where, must, measure, kind=TypeError)


def _blank(measure: Callable[[Any], Any], params: Any) -> Any:
    """Zeros like the measurement of updates, which may be wider than the parameters."""
    wide = lambda x: numerics.wide(x) if tree.differentiable(x) else x
    zeros = lambda x: tree.filled_like(jnp.asarray(x), 0)
    return jax.tree.map(zeros, measure(jax.tree.map(wide, params)))


def _take(measure: Callable[[Any], Any], updates: Any, before: Any) -> Any:
    """The measurement, with the dtypes and structure that it has in the state."""
    as_it_was = lambda x, old: distribute.reshard_like(numerics.like(x, old), old)
    return jax.tree.map(as_it_was, measure(updates), before)


def _measured(state: Any) -> Any:
    """A measurement in the state of a stateful measure; a copy, for states share no buffers."""
    is_one = lambda node: isinstance(node, MeasureWithEmaState)
    found = [node for node in jax.tree.leaves(state, is_leaf=is_one) if is_one(node)]
    if len(found) != 1:
        must = "a measure must be a function of the updates, or measure_with_ema(...)"
        errors.fail("monitor", must, type(state).__name__, kind=TypeError)
    return jax.tree.map(jnp.copy, found[0].measurement)

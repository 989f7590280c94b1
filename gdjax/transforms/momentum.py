"""Momentum: heavy ball, Nesterov, and the exponential moving average of the updates."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.data.hyperparams import Decay
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import numerics, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, Mean

__all__ = ["EmaState", "TraceState", "ema", "trace"]


class TraceState(NamedTuple):
    """State of `trace`."""

    trace: Mean  # decayed sum of the updates


@transformation
def trace(decay: Decay, nesterov: bool = False, mu_dtype: Any = None):
    """Heavy-ball or Nesterov momentum: a decaying sum of the updates.

        v ← μ·v + g               u = v
        with nesterov:            u = g + μ·v

    >>> import gdjax as gd
    >>> gd.chain(gd.trace(decay=0.9, nesterov=True), gd.scale_by_learning_rate(0.1))
    chain(trace(decay=0.9, nesterov=True), scale_by_learning_rate(learning_rate=0.1))

    Args:
        decay: μ in [0, 1).
        nesterov: Uses Nesterov momentum, one step of momentum ahead.
        mu_dtype: Dtype in which v is kept; float32 or wider by default.

    Reference: Polyak, Some methods of speeding up the convergence of iteration methods, 1964,
        https://doi.org/10.1016/0041-5553(64)90137-5; Sutskever et al., On the importance of
        initialization and momentum in deep learning, 2013, https://proceedings.mlr.press/v28/sutskever13.html
    """

    def init(params):
        return TraceState(tree.moment_like(params, mu_dtype))

    def update(updates, state, params=None, **extra):
        def leaf(g, v):
            v = decay * v + g
            return (g + decay * v if nesterov else v), v

        updates, v = tree.evolve(leaf, (updates, state.trace))
        return updates, TraceState(v)

    return init, update


class EmaState(NamedTuple):
    """State of `ema`."""

    count: Count
    ema: Mean  # of the updates


@transformation
def ema(decay: Decay, debias: bool = True, mu_dtype: Any = None):
    """Exponential moving average (EMA) of the updates.

        v ← β·v + (1 − β)·g       u = v
        with debias:              u = v / (1 − βᵗ)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.ema(0.5)
    >>> tx.update(jnp.array([1.0, 2.0]), tx.init(jnp.zeros(2)))[0]
    Array([1., 2.], dtype=float32)

    Args:
        decay: β in [0, 1).
        debias: Whether to divide by the sum of the weights, so that the first u is g.
        mu_dtype: Dtype in which v is kept; float32 or wider by default.
    """

    def init(params):
        return EmaState(zero_count(), tree.moment_like(params, mu_dtype))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c = numerics.debias(decay, t) if debias else 1.0

        def leaf(g, v):
            v = numerics.ema(v, g, decay)
            return v / c, v

        updates, v = tree.evolve(leaf, (updates, state.ema))
        return updates, EmaState(t, v)

    return init, update

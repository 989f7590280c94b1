"""Rules of torch.optim that differ from the papers, from the formulas of torch's documentation.

SGD      dampening, except of the first gradient
RAdam    ε added to √v, not to √v̂
ASGD     decaying step sizes, and an average from step t₀ on
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.compat.namespacing import named
from gdjax.core.data.hyperparams import Decay, Hyperparam, NonNegative
from gdjax.core.data.schedule import schedule
from gdjax.core.engine.rule import EmptyState, Rule
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import debias, increment, zero_count
from gdjax.core.rule.roles import Count, Mean, PerParam

__all__ = [
    "AsgdState",
    "DampenedTraceState",
    "averaged_descent",
    "beside_uncorrected_root",
    "clip_grad_norm_",
    "dampened_trace",
]


class DampenedTraceState(NamedTuple):
    """State of `dampened_trace`."""

    count: Count
    trace: Mean  # of the gradients


@named("torch")
def dampened_trace(momentum: Decay, dampening: Hyperparam = 0.0):
    """Momentum with dampening of all gradients but the first.

    v₁ = g₁,   v ← μ·v + (1 − τ)·g
    """

    def init(params):
        return DampenedTraceState(zero_count(), tree.moment_like(params))

    def update(updates, state, params=None, **extra):
        first = state.count == 0

        def leaf(g, v):
            v = jnp.where(first, g, momentum * v + (1 - dampening) * g)
            return v, v

        updates, v = tree.evolve(leaf, (updates, state.trace))
        return updates, DampenedTraceState(increment(state.count), v)

    return init, update


@named("torch", schedule)
def beside_uncorrected_root(eps: NonNegative, b2: Decay):
    """ε that is added to √v instead of √v̂: √v̂ + ε/√(1 − b2ᵗ)."""
    return lambda step: eps / jnp.sqrt(debias(b2, step + 1))


class AsgdState(NamedTuple):
    """State of `averaged_descent`."""

    count: Count
    ax: PerParam  # mean of the parameters, at which a model is evaluated


@named("torch")
def averaged_descent(
    learning_rate: NonNegative,
    lambd: NonNegative = 1e-4,
    alpha: NonNegative = 0.75,
    t0: NonNegative = 1e6,
):
    """Averaged SGD: decaying step sizes, and the average of the parameters from step t₀ on.

    ηₜ = η/(1 + ληt)^α,   θ ← (1 − ληₜ)θ − ηₜg,   a ← a + (θ − a)/max(1, t − t₀)

    `gdjax.state.eval_params` returns the average.

    Raises:
        ValueError: `update` was called without params.
    """

    def init(params):
        return AsgdState(zero_count(), tree.add(tree.moment_like(params), params))

    def update(updates, state, params=None, **extra):
        if params is None:
            errors.fail(
                "torch.ASGD",
                "update needs the parameters",
                params,
                instead="Write update(grads, state, params).",
            )
        t = state.count.astype(float)
        eta = numerics.weak(learning_rate / (1 + lambd * learning_rate * t) ** alpha)
        weight = numerics.weak(1 / jnp.maximum(1.0, t - t0))

        def leaf(g, a, p):
            u = -eta * (lambd * p + g)
            return u, a + weight * (p + u - a)

        updates, ax = tree.evolve(leaf, (updates, state.ax), params)
        return updates, AsgdState(increment(state.count), ax)

    return Rule(init, update, evaluate=lambda state, params: state.ax)


@named("torch")
def clip_grad_norm_(max_norm: NonNegative, norm_type: float = 2.0):
    """Gradient clipping by global norm, as in torch.

        u = g · min(1, c / (‖g‖ + 10⁻⁶))

    >>> from gdjax.compat import torch
    >>> import jax.numpy as jnp
    >>> tx = torch.clip_grad_norm_(1.0, norm_type=float("inf"))
    >>> tx.update(jnp.array([2.0, -4.0]), tx.init(None))[0].round(3)
    Array([ 0.5, -1. ], dtype=float32)

    Args:
        max_norm: c ≥ 0, in the units of the updates.
        norm_type: p of the p-norm, > 0; may be infinite.
    """
    if not norm_type > 0:
        errors.fail("torch.clip_grad_norm_", "norm_type must be greater than 0", norm_type)

    def length(updates: Any) -> jax.Array:
        if norm_type == 2.0:
            return tree.norm(updates)
        wide = [jnp.abs(numerics.wide(x)) for x in jax.tree.leaves(tree.map(lambda g: g, updates))]
        tops = [jnp.max(x, initial=0) for x in wide]
        top = jnp.max(jnp.stack(tops or [jnp.zeros([])]))
        if norm_type == float("inf"):
            return top
        top = jnp.where(top > 0, top, 1)
        total = sum(jnp.sum((x / top.astype(x.dtype)) ** norm_type) for x in wide)
        return top * numerics.weak(total) ** (1 / norm_type)

    def update(updates, state, params=None, **extra):
        factor = jnp.minimum(1, max_norm / (length(updates) + 1e-6))
        return tree.map(lambda g: g * factor.astype(g.dtype), updates), state

    return lambda params: EmptyState(), update

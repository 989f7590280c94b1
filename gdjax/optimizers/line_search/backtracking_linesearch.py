"""Backtracking line search: shortens the step until the loss has decreased enough (Armijo)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, NonNegative, Positive
from gdjax.core.engine.rule import Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import zero_count
from gdjax.core.rule.roles import Count, PerParam, Scalar
from gdjax.optimizers.line_search.value_and_grad import Line, start

__all__ = [
    "BacktrackingLinesearchInfo",
    "ScaleByBacktrackingLinesearchState",
    "scale_by_backtracking_linesearch",
]


class BacktrackingLinesearchInfo(NamedTuple):
    """Record of the last search of `scale_by_backtracking_linesearch`."""

    num_linesearch_steps: Count  # number of evaluations of the loss
    decrease_error: Scalar  # by how much the loss is too large, 0 if the condition holds


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """State of `scale_by_backtracking_linesearch`."""

    learning_rate: Scalar  # the last length tried
    value: Scalar  # the loss after the step; infinite before the first
    grad: PerParam | None  # the gradient after the step, if it is stored
    info: BacktrackingLinesearchInfo


class _Search(NamedTuple):
    steps: jax.Array  # [] int32
    eta: jax.Array  # the last length tried
    value: jax.Array  # φ(η)
    grad: Any
    error: jax.Array  # by how much φ(η) is too large; infinite before the first trial


@transformation
def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: Decay = 1e-4,
    decrease_factor: Decay = 0.8,
    increase_factor: Positive = 1.5,
    max_learning_rate: Positive = 1.0,
    atol: NonNegative = 0.0,
    rtol: NonNegative = 0.0,
    store_grad: bool = False,
    verbose: bool = False,
):
    """Backtracking line search: shortens the step until it satisfies Armijo's condition.

        f(θ + ηu) ≤ f(θ) + c·η·⟨∇f(θ), u⟩ + rtol·|f(θ)| + atol

    The search starts from the η of the step before times `increase_factor`, at most
    `max_learning_rate`; while the condition (Armijo's) does not hold, η ← `decrease_factor`·η.
    If no η satisfies it, the updates are zero and the next search starts from the last η.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.sgd(1.0), gd.scale_by_backtracking_linesearch(30, decrease_factor=0.5))
    >>> loss = lambda x: 8.0 * jnp.sum(x**2)
    >>> x = jnp.array([1.0, -2.0])
    >>> x, state = tx.step(16.0 * x, tx.init(x), x, value=loss(x), grad=16.0 * x, value_fn=loss)
    >>> x, state[1].learning_rate
    (Array([0., 0.], dtype=float32), Array(0.0625, dtype=float32))

    Args:
        max_backtracking_steps: How many times η may be reduced; a Python integer.
        slope_rtol: c in [0, 1).
        decrease_factor: In [0, 1).
        increase_factor: ≥ 1; infinite to start from `max_learning_rate` each time.
        max_learning_rate: Upper bound on η.
        atol: In the units of the loss.
        rtol: Relative to the loss.
        store_grad: Computes the gradient with each value and keeps the last one in the state, for
            `value_and_grad_from_state`.
        verbose: Prints a line about each search.

    Raises:
        ValueError: `update` was called without params.
        TypeError: `update` was called without `value`, `grad` or `value_fn`.

    Reference: Armijo, Minimization of functions having Lipschitz continuous first partial
        derivatives, 1966, https://doi.org/10.2140/pjm.1966.16.1
    """
    name = "scale_by_backtracking_linesearch"
    if not isinstance(max_backtracking_steps, int) or max_backtracking_steps < 0:
        must = "max_backtracking_steps must be a Python integer, at least 0"
        errors.fail(name, must, max_backtracking_steps)

    def init(params):
        scalar = lambda fill: tree.scalar_like(params, fill)
        return ScaleByBacktrackingLinesearchState(
            learning_rate=scalar(1.0),
            value=scalar(math.inf),
            grad=tree.moment_like(params) if store_grad else None,
            info=BacktrackingLinesearchInfo(zero_count(), scalar(0.0)),
        )

    def update(updates, state, params=None, *, value, grad, value_fn, **extra):
        line = Line(name, updates, params, value_fn, extra)
        value = jax.lax.stop_gradient(jnp.asarray(value).astype(line.dtype))
        slope = line.slope(grad)
        limit = value + rtol * jnp.abs(value) + atol

        def trial(search):
            first = search.steps == 0
            eta = jnp.where(first, search.eta, decrease_factor * search.eta)
            if store_grad:
                reached, _, found = line.value_and_slope(eta)
            else:
                reached, found = line.value(eta), None
            error = jnp.maximum(reached - (limit + slope_rtol * eta * slope), 0)
            found = _Search(search.steps + 1, eta, reached, found, error)
            return jax.lax.stop_gradient(found)

        def goes_on(search):
            return (slope < 0) & (search.error > 0) & (search.steps <= max_backtracking_steps)

        here = None  # the gradient at θ, in the structure and the dtypes of the state
        if store_grad:
            here = tree.evolve(lambda g, old: (g, g), (grad, state.grad))[1]
        eta = jnp.minimum(increase_factor * start(line, state.learning_rate), max_learning_rate)
        first = _Search(zero_count(), eta, value, here, jnp.full([], math.inf, line.dtype))
        last = jax.lax.while_loop(goes_on, trial, jax.lax.stop_gradient(first))

        found = last.error == 0  # infinite where nothing was tried
        largest = jnp.finfo(line.dtype).max
        error = jnp.where(slope < 0, jnp.minimum(last.error, largest), jnp.maximum(slope, 0))
        if verbose:
            text = name + ": {n} values, learning rate {eta}, loss {old} to {new}, error {error}"
            numbers = {"n": last.steps, "eta": last.eta, "error": error}
            jax.debug.print(text, old=value, new=last.value, **numbers)
        factor = numerics.weak(jnp.where(found, last.eta, 0))
        state = ScaleByBacktrackingLinesearchState(
            learning_rate=jnp.where(last.steps > 0, last.eta, state.learning_rate),
            value=jnp.where(found, last.value, value),
            grad=jax.tree.map(lambda new, old: jnp.where(found, new, old), last.grad, here),
            info=BacktrackingLinesearchInfo(last.steps, error),
        )
        return tree.map(lambda u: factor * u, updates), state

    return Rule(init, update, couples=True)

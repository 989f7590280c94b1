"""Zoom line search: brackets a step size that satisfies the strong Wolfe conditions."""

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

__all__ = ["ScaleByZoomLinesearchState", "ZoomLinesearchInfo", "scale_by_zoom_linesearch"]


class ZoomLinesearchInfo(NamedTuple):
    """Record of the last search of `scale_by_zoom_linesearch`."""

    num_linesearch_steps: Count  # number of evaluations of value and gradient
    decrease_error: Scalar  # by how much the loss is too large, 0 if the condition holds
    curvature_error: Scalar  # by how much the slope is too steep


class ScaleByZoomLinesearchState(NamedTuple):
    """State of `scale_by_zoom_linesearch`."""

    learning_rate: Scalar  # step size, or the last one tried
    value: Scalar  # the loss after the step; infinite before the first
    grad: PerParam  # the gradient after the step
    info: ZoomLinesearchInfo


class _Point(NamedTuple):
    """A point of the line, in the letters of Nocedal and Wright."""

    eta: jax.Array  # η
    value: jax.Array  # φ(η)
    slope: jax.Array  # φ′(η)


class _Wolfe(NamedTuple):
    """The conditions on a point of the line, see `scale_by_zoom_linesearch`."""

    origin: _Point
    slope_rtol: Any
    curv_rtol: Any
    tol: Any
    approx_dec_rtol: Any

    def _bound(self, at: _Point) -> jax.Array:
        """The largest value that is a sufficient decrease."""
        return self.origin.value + self.slope_rtol * at.eta * self.origin.slope + self.tol

    def excess(self, at: _Point) -> tuple[jax.Array, jax.Array]:
        """By how much the value is too large and the slope too steep."""
        _, old, old_slope = self.origin
        decrease = at.value - self._bound(at)
        if self.approx_dec_rtol is not None:
            above = at.value - (old + self.approx_dec_rtol * jnp.abs(old))
            steep = at.slope - ((2 * self.slope_rtol - 1) * old_slope + self.tol)
            decrease = jnp.minimum(decrease, jnp.maximum(above, steep))
        curvature = jnp.abs(at.slope) - (self.curv_rtol * jnp.abs(old_slope) + self.tol)
        return jnp.maximum(decrease, 0), jnp.maximum(curvature, 0)

    def is_high(self, at: _Point, low: _Point) -> jax.Array:
        """Whether an acceptable step size lies before this one."""
        high = ~(at.value <= self._bound(at)) | ((at.value >= low.value) & (low.eta > 0))
        if self.approx_dec_rtol is None:
            return high
        old = self.origin.value
        return high & ~(jnp.abs(at.value - old) <= self.approx_dec_rtol * jnp.abs(old))


class _Search(NamedTuple):
    steps: jax.Array  # [] int32
    done: jax.Array  # [] bool
    eta: jax.Array  # to be tried next
    last: _Point  # tried last
    low: _Point  # lowest value with sufficient decrease; η = 0 until there is one
    high: _Point  # the other end of the bracket; η infinite until there is one
    grad: Any  # at low


@transformation
def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: Positive | None = None,
    tol: NonNegative = 0.0,
    increase_factor: Positive = 2.0,
    slope_rtol: Decay = 1e-4,
    curv_rtol: NonNegative = 0.9,
    approx_dec_rtol: NonNegative | None = 1e-6,
    stepsize_precision: NonNegative = 1e-5,
    initial_guess_strategy: str = "keep",
    verbose: bool = False,
):
    """Zoom line search: scales the updates to satisfy the strong Wolfe conditions.

        φ(η) = f(θ + ηu),    φ(η) ≤ φ(0) + c₁·η·φ′(0) + tol,    |φ′(η)| ≤ c₂·|φ′(0)| + tol

    η grows until two values bracket one that satisfies both conditions; then the bracket shrinks,
    to the minimum of the cubic through the values and slopes of both ends, or by bisection where
    the minimum lies within a tenth of an end. Each trial computes one value and one gradient.

    Values that differ by rounding alone do not show a decrease. Where φ(η) ≤ φ(0) + ε·|φ(0)|, the
    first condition may be replaced by one on slopes, and where |φ(η) − φ(0)| ≤ ε·|φ(0)| the side
    on which to search is determined by slopes alone:

        φ′(η) ≤ (2c₁ − 1)·φ′(0) + tol

    If no trial satisfies both conditions, the lowest point with sufficient decrease is used; if
    there is none the updates are zero.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> tx = gd.chain(gd.sgd(1.0), gd.scale_by_zoom_linesearch(15))
    >>> loss = lambda x: jnp.sum((x - 3.0) ** 4)
    >>> x = jnp.zeros(2)
    >>> value, grad = jax.value_and_grad(loss)(x)
    >>> x, state = tx.step(grad, tx.init(x), x, value=value, grad=grad, value_fn=loss)
    >>> float(loss(x)) < 0.1 * float(value), int(state[1].info.num_linesearch_steps)
    (True, 5)

    Args:
        max_linesearch_steps: Largest number of trials; a Python integer.
        max_learning_rate: Upper bound on η; None for no bound. At the bound the second condition
            need not hold.
        tol: In the units of the loss, and of its slope.
        increase_factor: Growth of η until a bracket is found; > 1.
        slope_rtol: c₁ in [0, 1), less than c₂.
        curv_rtol: c₂, less than 1; infinite to require a decrease only.
        approx_dec_rtol: ε, a few times the precision of the loss; None for the first two
            conditions alone.
        stepsize_precision: A shorter bracket ends the search if its lower end is not 0.
        initial_guess_strategy: `"keep"` starts with the last step size, `"one"` with 1, which
            suits Newton-like directions.
        verbose: Prints a line about each search.

    Raises:
        ValueError: `update` was called without params.
        TypeError: `update` was called without `value`, `grad` or `value_fn`.

    Reference: Nocedal and Wright, Numerical optimization (algorithms 3.5 and 3.6), 2006,
        https://doi.org/10.1007/978-0-387-40065-5; Hager and Zhang, Algorithm 851: CG_DESCENT, 2006,
        https://doi.org/10.1145/1132973.1132979
    """
    name = "scale_by_zoom_linesearch"
    if not isinstance(max_linesearch_steps, int) or max_linesearch_steps < 1:
        must = "max_linesearch_steps must be a Python integer, at least 1"
        errors.fail(name, must, max_linesearch_steps)
    if initial_guess_strategy not in ("keep", "one"):
        must = 'initial_guess_strategy must be "keep" or "one"'
        errors.fail(name, must, initial_guess_strategy)
    longest = math.inf if max_learning_rate is None else max_learning_rate

    def init(params):
        scalar = lambda fill: tree.scalar_like(params, fill)
        return ScaleByZoomLinesearchState(
            learning_rate=scalar(1.0),
            value=scalar(math.inf),
            grad=tree.moment_like(params),
            info=ZoomLinesearchInfo(zero_count(), scalar(0.0), scalar(0.0)),
        )

    def update(updates, state, params=None, *, value, grad, value_fn, **extra):
        line = Line(name, updates, params, value_fn, extra)
        zero = jnp.zeros([], line.dtype)
        origin = _Point(zero, jnp.asarray(value).astype(line.dtype), line.slope(grad))
        # The gradient at θ, in the structure and the dtypes of the state.
        here = tree.evolve(lambda g, old: (g, g), (grad, state.grad))[1]

        wolfe = _Wolfe(origin, slope_rtol, curv_rtol, tol, approx_dec_rtol)

        def trial(search):
            low, high = search.low, search.high
            at_value, at_slope, found = line.value_and_slope(search.eta)
            at = _Point(search.eta, at_value, at_slope)
            decrease, curvature = wolfe.excess(at)
            good, too_high = (decrease == 0) & (curvature == 0), wolfe.is_high(at, low)
            forward = high.eta > low.eta
            turned = jnp.where(forward, at.slope >= 0, at.slope <= 0)

            lower = good | ~too_high
            high = _choose(lower, _choose(turned, low, high), at)
            low = _choose(lower, at, low)
            enclosed = jnp.isfinite(high.eta)
            further = jnp.minimum(increase_factor * at.eta, longest)
            narrow = (jnp.abs(high.eta - low.eta) <= stepsize_precision) & (low.eta > 0)
            after = _Search(
                search.steps + 1,
                good | jnp.where(enclosed, narrow, at.eta >= longest),
                jnp.where(enclosed, _between(low, high), further),
                at,
                low,
                high,
                jax.tree.map(lambda new, old: jnp.where(lower, new, old), found, search.grad),
            )
            return jax.lax.stop_gradient(after)

        eta = start(line, state.learning_rate) if initial_guess_strategy == "keep" else zero + 1
        descends = origin.slope < 0
        none = origin._replace(eta=jnp.full_like(zero, math.inf))
        first = jnp.minimum(eta, longest)
        first = _Search(zero_count(), ~descends, first, origin, origin, none, here)
        goes_on = lambda search: ~search.done & (search.steps < max_linesearch_steps)
        end = jax.lax.while_loop(goes_on, trial, jax.lax.stop_gradient(first))

        none_found = end.low.eta == 0
        decrease, curvature = wolfe.excess(_choose(none_found, end.last, end.low))
        decrease = jnp.where(descends, decrease, jnp.maximum(origin.slope, 0))
        largest = jnp.finfo(line.dtype).max
        info = ZoomLinesearchInfo(
            end.steps, jnp.minimum(decrease, largest), jnp.minimum(curvature, largest)
        )
        tried = jnp.where(end.steps > 0, end.last.eta, state.learning_rate)
        rate = jnp.where(none_found, tried, end.low.eta)
        if verbose:
            text = name + ": {steps} values, learning rate {rate}, loss {old} to {new}, {info}"
            numbers = {"steps": end.steps, "rate": rate, "old": value, "new": end.low.value}
            jax.debug.print(text, info=info, **numbers)
        factor = numerics.weak(end.low.eta)
        state = ScaleByZoomLinesearchState(rate, end.low.value, end.grad, info)
        return tree.map(lambda u: factor * u, updates), jax.lax.stop_gradient(state)

    return Rule(init, update, couples=True)


def _choose(condition: jax.Array, a: _Point, b: _Point) -> _Point:
    return _Point(*(jnp.where(condition, x, y) for x, y in zip(a, b)))


def _between(low: _Point, high: _Point) -> jax.Array:
    """Minimum of the cubic through two points, or the middle if it lies within a tenth of an end.

    Equation 3.59 of Nocedal and Wright, with slopes divided by the largest against overflow.
    """
    length = high.eta - low.eta  # negative where the bracket lies before its lower end
    s0, s1 = low.slope * length, high.slope * length
    d1 = s0 + s1 + 3 * (low.value - high.value)
    top = jnp.maximum(jnp.abs(d1), jnp.maximum(jnp.abs(s0), jnp.abs(s1)))
    d1, s0, s1 = d1 / top, s0 / top, s1 / top
    d2 = jnp.sqrt(d1**2 - s0 * s1)
    share = (s1 + d2 - d1) / (s1 - s0 + 2 * d2)
    inside = (share > 0.1) & (share < 0.9)  # False for NaN: no minimum, or φ is infinite
    return high.eta - length * jnp.where(inside, share, 0.5)

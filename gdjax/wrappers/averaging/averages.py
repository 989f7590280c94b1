"""Weight averaging for evaluation: EMA, SWA and polynomial decay averaging of the parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, NonNegative
from gdjax.core.engine.facts import facts_of
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_evaluate, call_step, call_update, transformation
from gdjax.core.engine.walk import trained, walk
from gdjax.core.lowbit.rounding import is_narrow, nearest
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import increment, weak, zero_count
from gdjax.core.rule.roles import Count, PerParam, Scalar, roles_of

__all__ = ["AverageState", "with_ema", "with_polynomial_averaging", "with_swa"]


class AverageState(NamedTuple):
    """State of `with_ema`, `with_swa` and `with_polynomial_averaging`."""

    count: Count  # steps, without the calls that a wrapper inside left out
    weight: Scalar  # of the parameters in the average, 0 where there are none yet
    average: PerParam  # float32 or wider; None where a leaf does not take part
    inner_state: Any  # of the inner transformation

    def metrics(self) -> dict[str, jax.Array]:
        """The number of steps, without the calls that an inner wrapper skipped."""
        return {"steps": self.count}


@transformation(kind="wrapper")
def with_ema(inner: Any, decay: Decay, debias: bool = True, *, share: float = 1.0):
    """Exponential moving average (EMA) of the parameters; training is unchanged.

        θ ← θ + u of `inner`
        w ← β·w + (1 − β)          c = (1 − β)/w          θ̄ ← θ̄ + c·(θ − θ̄)

    `gdjax.state.eval_params` returns the average θ̄, in the dtypes of the parameters; with a share
    λ less than 1 the mixture (1 − λ)·θ + λ·θ̄, which is less far behind θ. The average is debiased
    and is taken over the points at which `inner` would be evaluated: around `sam`, over the
    parameters before the ascent. A call that a wrapper inside leaves out does not count as a step:
    in `with_ema(accumulate(tx, 4), β)` every fourth call is a step.
    `accumulate(with_ema(tx, β), 4)` gives the same average and saves the comparison of the
    parameters. This wrapper must be the last to change the updates. Averaging over the whole run
    is Polyak averaging: `with_polynomial_averaging(tx, eta=0)`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.with_ema(gd.sgd(1.0), decay=0.5), jnp.zeros(1)
    >>> state = tx.init(params)
    >>> for g in (-1.0, -3.0):
    ...     params, state = tx.step(jnp.array([g]), state, params)
    >>> params, gd.state.eval_params(tx, state, params)
    (Array([4.], dtype=float32), Array([3.], dtype=float32))

    Args:
        inner: The transformation, its learning rate included.
        decay: β in [0, 1), a number or a schedule that counts calls.
        debias: Whether the average starts at the parameters after the first step. False starts it
            at the initial parameters, whose weight decreases as βᵗ.
        share: λ in (0, 1], of the average in the parameters that are evaluated.

    Raises:
        ValueError: `share` is not in (0, 1], or `update` was called without params.

    Reference: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992,
        https://doi.org/10.1137/0330046; Morales-Brotons, Vogels and Hendrikx, Exponential moving
        average of weights in deep learning: dynamics and benefits, 2024,
        https://arxiv.org/abs/2411.18704
    """
    if not 0 < share <= 1:
        errors.fail("with_ema", "share must lie in (0, 1]", share)

    def part(count, weight):
        total = numerics.ema(weight, jnp.ones_like(weight), decay)
        return None, total, (1 - decay) / total

    return _averaging("with_ema", inner, part, 0.0 if debias else 1.0, share)


@transformation(kind="wrapper")
def with_swa(inner: Any, start: int, every: int = 1):
    """Stochastic weight averaging (SWA): the mean of the parameters at every k-th step.

        θ̄ ← θ̄ + (θ − θ̄)/n    at steps start, start + k, start + 2k, …, the n-th of them

    For a run whose learning rate is constant or cyclical from step `start` on; k is the length of
    a cycle. `gdjax.state.eval_params` returns θ̄, and the parameters before step `start`. Steps
    are counted as in `with_ema`. Recompute the statistics of batch normalization for θ̄.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.with_swa(gd.sgd(1.0), start=1), jnp.zeros(1)
    >>> state = tx.init(params)
    >>> for g in (-1.0, -1.0, -4.0):  # to 1, 2 and 6
    ...     params, state = tx.step(jnp.array([g]), state, params)
    >>> gd.state.eval_params(tx, state, params)
    Array([3.], dtype=float32)

    Args:
        inner: The transformation, its learning rate included.
        start: The step of the first parameters in the average, 0 or more; 0 includes the initial
            parameters.
        every: k ≥ 1.

    Raises:
        ValueError: `start` or `every` is too small, or `update` was called without params.

    Reference: Izmailov, Podoprikhin, Garipov, Vetrov and Wilson, Averaging weights leads to wider
        optima and better generalization, 2018, https://arxiv.org/abs/1803.05407
    """
    if start < 0:
        errors.fail("with_swa", "start must be 0 or more", start)
    errors.check_counts("with_swa", every=every)

    def share(count, weight):
        due = (count >= start) & ((count - start) % every == 0)
        return due, weight + 1, 1 / (weight + 1)

    return _averaging("with_swa", inner, share, 1.0 if start == 0 else 0.0)


@transformation(kind="wrapper")
def with_polynomial_averaging(inner: Any, eta: NonNegative = 3.0):
    """Polynomial decay averaging of the parameters: step t has a weight of about t^η.

        θ̄ ← (1 − c)·θ̄ + c·θ,    c = (η + 1)/(t + η)

    η = 0 is Polyak averaging, the mean of all steps. A larger η weighs the end of the run more,
    whatever its length: half of the weight lies in the last 1 − 2^(−1/(η + 1)) of the steps, for
    η = 3 in the last sixth. `gdjax.state.eval_params` returns θ̄. Steps are counted as in
    `with_ema`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.with_polynomial_averaging(gd.sgd(1.0), eta=1.0), jnp.zeros(1)
    >>> state = tx.init(params)
    >>> for g in (-3.0, -3.0):
    ...     params, state = tx.step(jnp.array([g]), state, params)
    >>> params, gd.state.eval_params(tx, state, params)  # weights 1 and 2
    (Array([6.], dtype=float32), Array([5.], dtype=float32))

    Args:
        inner: The transformation, its learning rate included.
        eta: η ≥ 0.

    Raises:
        ValueError: `update` was called without params.

    Reference: Shamir and Zhang, Stochastic gradient descent for non-smooth optimization:
        convergence results and optimal averaging schemes, 2012, https://arxiv.org/abs/1212.1824
    """

    def share(count, weight):
        return None, weight + 1, (eta + 1) / (weight + 1 + eta)

    return _averaging("with_polynomial_averaging", inner, share, 0.0)


def _averaging(
    where: str,
    inner: Any,
    share: Callable[[Any, Any], tuple[Any, Any, Any]],
    first: float,
    evaluated: float = 1.0,
) -> Rule:
    """A wrapper that maintains an average of the parameters.

    Args:
        where: Its name.
        inner: What moves the parameters.
        share: Takes the number of steps and the weight so far; returns whether to average (None:
            always), the weight then and the share of the new parameters in the average.
        first: The weight of the parameters before the first step.
        evaluated: The share of the average in the parameters that are evaluated.
    """

    def init(params):
        average = jax.tree.map(numerics.wide, tree.copy(trained(inner, params)))
        weight = tree.scalar_like(params, first)
        return AverageState(zero_count(), weight, average, inner.init(params))

    def advance(state: Any, params: Any, inner_state: Any, after: Any) -> Any:
        now, count, flags = call_evaluate(inner, inner_state, after), increment(state.count), []
        if facts_of(inner).skips:
            moved = _differ(call_evaluate(inner, state.inner_state, params), now)
            flags = [
                moved | _differ(_counts(inner, state.inner_state), _counts(inner, inner_state))
            ]
            count = jnp.where(flags[0], count, state.count)
        due, weight, part = share(count, state.weight)
        flags += [] if due is None else [due]

        def mix():
            c = weak(part)
            leaf = lambda mean, x: mean if mean is None else mean + c * (_rounded(x) - mean)
            return jax.tree.map(leaf, state.average, now, is_leaf=tree.is_none)

        if not flags:
            return AverageState(count, weight, mix(), inner_state)
        due = functools.reduce(jnp.logical_and, flags)
        weight = jnp.where(due, weight, state.weight)
        average = jax.lax.cond(due, mix, lambda: state.average)
        return AverageState(count, weight, average, inner_state)

    def update(updates, state, params=None, **extra):
        errors.need_params(where, params)
        updates, inner_state = call_update(inner, updates, state.inner_state, params, extra)
        return updates, advance(state, params, inner_state, tree.add(params, updates))

    def step(updates, state, params, **extra):
        after, inner_state = call_step(inner, updates, state.inner_state, params, extra)
        return after, advance(state, params, inner_state, after)

    def evaluate(state, params):
        def pick(mean, p):
            if mean is None:
                return p
            mixed = mean if evaluated == 1 else p + evaluated * (mean - p)
            return jnp.where(begun, numerics.like(mixed, p), p)

        begun = state.weight > 0
        here = call_evaluate(inner, state.inner_state, params)
        return jax.tree.map(pick, state.average, here, is_leaf=tree.is_none)

    return Rule(init, update, step, evaluate, children=(Child("inner", inner, at="inner_state"),))


def _differ(a: Any, b: Any) -> jax.Array:
    """Whether any number of two trees of parameters, or any count, differs, [] bool."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b))
    flags = [jnp.any(x != y) for x, y in pairs if tree.differentiable(x) or _is_count(x)]
    return jnp.any(jnp.stack(flags)) if flags else jnp.zeros([], bool)


def _is_count(x: Any) -> bool:
    return getattr(x, "dtype", None) == jnp.int32 and not jnp.ndim(x)


def _counts(tx: Any, state: Any) -> list[jax.Array]:
    """The counts inside of guards, which move in every step, also where a step moves nothing."""
    found = []
    for guard in walk(tx, state):
        for child in guard.rule.children if guard.rule is not None and guard.rule.skips else ():
            if not facts_of(child.tx).skips:  # else a guard further inside may leave the call out
                for visit in walk(child.tx, child.state_in(guard.state)):
                    found += [] if visit.moving is None else [visit.moving.count]
                    roles = {} if visit.stands_for_next else roles_of(type(visit.state))
                    kept = [name for name, role in roles.items() if role and role.name == "count"]
                    found += [getattr(visit.state, name) for name in kept]
    return found


def _rounded(x: Any) -> Any:
    """A leaf in float32, with the roundings of its dtype, which XLA may leave out."""
    return nearest(x.astype(jnp.float32), x.dtype) if is_narrow(x) else x

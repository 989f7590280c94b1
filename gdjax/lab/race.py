"""Races: optimizers × learning rates × seeds, the grid of each optimizer in one compiled program.

>>> from gdjax.lab.race import race
>>> results = race(["sgd", "adam"], "bowl", rates="0.01,0.1", steps=50)
>>> [row.name for row in results.rows()]
['sgd', 'adam']
"""

from __future__ import annotations

__all__ = ["Results", "Row", "Run", "Spread", "race"]

import functools
import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.transformation import apply_updates, call_evaluate, call_update
from gdjax.core.engine.walk import walk
from gdjax.core.rule import errors
from gdjax.lab.makers import makers
from gdjax.lab.problems import Problem
from gdjax.lab.problems import problem as problem_of
from gdjax.lab.rates import beyond, parse_rates
from gdjax.lab.standing import Results, Row, Run, Spread, best_of
from gdjax.lab.unfinished import Unfinished
from gdjax.run.progress import need_cpu

_MEASURES = 50  # how often a run reports its progress and, if on batches, its full training loss
_WIDENINGS = 3  # of the range of an optimizer, where no rates are given


def race(
    optimizers: Sequence[Any] | Mapping[str, Any],
    problem: str | Problem = "digits",
    rates: Any = None,
    seeds: int = 3,
    steps: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    unfinished: str | os.PathLike[str] | None = None,
) -> Results:
    """Race: runs every optimizer at every learning rate from every seed.

    A seed determines the initial parameters and the batches, the same for all optimizers and rates.
    For a deterministic problem only one seed is run.

    Args:
        optimizers: Names (`"adamw"`), calls (`"adamw(b2=0.99)"`), calls with `RATE` for the
            learning rate (`"chain(clip(1.0), adam(RATE))"`), transformations (whose learning rate
            is replaced); or a dict of these by label, which may hold functions of the rate too.
        problem: A problem, the name of one, or `Problem.of(loss, params)`.
        rates: Positive numbers, or text for `parse_rates`. By default the range of the problem,
            which is widened for an optimizer until its best rate lies inside.
        seeds: The number of seeds, 1 or more.
        steps: Updates of each run; that of the problem by default.
        progress: Called with a label ("adam: compiling", "adam"), the steps done and the steps of
            the whole race, about fifty times for each optimizer.
        unfinished: A file to which each optimizer is added as it ends, and which is removed at the
            end of the race; optimizers in the file are not run again.

    Raises:
        ValueError: An optimizer or the problem is unknown, or an argument is out of range.
        TypeError: An optimizer has no learning rate or no such argument; the problem is a loss.
        RuntimeError: `progress` is given, and JAX has no CPU device beside the others.
    """
    if progress:
        need_cpu("race")
    entered = makers(optimizers)
    problem = problem if isinstance(problem, Problem) else problem_of(problem)
    steps = problem.steps if steps is None else steps
    for name, count in (("steps", steps), ("seeds", seeds)):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            errors.fail("race", f"{name} must be a positive integer", count)
    if widen := rates is None:
        rates = problem.rates
    written = rates if isinstance(rates, str) else ",".join(str(float(r)) for r in np.ravel(rates))
    rates = parse_rates(written)
    numbers = np.arange(seeds)
    # Drawn once for all optimizers: compiling a random start takes longer than compiling a race.
    starts = jax.vmap(lambda seed: problem.init(_keys(seed)[0]))(jnp.asarray(numbers))
    starts = jax.tree.map(np.asarray, starts)
    level = all((x == x[:1]).all() for x in jax.tree.leaves(starts))
    if fixed := level and problem.batches is None:
        numbers, starts = numbers[:1], jax.tree.map(lambda x: x[:1], starts)
    every = max(1, steps // _MEASURES)
    at = np.append(np.arange(0, steps, every if problem.batches else 1), steps)
    grid = _Grid(problem, rates, numbers, starts, steps, every, at)
    about = {"problem": problem.name, "digest": problem.digest, "steps": steps}
    about |= {"rates": rates.tolist(), "widen": widen, "seeds": numbers.tolist()}
    kept, runs = Unfinished(unfinished, about), []
    for i, (name, make) in enumerate(entered.items()):
        if (run := kept.get(name, make)) is None:
            tell = progress and functools.partial(_tell, progress, name, i, steps, len(entered))
            run = _run(name, make, grid, tell)
            run = _widened(run, grid, tell) if widen else run
            kept.add(run)
        runs.append(run)
    kept.remove()
    return Results(problem, numbers, steps, at, tuple(runs), fixed and seeds > 1)


class _Grid(NamedTuple):
    problem: Problem
    rates: np.ndarray  # [R]
    seeds: np.ndarray  # [S]
    starts: Any  # like params, each [S, ...]
    steps: int
    every: int  # steps between two measures
    at: np.ndarray  # [M]


def _tell(progress, name, before, steps, races, step, compiling=False) -> None:
    doing = f"{name}: compiling" if compiling else name
    progress(doing, before * steps + int(step), races * steps)


def _keys(seed: Any) -> jax.Array:
    """The keys of the start and of the batches."""
    return jax.random.split(jax.random.key(seed))


def _widened(run: Run, grid: _Grid, tell: Any) -> Run:
    """The run with further rates beyond an end of its range, as long as the best one is there."""
    for _ in range(_WIDENINGS):
        best = best_of(grid.problem, run)
        if best not in (None, 0, len(run.rates) - 1):
            break
        further = beyond(run.rates, up=best == len(run.rates) - 1)
        if not further.size:
            break
        if tell:
            tell(grid.steps, compiling=True)
        run = run.joined(_run(run.name, run.make, grid._replace(rates=further), None))
    return run


def _idle(tx: Any, params: Any) -> tuple[str, ...]:
    """Names of the parts of an optimizer that are for matrices, where there are none."""
    if any(jnp.ndim(x) > 1 for x in jax.tree.leaves(params)):
        return ()
    state = jax.eval_shape(tx.init, params)
    parts = [
        (visit.path, jax.tree.leaves(visit.params))
        for visit in walk(tx, state, params)
        if not visit.given and visit.children and visit.children[-1].named
    ]
    return tuple(dict.fromkeys(path[-1] for path, leaves in parts if not leaves))


def _run(name: str, make: Any, grid: _Grid, tell: Any) -> Run:
    """Compiles and runs the grid of one optimizer."""
    if tell:
        tell(0, compiling=True)
    apart, runs = grid.problem.apart, len(grid.rates) * len(grid.seeds)
    count = itertools.count()  # of one run after another each begins at step 0 again
    told = (lambda step: tell(next(count) * grid.every // runs)) if tell and apart else tell
    one = functools.partial(_train, make, grid, told)
    over = jax.lax.map if apart else lambda of, xs: jax.vmap(of)(xs)

    def whole(rates: jax.Array, seeds: jax.Array, starts: Any) -> Any:
        return over(lambda rate: over(lambda s: one(rate, *s), (seeds, starts)), rates)

    arguments = (jnp.asarray(grid.rates, float), jnp.asarray(grid.seeds), grid.starts)
    begun = time.perf_counter()
    program = jax.jit(whole).lower(*arguments).compile()
    compiled = time.perf_counter()
    losses, metrics = jax.tree.map(np.asarray, program(*arguments))
    ended = time.perf_counter()
    if tell:
        jax.effects_barrier()  # a late report must not move the bar back
        tell(grid.steps)
    losses = losses[..., grid.at].astype(np.float64)
    target = grid.problem.target
    reached = grid.problem.gap(losses) <= (-np.inf if target is None else target)
    first = np.where(reached.any(axis=-1), grid.at[reached.argmax(axis=-1)], np.nan)
    accuracy = metrics.get("test_accuracy")
    idle = _idle(make(float(grid.rates[0])), jax.tree.map(lambda x: x[0], grid.starts))
    times = (ended - compiled, compiled - begun)
    return Run(name, make, grid.rates, losses, first, accuracy, *times, idle)


def _train(make, grid, tell, rate, seed, start) -> tuple[jax.Array, dict]:
    """One run: the full losses [steps + 1], NaN where not measured, and the metrics.

    They are those of the parameters to evaluate at, averages where an optimizer keeps such; but
    without batches, where each step gives the full loss anyway, that is so for the last one alone.

    Not `minimize`: it stops a run that is no longer finite, so under vmap each run is at a step of
    its own, and nothing can be reported or measured once for the whole grid.
    """
    problem, tx = grid.problem, make(rate)
    check_transformation("race", "what a function of the rate returns", tx)
    batch = problem.batches and problem.batches(_keys(seed)[1])
    full = lambda params, state: problem.loss(call_evaluate(tx, state, params), None)

    def body(carry: Any, i: jax.Array) -> tuple[Any, jax.Array]:
        params, state = carry
        now = batch and batch(i)
        fun = lambda p: problem.loss(p, now)
        loss, grads = jax.value_and_grad(fun)(params)
        extra = {"value": loss, "grad": grads, "value_fn": fun}
        before = state
        updates, state = call_update(tx, grads, state, params, extra)
        due = i % grid.every == 0
        if tell:
            jax.lax.cond(due, lambda: jax.debug.callback(tell, i), lambda: None)
        if batch:  # the loss of a batch is no measure of the training loss
            unknown = lambda: jnp.full_like(loss, jnp.nan)
            loss = jax.lax.cond(due, lambda: full(params, before), unknown)
        return (apply_updates(params, updates), state), loss

    count = jnp.arange(grid.steps)
    (params, state), losses = jax.lax.scan(body, (start, tx.init(start)), count)
    params = call_evaluate(tx, state, params)
    metrics = problem.metrics(params) if problem.metrics else {}
    return jnp.append(losses, problem.loss(params, None)), metrics

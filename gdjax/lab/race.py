"""Races: optimizers × learning rates × seeds, each optimizer's whole grid as one compiled program.

>>> from gdjax.lab.race import race
>>> results = race(["sgd", "adam"], "bowl", rates="0.01,0.1", steps=50)
>>> [row.name for row in results.rows()]
['sgd', 'adam']
"""

from __future__ import annotations

__all__ = ["Results", "Row", "Run", "Spread", "race"]

import functools
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.transformation import (
    GradientTransformation,
    apply_updates,
    call_evaluate,
    call_update,
)
from gdjax.core.rule import errors
from gdjax.lab import catalogue
from gdjax.lab.problems import Problem
from gdjax.lab.problems import problem as problem_of
from gdjax.lab.rates import parse_rates
from gdjax.run.progress import need_cpu

_MEASURES = 50  # how often a run tells how far it is and, if on batches, its full training loss


class Spread(NamedTuple):
    """Mean and sample standard deviation over seeds; no deviation of a single one."""

    mean: float
    std: float | None
    count: int

    @classmethod
    def of(cls, values: Any) -> Spread | None:
        """Of the finite values; None if there are none."""
        values = np.asarray(values, np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            return None
        std = float(values.std(ddof=1)) if values.size > 1 else None
        return cls(float(values.mean()), std, values.size)


class Row(NamedTuple):
    """One line of the table: an optimizer at its best rate."""

    name: str
    best_rate: float | None  # None if runs diverged at every rate
    steps_to_target: Spread | None  # over the seeds that reached it
    final_loss: Spread | None
    test_accuracy: Spread | None
    diverged: int  # of all runs of the grid
    runs: int
    seconds: float  # to run the grid
    compile_seconds: float


@dataclass(frozen=True, eq=False)
class Run:
    """What one optimizer did on the grid of R rates and S seeds, measured M times."""

    name: str
    make: Callable[[Any], Any]  # the transformation of a rate
    losses: np.ndarray  # [R, S, M]: the full loss at the measured steps
    steps_to_target: np.ndarray  # [R, S]: the first measured step at the target, NaN if none
    test_accuracy: np.ndarray | None  # [R, S] at the end
    seconds: float
    compile_seconds: float

    @property
    def final_losses(self) -> np.ndarray:
        """The full loss at the end, [R, S]."""
        return self.losses[..., -1]

    @property
    def diverged(self) -> np.ndarray:
        """Which runs ended above their start or where nothing is finite, [R, S]."""
        return ~(np.isfinite(self.final_losses) & (self.final_losses <= self.losses[..., 0]))


@dataclass(frozen=True, eq=False)
class Results:
    """A race: the grid, and what each optimizer did on it."""

    problem: Problem
    rates: np.ndarray  # [R]
    seeds: np.ndarray  # [S]
    steps: int
    at: np.ndarray  # [M]: the steps at which losses were measured, from 0 to `steps`
    runs: tuple[Run, ...]
    repeated: bool  # no seed would change anything, so only one was run

    @property
    def floor(self) -> float:
        """The gap below which optimizers differ by rounding, not by merit."""
        if self.problem.optimum is None:
            return 0.0
        rounding = 4 * float(np.finfo(np.float32).eps) * abs(self.problem.optimum)
        return max(rounding, 1e-4 * self.problem.target)

    def best(self, run: Run) -> int | None:
        """Index of the rate of the least mean final gap, among those where no run diverged.

        Where several are level, at the floor, it is that which took the fewest steps to the target.
        """
        gaps = np.maximum(self.problem.gap(run.final_losses), self.floor).mean(axis=1)
        gaps = np.where(run.diverged.any(axis=1), np.inf, gaps)
        if not np.isfinite(gaps).any():
            return None
        steps = np.where(np.isnan(run.steps_to_target), np.inf, run.steps_to_target).mean(axis=1)
        return int(np.lexsort((steps, gaps))[0])

    def rows(self) -> list[Row]:
        """The table, best first: by final loss, and where that is level by steps to the target."""
        return sorted(map(self._row, self.runs), key=self._rank)

    def _row(self, run: Run) -> Row:
        grid = (int(run.diverged.sum()), run.diverged.size, run.seconds, run.compile_seconds)
        if (best := self.best(run)) is None:
            return Row(run.name, None, None, None, None, *grid)
        accuracy = None if run.test_accuracy is None else Spread.of(run.test_accuracy[best])
        reached, final = Spread.of(run.steps_to_target[best]), Spread.of(run.final_losses[best])
        return Row(run.name, float(self.rates[best]), reached, final, accuracy, *grid)

    def _rank(self, row: Row) -> tuple:
        if row.final_loss is None:
            return (np.inf, np.inf, row.name)
        gap = max(self.problem.gap(row.final_loss.mean), self.floor)
        reached = row.steps_to_target.mean if row.steps_to_target else np.inf
        return (gap, reached, row.name)


def race(
    optimizers: Sequence[Any] | Mapping[str, Any],
    problem: str | Problem = "digits",
    rates: Any = "1e-4:1:9",
    seeds: int = 3,
    steps: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Results:
    """Runs every optimizer at every learning rate from every seed.

    A seed decides the start and the batches, the same for all optimizers and rates. Where a
    problem has neither chance, one seed is run in place of several equal ones.

    Args:
        optimizers: Names (`"adamw"`), calls (`"adamw(b2=0.99)"`), transformations (whose learning
            rate is replaced); or a dict of these by label, which may hold functions of the rate
            as well: `{"clipped": lambda rate: gd.chain(gd.clip(1.0), gd.adam(rate))}`.
        problem: A problem, or the name of one.
        rates: Positive numbers, or text for `parse_rates`.
        seeds: How many, 1 or more.
        steps: Updates of each run; the problem's own number by default.
        progress: Called with what goes on ("adam: compiling", "adam"), the steps done and the
            steps of the whole race, about fifty times for each optimizer.

    Raises:
        ValueError: An optimizer or the problem is unknown, or an argument is out of range.
        TypeError: An optimizer has no learning rate or no such argument; the problem is a loss.
        RuntimeError: `progress` is given, and JAX has no CPU device beside the others.
    """
    if progress:
        need_cpu("race")
    makers = _makers(optimizers)
    problem = problem if isinstance(problem, Problem) else problem_of(problem)
    steps = problem.steps if steps is None else steps
    for name, count in (("steps", steps), ("seeds", seeds)):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            errors.fail("race", f"{name} must be a positive integer", count)
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
    runs = []
    for i, (name, make) in enumerate(makers.items()):
        tell = progress and functools.partial(_tell, progress, name, i, steps, len(makers))
        runs.append(_run(name, make, grid, tell))
    return Results(problem, rates, numbers, steps, at, tuple(runs), fixed and seeds > 1)


class _Grid(NamedTuple):
    problem: Problem
    rates: np.ndarray  # [R]
    seeds: np.ndarray  # [S]
    starts: Any  # like params, each [S, ...]
    steps: int
    every: int  # steps between two measures
    at: np.ndarray  # [M]


def _tell(progress, name, before, steps, races, step) -> None:
    doing = f"{name}: compiling" if step is None else name
    progress(doing, before * steps + int(step or 0), races * steps)


def _keys(seed: Any) -> jax.Array:
    """The keys of the start and of the batches."""
    return jax.random.split(jax.random.key(seed))


def _run(name: str, make: Any, grid: _Grid, tell: Any) -> Run:
    """Compiles and runs the grid of one optimizer."""
    if tell:
        tell(None)
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
        jax.effects_barrier()  # what is told late must not move the bar back
        tell(grid.steps)
    losses = losses[..., grid.at].astype(np.float64)
    reached = grid.problem.gap(losses) <= grid.problem.target
    first = np.where(reached.any(axis=-1), grid.at[reached.argmax(axis=-1)], np.nan)
    accuracy = metrics.get("test_accuracy")
    return Run(name, make, losses, first, accuracy, ended - compiled, compiled - begun)


def _train(make, grid, tell, rate, seed, start) -> tuple[jax.Array, dict]:
    """One run: the full losses [steps + 1], NaN where not measured, and the metrics.

    They are those of the parameters to evaluate at, averages where an optimizer keeps such; but
    without batches, where each step gives the full loss anyway, that is so for the last one alone.

    Not `minimize`: it stops a run that is no longer finite, so under vmap each run is at a step of
    its own, and nothing can be told or measured once for the whole grid.
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


def _makers(optimizers: Sequence[Any] | Mapping[str, Any]) -> dict[str, Callable[[Any], Any]]:
    """Functions of the rate, by label."""
    if isinstance(optimizers, (str, GradientTransformation)) or callable(optimizers):
        optimizers = [optimizers]
    named = isinstance(optimizers, Mapping)
    makers: dict[str, Callable[[Any], Any]] = {}
    for label, given in optimizers.items() if named else ((None, x) for x in optimizers):
        if not callable(given) or label is None:
            given = catalogue.optimizer(given)
            label = catalogue.short_call(given) if label is None else label
            given = lambda rate, tx=given: tx.replace(learning_rate=rate)
        if label in makers:
            errors.fail("race", "every optimizer must be another one", f"{label} twice")
        makers[label] = given
    if not makers:
        errors.fail("race", "there must be at least one optimizer", "none")
    return makers

"""The results of a race: the grid of losses of each optimizer, its best rate, the table."""

from __future__ import annotations

__all__ = ["Results", "Row", "Run", "Spread", "best_of", "floor_of"]

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from gdjax.lab.problem import Problem


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
    rates: np.ndarray  # [R], rising
    losses: np.ndarray  # [R, S, M]: the full loss at the measured steps
    steps_to_target: np.ndarray  # [R, S]: the first measured step at the target, NaN if none
    test_accuracy: np.ndarray | None  # [R, S] at the end
    seconds: float
    compile_seconds: float
    idle: tuple[str, ...] = ()  # its parts for matrices, where there are none

    def joined(self, other: Run) -> Run:
        """This run at the rates of another as well."""
        rates = np.concatenate([self.rates, other.rates])
        order = np.argsort(rates)
        both = lambda a, b: None if a is None else np.concatenate([a, b])[order]
        return replace(
            self,
            rates=rates[order],
            losses=both(self.losses, other.losses),
            steps_to_target=both(self.steps_to_target, other.steps_to_target),
            test_accuracy=both(self.test_accuracy, other.test_accuracy),
            seconds=self.seconds + other.seconds,
            compile_seconds=self.compile_seconds + other.compile_seconds,
        )

    @property
    def final_losses(self) -> np.ndarray:
        """The full loss at the end, [R, S]."""
        return self.losses[..., -1]

    @property
    def diverged(self) -> np.ndarray:
        """Which runs ended above their start or where nothing is finite, [R, S]."""
        return ~(np.isfinite(self.final_losses) & (self.final_losses <= self.losses[..., 0]))


def floor_of(problem: Problem) -> float:
    """The gap below which optimizers differ by rounding, not by merit."""
    if problem.optimum is None:
        return 0.0
    rounding = 4 * float(np.finfo(np.float32).eps) * abs(problem.optimum)
    return max(rounding, 1e-4 * (problem.target or 0.0))


def best_of(problem: Problem, run: Run) -> int | None:
    """Index of the rate of the least mean final gap, among those where no run diverged.

    Where several are level, at the floor, it is that which took the fewest steps to the target.
    """
    gaps = np.maximum(problem.gap(run.final_losses), floor_of(problem)).mean(axis=1)
    gaps = np.where(run.diverged.any(axis=1), np.inf, gaps)
    if not np.isfinite(gaps).any():
        return None
    steps = np.where(np.isnan(run.steps_to_target), np.inf, run.steps_to_target).mean(axis=1)
    return int(np.lexsort((steps, gaps))[0])


@dataclass(frozen=True, eq=False)
class Results:
    """A race: the grid, and what each optimizer did on it."""

    problem: Problem
    seeds: np.ndarray  # [S]
    steps: int
    at: np.ndarray  # [M]: the steps at which losses were measured, from 0 to `steps`
    runs: tuple[Run, ...]
    repeated: bool  # no seed would change anything, so only one was run

    @property
    def rates(self) -> np.ndarray:
        """All learning rates of the race; those of one optimizer are its run's."""
        return np.unique(np.concatenate([run.rates for run in self.runs]))

    def best(self, run: Run) -> int | None:
        """Index of the best rate of a run; see `best_of`."""
        return best_of(self.problem, run)

    @property
    def floor(self) -> float:
        """The gap below which optimizers differ by rounding, not by merit."""
        return floor_of(self.problem)

    def rows(self) -> list[Row]:
        """The table, best first: by final loss, and where that is level by steps to the target."""
        return sorted(map(self._row, self.runs), key=self._rank)

    def _row(self, run: Run) -> Row:
        grid = (int(run.diverged.sum()), run.diverged.size, run.seconds, run.compile_seconds)
        if (best := self.best(run)) is None:
            return Row(run.name, None, None, None, None, *grid)
        accuracy = None if run.test_accuracy is None else Spread.of(run.test_accuracy[best])
        reached, final = Spread.of(run.steps_to_target[best]), Spread.of(run.final_losses[best])
        return Row(run.name, float(run.rates[best]), reached, final, accuracy, *grid)

    def _rank(self, row: Row) -> tuple:
        if row.final_loss is None:
            return (np.inf, np.inf, row.name)
        gap = max(self.problem.gap(row.final_loss.mean), self.floor)
        reached = row.steps_to_target.mean if row.steps_to_target else np.inf
        return (gap, reached, row.name)

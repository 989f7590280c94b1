"""Scores of optimizers over workloads: steps to a target fixed before, and performance profiles.

What has a learning rate is tuned: so many settings of its space run once, from seed 0, and the one
that reaches the target first runs from other seeds. What has none runs from those seeds alone.
"""

from __future__ import annotations

__all__ = ["SEARCH", "SPACES", "Judged", "contestants", "judge", "judged", "profile", "scores"]

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import gdjax as gd
from gdjax.core.rule import errors
from gdjax.lab import catalogue
from gdjax.lab.charlm_configs import line
from gdjax.lab.problem import Problem
from gdjax.lab.spaces import Space, decay, ratio
from gdjax.lab.trials import Contestant, trials

MEASURES = 100  # of a run: the times are multiples of a hundredth of its steps
FARTHEST = 4.0  # times the best, beyond which a time counts as none
SEARCH = 0  # the seed of the search


def _adamw(steps: int, learning_rate: Any, **setting: Any) -> Any:
    return gd.adamw(line(learning_rate, steps), mask="matrices", **setting)


def _momentum(steps: int, learning_rate: Any, decay: Any) -> Any:
    return gd.momentum(line(learning_rate, steps), decay)


_ADAM = {
    "learning_rate": ratio(1e-4, 1e-1),
    "weight_decay": ratio(1e-4, 1.0),
    "b1": decay(0.8, 0.98),
    "b2": decay(0.9, 0.999),
}
_SGD = {"learning_rate": ratio(1e-3, 10.0), "decay": decay(0.8, 0.98)}
SPACES: Mapping[str, Space] = {"adamw": Space(_adamw, _ADAM), "momentum": Space(_momentum, _SGD)}
"""What is tuned, by name: the rate rises in a twentieth of the steps and falls in nine tenths."""


class Judged(NamedTuple):
    """What an optimizer did on a workload."""

    workload: str
    optimizer: str
    steps: float  # to the target, the median over seeds; ∞ where it is not reached
    budget: int  # the steps of a run
    milliseconds: float  # a step

    @property
    def seconds(self) -> float:
        """The time of the steps to the target."""
        return self.steps * self.milliseconds / 1000


def contestants(optimizer: str, steps: int, count: int) -> list[Contestant]:
    """The settings of an optimizer that is tuned; or the only one of a call.

    Args:
        optimizer: A key of `SPACES`, or a call that makes an optimizer.
        steps: The steps of the runs.
        count: How many settings.

    Raises:
        ValueError: It is neither; or the call does not make a transformation.
    """
    if optimizer in SPACES:
        space = SPACES[optimizer]
        made = [(s, space.make(steps, **s)) for s in space.settings(count)]
        return [Contestant(optimizer, steps, tx, setting) for setting, tx in made]
    if "(" not in optimizer:
        must = f"an optimizer must be one of {', '.join(SPACES)}, or a call"
        errors.fail("score", must, optimizer, instead=f"Write '{optimizer}()'.")
    return [Contestant(optimizer, steps, catalogue.read(optimizer))]


def judge(
    problem: Problem,
    optimizers: Sequence[str],
    path: str | os.PathLike[str],
    *,
    count: int = 5,
    seeds: int = 3,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Judged]:
    """Runs optimizers on a workload, but for the runs that the file has.

    Args:
        problem: A workload with a target.
        optimizers: See `contestants`.
        path: A file of runs, see `gdjax.lab.trials.trials`.
        count: Settings of what is tuned.
        seeds: Runs of the best setting; none of them is the seed that chose it.
        progress: See `gdjax.lab.trials.attempts`.

    Raises:
        ValueError: The problem has no target.
    """
    if problem.target is None:
        errors.fail("score", "the workload must have a target", problem.name)
    found = []
    for optimizer in optimizers:
        settings = contestants(optimizer, problem.steps, count)
        run = lambda who, those: trials(problem, who, those, path, progress, measures=MEASURES)
        if len(settings) > 1:
            settings = [settings[_first(run(settings, [SEARCH]), problem.target)]]
        found.append(judged(run(settings, range(1, seeds + 1)), problem.target))
    return found


def _first(runs: Sequence[Mapping[str, Any]], target: float) -> int:
    """Which run reaches the target first; where none does, which ends lowest."""
    end = lambda run: math.inf if run["losses"][-1] is None else run["losses"][-1]
    keys = [(_reached(run, target), end(run)) for run in runs]
    return min(range(len(runs)), key=keys.__getitem__)


def _reached(run: Mapping[str, Any], target: float) -> float:
    """The first measured step at which the loss is at or below the target."""
    there = (at for at, x in zip(run["at"], run["losses"]) if x is not None and x <= target)
    return next(there, math.inf)


def judged(runs: Sequence[Mapping[str, Any]], target: float) -> Judged:
    """What the runs of one setting from several seeds say."""
    steps = float(np.median([_reached(run, target) for run in runs]))
    quickest = min(run["milliseconds"] for run in runs)
    return Judged(runs[0]["problem"], runs[0]["name"], steps, runs[0]["steps"], quickest)


def profile(times: Mapping[str, Sequence[float]], most: float) -> dict[str, float]:
    """The performance profile at τ: the share of workloads in at most τ times the best time.

    >>> profile({"a": [10, 40], "b": [20, 10]}, 2.0)
    {'a': 0.5, 'b': 1.0}

    Args:
        times: Of each optimizer, the time of each workload; ∞ where the target is not reached.
        most: τ ≥ 1.
    """
    ratios = _ratios(times)
    return {name: sum(r <= most for r in those) / len(those) for name, those in ratios.items()}


def scores(times: Mapping[str, Sequence[float]], farthest: float = FARTHEST) -> dict[str, float]:
    """The integral of the performance profile from τ = 1, divided by its length.

        score = 1/(R − 1) · ∫₁ᴿ profile(τ) dτ = mean over workloads of max(0, R − r) / (R − 1)

    with r the time over the best time on the workload. 1 is the best everywhere.

    >>> scores({"a": [10, 40], "b": [20, 10]})
    {'a': 0.5, 'b': 0.8333333333333333}

    Args:
        times: As in `profile`.
        farthest: R > 1, beyond which a time counts as none.

    Reference: Dahl et al., Benchmarking neural network training algorithms, 2023,
        https://arxiv.org/abs/2306.07179; Dolan and Moré, Benchmarking optimization software with
        performance profiles, 2002, https://doi.org/10.1007/s101070100263
    """
    share = lambda r: max(0.0, farthest - r) / (farthest - 1)
    return {name: sum(map(share, those)) / len(those) for name, those in _ratios(times).items()}


def _ratios(times: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    best = [min(row) for row in zip(*times.values(), strict=True)]
    return {name: [_over(t, b) for t, b in zip(those, best)] for name, those in times.items()}


def _over(time: float, best: float) -> float:
    """The time over the best time; ∞ where it is none, 1 where both are 0."""
    if time == best < math.inf:
        return 1.0
    return time / best if best and math.isfinite(time) else math.inf

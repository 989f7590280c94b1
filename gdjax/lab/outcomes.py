"""Races under equal budgets: a search of as many settings for each optimizer, seeds of the best.

The settings are those of the optimizer's search space, each run once, from seed 0. The setting of
the least final loss is run from other seeds, and these alone make the loss that is reported: a loss
that was chosen as the least of many is too low by chance.
"""

from __future__ import annotations

__all__ = [
    "SIGNIFICANCE",
    "Outcome",
    "below",
    "best_settings",
    "finals",
    "outcomes",
    "search",
    "tuned",
]

import os
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from gdjax.core.rule import errors
from gdjax.lab.problem import Problem
from gdjax.lab.spaces import Space
from gdjax.lab.standing import Spread
from gdjax.lab.trials import Contestant, trials

SIGNIFICANCE = 0.01
_SEARCH = 0  # the seed of the search
_GLANCES = 4  # measures of a run of the search; validation costs as much as steps do


class Outcome(NamedTuple):
    """What an optimizer's runs say."""

    name: str
    settings: int  # that were searched
    diverged: int  # of these: ended above their start or where nothing is finite
    best: dict[str, float]  # the setting of the least final loss
    steps: int
    final: Spread | None  # of the best from the other seeds; None if all diverged
    needed: int | None  # the first measured step from which on its loss is below the target
    p: float | None  # that its final loss is no lower than the target; None where not asked
    milliseconds: float  # a step, the least of its runs: other work only adds

    @property
    def seconds(self) -> float | None:
        """The time of the steps needed."""
        return None if self.needed is None else self.needed * self.milliseconds / 1000


def tuned(
    problem: Problem,
    spaces: Mapping[str, Space],
    budget: int,
    seeds: int,
    path: str | os.PathLike[str],
    steps: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    together: int | None = None,
) -> list[dict[str, Any]]:
    """Runs as many settings of each optimizer, then the best of each from other seeds.

    Args:
        problem: What is trained.
        spaces: The search spaces by the name of the optimizer.
        budget: How many settings of each.
        seeds: How many runs of the best, from seed 1.
        path: A file of runs; see `trials`.
        steps: Of each run; those of the problem by default.
        progress: See `trials`.
        together: Runs in one program; see `trials`.

    Raises:
        ValueError: A number is less than 1.
    """
    steps = problem.steps if steps is None else steps
    _positive(seeds=seeds)
    found, best = search(problem, spaces, budget, path, steps, progress, together)
    chosen = [Contestant(n, steps, spaces[n].make(steps, **best[n]), best[n]) for n in spaces]
    about: Any = {"path": path, "progress": progress, "together": together}
    return found + trials(problem, chosen, range(1, seeds + 1), **about)


def search(
    problem: Problem,
    spaces: Mapping[str, Space],
    budget: int,
    path: str | os.PathLike[str],
    steps: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    together: int | None = None,
) -> tuple[list[dict[str, Any]], dict[str, dict[str, float]]]:
    """The first half of `tuned`: the runs of all settings, and the best setting by name."""
    steps = problem.steps if steps is None else steps
    _positive(budget=budget, steps=steps, together=together or 1)
    made = [
        Contestant(name, steps, space.make(steps, **setting), setting)
        for name, space in spaces.items()
        for setting in space.settings(budget)
    ]
    about: Any = {"path": path, "progress": progress, "together": together}
    found = trials(problem, made, [_SEARCH], measures=_GLANCES, **about)
    return found, best_settings(found)


def _positive(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            errors.fail("race", f"{name} must be a positive integer", count)


def best_settings(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of the runs of the search the setting of the least final loss, by optimizer."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run["seed"] == _SEARCH:
            found.setdefault(run["name"], []).append(run)
    return {name: _best(group)["setting"] for name, group in found.items()}


def _best(searched: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run of the least final loss; the first where none has one."""
    return min(searched, key=lambda run: np.inf if _diverged(run) else run["losses"][-1])


def _diverged(run: dict[str, Any]) -> bool:
    first, last = run["losses"][0], run["losses"][-1]
    return last is None or last > first


def below(losses: Sequence[float], target: Sequence[float]) -> float:
    """The probability that a mean is so far below another by chance: a one-sided z-test.

        z = (m₀ − m) / √(s²/n + s₀²/n₀),    p = 1 − Φ(z)

    m, s and n are mean, sample standard deviation and number of `losses`, those with a 0 of
    `target`. A target of one number is taken as exact, s₀ = 0.

    >>> round(below([1.0, 2.0, 3.0], [4.0]), 5)
    0.00027

    Args:
        losses: Two or more.
        target: One or more.

    Reference: the rules of the third track of https://github.com/KellerJordan/modded-nanogpt
    """
    one, other = np.asarray(losses, np.float64), np.asarray(target, np.float64)
    if one.size < 2 or not other.size:
        errors.fail("below", "there must be two losses and a target", f"{one.size}, {other.size}")
    of_mean = lambda x: float(x.var(ddof=1)) / x.size if x.size > 1 else 0.0
    ahead = float(other.mean() - one.mean())
    error = (of_mean(one) + of_mean(other)) ** 0.5
    if error == 0:
        return float(ahead <= 0)
    return NormalDist().cdf(-ahead / error)


def finals(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The runs of the best settings from other seeds than that of the search, by name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run["seed"] != _SEARCH:
            found.setdefault(run["name"], []).append(run)
    return found


def outcomes(runs: Sequence[dict[str, Any]], baseline: str) -> list[Outcome]:
    """The table: the baseline first, then by steps needed, and by final loss.

    Args:
        runs: Of `tuned`.
        baseline: The name of the optimizer whose mean final loss is the target.

    Raises:
        ValueError: None of the runs is the baseline's.
    """
    grouped = finals(runs)
    if baseline not in grouped:
        must = f"one of the runs must be of the baseline, {baseline}"
        errors.fail("race", must, ", ".join(grouped) or "none")
    target = _ends(grouped[baseline])
    search = [run for run in runs if run["seed"] == _SEARCH]
    told = [
        _outcome(group, [run for run in search if run["name"] == name], target, name == baseline)
        for name, group in grouped.items()
    ]
    mean = lambda one: one.final.mean if one.final else np.inf
    return sorted(told, key=lambda x: (x.name != baseline, x.needed or np.inf, mean(x), x.name))


def _outcome(
    group: list[dict[str, Any]], searched: list[dict[str, Any]], target: list[float], same: bool
) -> Outcome:
    name, steps, needed, p = group[0]["name"], group[0]["steps"], None, None
    if same:
        needed = steps
    elif len(group) > 1 and all(run["at"][-1] == steps for run in group):
        by_step = zip(group[0]["at"], zip(*(run["losses"] for run in group)))
        chances = [(at, 1.0 if None in ls else below(ls, target)) for at, ls in by_step]
        p = chances[-1][1]
        for at, chance in reversed(chances):
            if chance >= SIGNIFICANCE:
                break
            needed = at
    diverged = sum(map(_diverged, searched))
    final = Spread.of(_ends(group))
    milliseconds = float(min(run["milliseconds"] for run in group))
    best = group[0]["setting"]
    return Outcome(name, len(searched), diverged, best, steps, final, needed, p, milliseconds)


def _ends(runs: list[dict[str, Any]]) -> list[float]:
    return [np.nan if run["losses"][-1] is None else run["losses"][-1] for run in runs]

"""Tables of scores: steps to the target of each workload, and the score of each optimizer."""

from __future__ import annotations

__all__ = ["cells", "described", "of_runs"]

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gdjax.lab.problem import Problem
from gdjax.lab.scores import SEARCH, Judged, judged, scores


def of_runs(runs: Sequence[Mapping[str, Any]], targets: Mapping[str, float]) -> list[Judged]:
    """What the runs of a file say, without a search; of other data or settings the last."""
    groups: dict[tuple[str, str], list[Any]] = {}
    same = lambda a, b: all(a[key] == b[key] for key in ("digest", "steps", "optimizer"))
    for run in runs:
        key = run["problem"], run["name"]
        if run["seed"] != SEARCH:
            before = groups.get(key, [])
            groups[key] = [*(r for r in before if same(r, run)), run]
    return [judged(those, targets[problem]) for (problem, _), those in groups.items()]


def described(problems: Sequence[Problem]) -> list[list[str]]:
    """The lines of a table of problems, its head first."""
    lines = [["workload", "", "parameters", "steps", "measure", "target"]]
    for problem in problems:
        params = jax.eval_shape(problem.init, jax.random.key(0))
        size = sum(int(np.prod(x.shape)) for x in jax.tree.leaves(params))
        numbers = [f"{size:,}", str(problem.steps), problem.measured, f"{problem.target:g}"]
        lines.append([problem.name, problem.description, *numbers])
    return lines


def cells(rows: Sequence[Judged]) -> list[list[str]]:
    """The lines of the table, its head first; last the scores by steps and by seconds.

    >>> found = [Judged("a", "x", 20.0, 100, 1.0), Judged("a", "y", math.inf, 100, 1.0)]
    >>> cells(found)[1]
    ['a', '100', '20', '–']
    """
    names = list(dict.fromkeys(row.optimizer for row in rows))
    by = {(row.workload, row.optimizer): row for row in rows}
    workloads = list(dict.fromkeys(row.workload for row in rows))
    lines = [["workload", "steps of a run", *names]]
    for workload in workloads:
        found = [by[workload, name] for name in names]
        steps = [f"{row.steps:.0f}" if math.isfinite(row.steps) else "–" for row in found]
        lines.append([workload, str(found[0].budget), *steps])
    for words, kind in (("score by steps", "steps"), ("score by seconds", "seconds")):
        times = {name: [getattr(by[w, name], kind) for w in workloads] for name in names}
        lines.append([words, "", *(f"{x:.2f}" for x in scores(times).values())])
    return lines

"""What the runs of the ladder say: losses of the carried rate, and whether the best rate moved."""

from __future__ import annotations

__all__ = ["OCTAVES", "cells", "moved", "outermost", "scaled", "settings"]

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gdjax.lab.outcomes import best_settings, outcomes

OCTAVES = (0.0, -0.5, 0.5)  # of the rate, the carried one first
_FURTHEST = 1.0
_NONE = "–"


def scaled(setting: Mapping[str, float], octaves: float) -> dict[str, float]:
    """A setting with all of its rates multiplied by 2^octaves, to four digits.

    >>> from gdjax.lab.rungs import scaled
    >>> scaled({"learning_rate": 0.01, "b1": 0.9}, 0.5)
    {'learning_rate': 0.01414, 'b1': 0.9}
    """
    if not octaves:
        return dict(setting)
    rate = lambda name: name.endswith("learning_rate")
    return {k: float(f"{x * 2**octaves:.4g}") if rate(k) else x for k, x in setting.items()}


def moved(
    runs: Iterable[dict[str, Any]], problem: str, name: str, best: Mapping[str, float]
) -> tuple[float | None, dict[float, float]]:
    """By how many octaves the best rate moved, and mean final losses by octave.

    The best is None while it is at an end of the rates that were run: it may lie beyond.

    Args:
        runs: Of `climb`.
        problem: The name of the rung's problem.
        name: The optimizer.
        best: Its best setting at the base.
    """
    losses: dict[float, list[float]] = {}
    for octave in (-1.0, -0.5, 0.0, 0.5, 1.0):
        for run in runs:
            if (run["problem"], run["name"]) == (problem, name) and run["seed"] > 0:
                if run["setting"] == scaled(best, octave):
                    last = run["losses"][-1]
                    losses.setdefault(octave, []).append(np.inf if last is None else last)
    means = {octave: float(np.mean(values)) for octave, values in losses.items()}
    if not means:
        return None, means
    least = min(means, key=lambda octave: (means[octave], abs(octave)))
    inside = min(means) < least < max(means)
    return (least if inside else None), means


def outermost(losses: Mapping[float, float]) -> float | None:
    """The further rate to run: beyond the end where the least loss is; None if there is none.

    >>> from gdjax.lab.rungs import outermost
    >>> outermost({-0.5: 1.0, 0.0: 1.1, 0.5: 1.3}), outermost({-0.5: 1.2, 0.0: 1.1, 0.5: 1.3})
    (-1.0, None)
    """
    least = min(losses, key=losses.__getitem__)
    if min(losses) < least < max(losses) or abs(least) >= _FURTHEST:
        return None
    return least + (0.5 if least > 0 else -0.5)


def _runs_of(runs: Sequence[dict[str, Any]], problem: str) -> list[dict[str, Any]]:
    return [run for run in runs if run["problem"] == problem]


def cells(runs: Sequence[dict[str, Any]], rungs: Mapping[str, Any], base: str) -> list[list[str]]:
    """The lines of the table, its head first: each rung and optimizer, "not run" where it was not.

    Args:
        runs: On one text.
        rungs: The rungs by name.
        base: The name of the rung of the search.
    """
    heads = ["rung", "steps", "optimizer", "seeds", "final loss", "steps to adamw's"]
    rows = [[*heads, "best rate", "ms a step"]]
    best = best_settings(_runs_of(runs, f"ladder_{base}"))
    for name, rung in rungs.items():
        here = _runs_of(runs, f"ladder_{name}")
        carried = [r for r in here if r["seed"] and r["setting"] == best.get(r["name"])]
        first = [f"{name} M", str(rung.steps)]
        if not any(run["name"] == "adamw" for run in carried):
            rows.append([*first, "not run", *[_NONE] * 5])
            continue
        for one in outcomes(carried, "adamw"):
            count, final = sum(run["name"] == one.name for run in carried), one.final
            spread = "" if final is None or final.std is None else f" ± {final.std:.4f}"
            share = f" ({100 * one.needed / one.steps:.0f} %)" if one.needed else ""
            rows.append(
                [
                    *first,
                    one.name,
                    str(count),
                    "diverged" if final is None else f"{final.mean:.4f}{spread}",
                    f"{one.needed}{share}" if one.needed else _NONE,
                    _shift(here, name, one.name, best[one.name]),
                    f"{one.milliseconds:.0f}",
                ]
            )
    return rows


def _shift(runs: Sequence[dict[str, Any]], rung: str, name: str, best: Any) -> str:
    """How far the best rate moved, in words."""
    octaves, losses = moved(runs, f"ladder_{rung}", name, best)
    if octaves is not None:
        return "the same" if octaves == 0 else f"× 2^{octaves:+g}"
    if len(losses) < 3:
        return _NONE
    return f"× 2^{min(losses, key=losses.__getitem__):+g} or beyond"


def settings(runs: Sequence[dict[str, Any]], base: str) -> list[list[str]]:
    """The lines of the table of the search, its head first: settings run, and the best of each."""
    found = [r for r in _runs_of(runs, f"ladder_{base}") if r["seed"] == 0]
    best = best_settings(found)
    names = list(dict.fromkeys(key for setting in best.values() for key in setting))
    rows = [["optimizer", "settings", "loss of the best", *names]]
    for name, setting in best.items():
        losses = [r["losses"][-1] for r in found if r["name"] == name]
        least = min((x for x in losses if x is not None), default=None)
        numbers = [f"{setting[key]:g}" if key in setting else _NONE for key in names]
        shown = _NONE if least is None else f"{least:.4f}"
        rows.append([name, str(len(losses)), shown, *numbers])
    return rows

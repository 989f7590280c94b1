"""Report of a race under equal budgets: tables, also in Markdown, a plot, numbers as JSON."""

from __future__ import annotations

__all__ = ["cells", "files", "markdown", "notes", "searched", "to_json"]

import json
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

import gdjax
from gdjax.lab.outcomes import SIGNIFICANCE, Outcome, finals, outcomes
from gdjax.lab.problem import Problem
from gdjax.lab.spaces import Space
from gdjax.programs import tables

_NONE = "–"


def cells(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The lines of the table, its head first; `outcomes` begins with the baseline."""
    base = outcomes[0]
    heads = ["optimizer", "settings", "diverged", "final loss", "p"]
    rows = [[*heads, f"steps to {base.name}'s", "seconds", "ms a step"]]
    for one in outcomes:
        final = one.final
        spread = "" if final is None or final.std is None else f" ± {final.std:.4f}"
        share = f" ({100 * one.needed / base.steps:.0f} %)" if one.needed else ""
        rows.append(
            [
                one.name,
                str(one.settings),
                str(one.diverged),
                _NONE if final is None else f"{final.mean:.4f}{spread}",
                _NONE if one.p is None else f"{one.p:.1g}" if one.p > 1e-12 else "< 1e-12",
                _NONE if one.needed is None else f"{one.needed}{share}",
                _NONE if one.seconds is None else f"{one.seconds:.2f}",
                f"{one.milliseconds:.1f}",
            ]
        )
    return rows


def searched(spaces: Mapping[str, Space], outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The lines of the table of ranges and of the best settings in them, its head first."""
    names = list(dict.fromkeys(name for space in spaces.values() for name in space.ranges))
    rows = [["optimizer", *names]]
    for one in outcomes:
        cells = {x: f"{one.best[x]:g} of {r}" for x, r in spaces[one.name].ranges.items()}
        rows.append([one.name, *(cells.get(name, _NONE) for name in names)])
    return rows


def notes(runs: Sequence[dict[str, Any]], baseline: str) -> list[str]:
    """What a reader of the table should know besides."""
    best = finals(runs)[baseline]
    together = max(run["together"] for run in best)
    share = f" One of {together} together." if together > 1 else ""
    return [
        f"{best[0]['steps']} steps. Of each optimizer so many settings were run once, from seed 0; "
        f"loss, p and times are of its best setting, {len(best)} other "
        f"seed{'s' * (len(best) > 1)}.",
        f"Target: the mean final validation loss of {baseline}. Steps to it: the first measured "
        f"step from which on the mean loss is below it with p < {SIGNIFICANCE:g}; p at the end, of "
        "a one-sided z-test.",
        f"Seconds: those steps, by the milliseconds of a step, without validation.{share}",
        "Settings: a scrambled Halton sequence, uniform in log(x), for decays of means "
        "in log(1 − x).",
    ]


def markdown(lines: Sequence[list[str]]) -> str:
    """The lines of a table, its head first, as Markdown."""
    head, *rows = lines
    return tables.markdown(head, rows)


def to_json(
    problem: Problem,
    spaces: Mapping[str, Space],
    runs: Sequence[dict[str, Any]],
    baseline: str,
    command: str,
) -> str:
    """The search spaces, the best optimizers as `gdjax.build` reads them, their measured losses."""
    seen: dict[str, Any] = {
        name: {
            "space": {name: given._asdict() for name, given in spaces[name].ranges.items()},
            "optimizer": best[0]["optimizer"],
            "steps": best[0]["steps"],
            "at": best[0]["at"],
            "losses": {str(run["seed"]): run["losses"] for run in best},
        }
        for name, best in finals(runs).items()
    }
    versions = {
        "gdjax": gdjax.__version__,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }
    table = [one._asdict() for one in outcomes(runs, baseline)]
    for row in table:
        row["final"] = row["final"] and row["final"]._asdict()
    data = {
        "versions": versions,
        "command": command,
        "problem": {
            key: getattr(problem, key) for key in ("name", "description", "citation", "digest")
        },
        "baseline": baseline,
        "table": table,
        "runs": seen,
    }
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    # Arrays of numbers on one line: the file is read by people too.
    flat = lambda found: f"[{' '.join(found[1].split())}]"
    return re.sub(r"\[\s+([^\[\]{}\"]*?)\s+\]", flat, text) + "\n"


FILES = ("results.json", "table.md", "curves.png")


def files(
    problem: Problem,
    spaces: Mapping[str, Space],
    runs: Sequence[dict[str, Any]],
    baseline: str,
    command: str = "",
) -> dict[str, bytes]:
    """`FILES` by name."""
    told = outcomes(runs, baseline)
    both = map(markdown, (cells(told), searched(spaces, told)))
    table = [*both, *notes(runs, baseline), ""]
    return {
        "results.json": to_json(problem, spaces, runs, baseline, command).encode(),
        "table.md": "\n".join(table).encode(),
        "curves.png": _picture(problem, runs, baseline),
    }


def _picture(problem: Problem, runs: Sequence[dict[str, Any]], baseline: str) -> bytes:
    """Median losses by step, without the first fall: a twentieth of the baseline's steps."""
    from gdjax import plots
    from gdjax.plots import canvas

    curves: dict[str, Any] = {}
    for run in (run for best in finals(runs).values() for run in best):
        losses = [np.inf if loss is None else loss for loss in run["losses"]]
        drawn = np.interp(np.arange(run["steps"] + 1), run["at"], losses, right=np.inf)
        curves.setdefault(run["name"], []).append(drawn)
    named = {name: np.array(values) for name, values in curves.items()}
    base = np.median(named[baseline], axis=0)
    top = base[len(base) // 20]
    final = outcomes(runs, baseline)[0].final
    figure = plots.losses(
        named,
        ylabel=problem.measured,
        target=None if final is None else final.mean,
        top=float(top) if np.isfinite(top) else None,
        ends=True,
    )
    figure.axes[0].set_title(problem.name, loc="left", fontsize=10, color="#222222")
    return canvas.picture(figure, "png")

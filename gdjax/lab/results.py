"""Report of trials: a table, also in Markdown, a plot, and all numbers as JSON."""

from __future__ import annotations

__all__ = ["cells", "files", "markdown", "notes", "to_json"]

import json
import platform
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

import gdjax
from gdjax.lab.problem import Problem
from gdjax.lab.trials import SIGNIFICANCE, Outcome, outcomes
from gdjax.programs import tables

_NONE = "–"


def cells(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The lines of the table, its head first; `outcomes` begins with the baseline."""
    base = outcomes[0]
    rows = [
        ["optimizer", "steps needed", f"of {base.name}'s", "ran", "final loss", "p", "ms a step"]
    ]
    for one in outcomes:
        final = one.final
        spread = "" if final is None or final.std is None else f" ± {final.std:.4f}"
        rows.append(
            [
                one.name,
                _NONE if one.needed is None else str(one.needed),
                _NONE if one.needed is None else f"{100 * one.needed / base.steps:.0f} %",
                str(one.steps),
                _NONE if final is None else f"{final.mean:.4f}{spread}",
                _NONE if one.p is None else f"{one.p:.1g}" if one.p > 1e-12 else "< 1e-12",
                f"{one.milliseconds:.0f}",
            ]
        )
    return rows


def notes(seeds: int, baseline: str) -> list[str]:
    """What a reader of the table should know besides."""
    return [
        f"Target: the mean final validation loss of {baseline}, {seeds} seed{'s' * (seeds > 1)}. "
        "Each ran with a schedule made for the steps it ran.",
        f"Steps needed: the first measured step from which on the mean loss is below the target "
        f"with p < {SIGNIFICANCE:g}; p at the end,",
        "of a one-sided z-test: z = (m₀ − m) / √(s²/n + s₀²/n₀), p = 1 − Φ(z).",
    ]


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table as markdown."""
    head, *rows = cells(outcomes)
    return tables.markdown(head, rows)


def to_json(problem: Problem, runs: Sequence[dict[str, Any]], baseline: str, command: str) -> str:
    """Everything: the optimizers as `gdjax.build` reads them, and all measured losses."""
    seen: dict[str, Any] = {}
    for run in runs:
        one = seen.setdefault(
            run["name"],
            {"optimizer": run["optimizer"], "steps": run["steps"], "at": run["at"], "losses": {}},
        )
        one["losses"][str(run["seed"])] = run["losses"]
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
    problem: Problem, runs: Sequence[dict[str, Any]], baseline: str, command: str = ""
) -> dict[str, bytes]:
    """`FILES` by name."""
    table = "\n".join([markdown(outcomes(runs, baseline)), *notes(_seeds(runs), baseline), ""])
    return {
        "results.json": to_json(problem, runs, baseline, command).encode(),
        "table.md": table.encode(),
        "curves.png": _picture(problem, runs, baseline),
    }


def _seeds(runs: Sequence[dict[str, Any]]) -> int:
    return len({run["seed"] for run in runs})


def _picture(problem: Problem, runs: Sequence[dict[str, Any]], baseline: str) -> bytes:
    """Median losses by step, without the first fall: a twentieth of the baseline's steps."""
    from gdjax import plots
    from gdjax.plots import canvas

    curves: dict[str, Any] = {}
    for run in runs:
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

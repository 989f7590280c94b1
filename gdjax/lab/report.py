"""Report of a race: a table for the terminal, plots, JSON and CSV."""

from __future__ import annotations

__all__ = ["curves_csv", "files", "notes", "save", "table", "to_csv", "to_json"]

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import gdjax
from gdjax.lab.folder import folder, write
from gdjax.lab.pictures import pictures, shown
from gdjax.lab.standing import Results, Run, Spread

if TYPE_CHECKING:
    from rich.table import Table

_NONE = "–"


def table(results: Results) -> Table:
    """The table of a race, best first, for `rich.print`."""
    from rich import box
    from rich.table import Table

    problem = results.problem
    gap = problem.optimum not in (None, 0.0)
    accurate = any(run.test_accuracy is not None for run in results.runs)
    about: Any = {"title": _title(results), "title_justify": "left", "title_style": "bold"}
    built = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, **about
    )  # fits into 80 columns
    built.add_column("optimizer")
    heads = ["best\nrate", "steps to\ntarget", "final\nloss", "− optimum", "test\naccuracy"]
    columns = [True, problem.target is not None, True, gap, accurate]
    for head in [h for h, s in zip(heads, columns) if s] + ["diverged", "seconds"]:
        built.add_column(head, justify="right")
    for row in results.rows():
        final = row.final_loss
        beyond = final and final._replace(mean=problem.gap(final.mean))
        low = beyond is not None and beyond.mean <= results.floor
        cells = [
            _NONE if row.best_rate is None else f"{row.best_rate:.3g}",
            _reached(row.steps_to_target, len(results.seeds)),
            _spread(final and final._replace(std=None) if gap else final, "{:.4g}"),
            f"< {results.floor:.0e}" if low else _spread(beyond, "{:.1e}"),
            _spread(row.test_accuracy, "{:.4f}"),
        ]
        built.add_row(
            row.name,
            *[cell for cell, s in zip(cells, columns) if s],
            f"{row.diverged} of {row.runs}" if row.diverged else "0",
            f"{row.seconds:.2f}",
        )
    return built


def notes(results: Results) -> list[str]:
    """What a reader of the table should know besides."""
    problem, runs = results.problem, len(results.seeds)
    loss = "a loss" if problem.optimum is None else "a distance from the optimum"
    told = ["Seconds are without compilation."]
    if problem.target is not None:
        told = [f"Target: {loss} of at most {problem.target:g}. {told[0]}"]
    if runs > 1:
        told.append(f"Mean ± standard deviation of {runs} seeds, at the best rate.")
    if results.repeated:
        told.append("Neither start nor batches depend on chance, so each rate was run once.")
    at_end = [
        run.name
        for run in results.runs
        if len(run.rates) > 1 and results.best(run) in (0, len(run.rates) - 1)
    ]
    if at_end:
        told.append(
            f"Best rate at an end of the range, a wider one may do better: {', '.join(at_end)}."
        )
    for run in results.runs:
        if run.idle:
            parts = " and ".join(run.idle)
            rest = "its other parts trained all"
            told.append(f"{run.name}: there were no matrices for its part {parts}; {rest}.")
    return told


def _title(results: Results) -> str:
    rates, counts = results.rates, sorted({len(run.rates) for run in results.runs})
    count = "–".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    swept = f"{count} rate{'s' * (counts[-1] > 1)} from {rates[0]:.3g} to {rates[-1]:.3g}"
    seeds = len(results.seeds)
    counted = f"{swept}, {seeds} seed{'s' * (seeds > 1)}, {results.steps} steps"
    return f"{results.problem.name}: {results.problem.description}\n{counted}"


def _spread(value: Spread | None, form: str) -> str:
    if value is None:
        return _NONE
    told = form.format(value.mean)
    return told if value.std is None else f"{told}±{value.std:.1g}"


def _reached(value: Spread | None, runs: int) -> str:
    if value is None:
        return _NONE
    told = f"{value.mean:.0f}" + (f"±{value.std:.0f}" if value.std is not None else "")
    return told if value.count == runs else f"{told} ({value.count} of {runs})"


def to_json(results: Results, command: str = "") -> str:
    """Everything of a race but the curves, as JSON; what is not finite is null."""
    rows = {row.name: row for row in results.rows()}
    data = {
        "versions": {"gdjax": gdjax.__version__, "jax": jax.__version__},
        "command": command,
        "problem": {
            "name": results.problem.name,
            "description": results.problem.description,
            "citation": results.problem.citation,
            "optimum": results.problem.optimum,
            "target": results.problem.target,
        },
        "steps": results.steps,
        "rates": results.rates,
        "seeds": results.seeds,
        "table": [_row(row) for row in rows.values()],
        "optimizers": {
            run.name: {
                "spec": _spec(results, run),
                "rates": run.rates,
                "final_losses": run.final_losses,
                "steps_to_target": run.steps_to_target,
                "test_accuracy": run.test_accuracy,
                "diverged": run.diverged,
                "seconds": run.seconds,
                "compile_seconds": run.compile_seconds,
            }
            for run in results.runs
        },
    }
    return json.dumps(_plain(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _row(row: Any) -> dict[str, Any]:
    return {k: v._asdict() if isinstance(v, Spread) else v for k, v in row._asdict().items()}


def _spec(results: Results, run: Run) -> Any:
    """The optimizer at its best rate as `gdjax.build` reads it; None if it cannot be written."""
    try:
        return gdjax.spec(run.make(float(run.rates[shown(results, run)])))
    except TypeError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return _plain(np.asarray(value).tolist())
    return None if isinstance(value, float) and not np.isfinite(value) else value


def to_csv(results: Results) -> str:
    """One line for each optimizer, rate and seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = "optimizer rate seed final_loss steps_to_target test_accuracy diverged"
    writer.writerow(heads.split())
    for run in results.runs:
        for i, rate in enumerate(run.rates):
            for j, seed in enumerate(results.seeds):
                reached = run.steps_to_target[i, j]
                steps = "" if np.isnan(reached) else int(reached)
                accuracy = "" if run.test_accuracy is None else run.test_accuracy[i, j]
                end = (run.final_losses[i, j], steps, accuracy, int(run.diverged[i, j]))
                writer.writerow([run.name, rate, seed, *end])
    return text.getvalue()


def curves_csv(results: Results) -> str:
    """The losses at the best rate of each optimizer: one line for each seed and measured step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["optimizer", "rate", "seed", "step", "loss"])
    for run in results.runs:
        i = shown(results, run)
        for seed, losses in zip(results.seeds, run.losses[i]):
            rows = zip(results.at, losses)
            writer.writerows([run.name, run.rates[i], seed, step, f"{x:.9g}"] for step, x in rows)
    return text.getvalue()


FILES = ("curves.png", "sensitivity.png", "results.json", "results.csv", "curves.csv")


def save(results: Results, path: str | os.PathLike[str], command: str = "") -> list[Path]:
    """Writes two pictures, results.json, results.csv and curves.csv; makes the folder."""
    made = files(results, command)
    with folder(path) as place:
        return write(place, made)


def files(results: Results, command: str = "") -> dict[str, bytes]:
    """The files that `save` writes, `FILES`, by name."""
    texts = {
        "results.json": to_json(results, command),
        "results.csv": to_csv(results),
        "curves.csv": curves_csv(results),
    }
    return pictures(results) | {name: text.encode() for name, text in texts.items()}

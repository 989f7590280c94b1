"""What is told of a race: a table for the terminal, pictures, JSON and CSV."""

from __future__ import annotations

__all__ = [
    "files",
    "folder",
    "last_step",
    "notes",
    "pictures",
    "save",
    "table",
    "to_csv",
    "to_json",
    "write",
]

import contextlib
import csv
import io
import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import gdjax
from gdjax import plots
from gdjax.core.data.recipe import Recipe
from gdjax.lab.race import Results, Run, Spread

if TYPE_CHECKING:
    from rich.table import Table

_NONE = "–"


def table(results: Results) -> Table:
    """The table of a race, best first, for `rich.print`."""
    from rich.table import Table

    gap = results.problem.optimum not in (None, 0.0)
    accurate = any(run.test_accuracy is not None for run in results.runs)
    built = Table(title=_title(results), title_justify="left", title_style="bold")
    built.add_column("optimizer")
    heads = ["best rate", "steps to target", "final loss", "− optimum", "test accuracy"]
    shown = [True, True, True, gap, accurate]
    for head in [h for h, s in zip(heads, shown) if s] + ["diverged", "seconds"]:
        built.add_column(head, justify="right")
    for row in results.rows():
        final = row.final_loss
        beyond = final and final._replace(mean=results.problem.gap(final.mean))
        low = beyond is not None and beyond.mean <= results.floor
        cells = [
            _NONE if row.best_rate is None else f"{row.best_rate:.3g}",
            _reached(row.steps_to_target, len(results.seeds)),
            _spread(final, "{:.4g}"),
            f"< {results.floor:.0e}" if low else _spread(beyond, "{:.1e}"),
            _spread(row.test_accuracy, "{:.4f}"),
        ]
        built.add_row(
            row.name,
            *[cell for cell, s in zip(cells, shown) if s],
            f"{row.diverged} of {row.runs}" if row.diverged else "0",
            f"{row.seconds:.2f}",
        )
    return built


def notes(results: Results) -> list[str]:
    """What a reader of the table should know besides."""
    problem, runs = results.problem, len(results.seeds)
    loss = "a loss" if problem.optimum is None else "a distance from the optimum"
    told = [f"Target: {loss} of at most {problem.target:g}. Seconds are without compilation."]
    if runs > 1:
        told.append(f"Mean ± standard deviation of {runs} seeds, at the best rate.")
    if results.repeated:
        told.append("Neither start nor batches depend on chance, so each rate was run once.")
    ends = {float(results.rates[0]), float(results.rates[-1])}
    at_end = [row.name for row in results.rows() if row.best_rate in ends]
    if at_end and len(ends) > 1:
        told.append(
            f"Best rate at an end of the range, a wider one may do better: {', '.join(at_end)}."
        )
    return told


def _title(results: Results) -> str:
    rates = results.rates
    swept = f"{len(rates)} rates from {rates[0]:.3g} to {rates[-1]:.3g}"
    seeds = len(results.seeds)
    counted = f"{swept}, {seeds} seed{'s' * (seeds > 1)}, {results.steps} steps"
    return f"{results.problem.name}: {results.problem.description}\n{counted}"


def _spread(value: Spread | None, form: str) -> str:
    if value is None:
        return _NONE
    told = form.format(value.mean)
    return told if value.std is None else f"{told} ± {value.std:.1g}"


def _reached(value: Spread | None, runs: int) -> str:
    if value is None:
        return _NONE
    told = f"{value.mean:.0f}" + (f" ± {value.std:.0f}" if value.std is not None else "")
    return told if value.count == runs else f"{told} ({value.count} of {runs})"


def pictures(results: Results) -> dict[str, bytes]:
    """The two pictures as PNG: the curves at the best rates, and who is easy to tune."""
    problem = results.problem
    # What is left below the floor is rounding, which a logarithmic axis would blow up.
    lowest = -np.inf if problem.optimum is None else problem.optimum + results.floor
    curves, sweeps = {}, {}
    for run in results.runs:
        i = _shown(results, run)
        losses = np.maximum(_every_step(results, run.losses[i]), lowest)
        curves[f"{run.name}, {results.rates[i]:.2g}"] = losses
        finals = np.maximum(run.final_losses, lowest)
        if problem.optimum is not None:  # of rates at the floor the star marks that of the table
            finals[i] -= 1e-3 * np.maximum(finals[i] - problem.optimum, 0)
        sweeps[run.name] = (results.rates, finals)
    start = float(max(run.losses[..., 0].max() for run in results.runs))
    loss = "training loss"
    drawn = plots.losses(curves, problem.optimum, ylabel=loss)
    _mark_target(drawn.axes[0], problem.target)
    tuned = plots.sensitivity(sweeps, problem.optimum, ceiling=start, ylabel=f"final {loss}")
    _finish(drawn, f"{problem.name}, each at its best rate")
    _finish(tuned, f"{problem.name}, {results.steps} steps")
    return {"curves.png": _png(drawn), "sensitivity.png": _png(tuned)}


def _mark_target(axes: Any, target: float) -> None:
    low, high = axes.get_ylim()
    if not low < target < high:
        return
    axes.axhline(target, color="#555555", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    place = {"transform": axes.get_yaxis_transform(), "va": "bottom", "in_layout": False}
    axes.text(0.01, target, "target", color="#555555", fontsize=9, **place)


def _finish(figure: Any, title: str) -> None:
    """A title, and every other curve a thin one: variants that lie on each other are both seen."""
    axes = figure.axes[0]
    axes.set_title(title, loc="left", fontsize=10, color="#222222")
    curves = axes.get_legend_handles_labels()[0]
    boxes = [box for box in (axes.get_legend(), *figure.legends) if box is not None]
    for lines in (curves, *(box.get_lines() for box in boxes)):
        for i, line in enumerate(lines):
            line.set(linewidth=1.4 if i % 2 else 3.2, zorder=2.2 if i % 2 else 2.1)


def _shown(results: Results, run: Run) -> int:
    """The rate whose curve is drawn: the best one, or the least bad where all diverged."""
    if (best := results.best(run)) is not None:
        return best
    finals = np.where(np.isfinite(run.final_losses), run.final_losses, np.inf)
    return int(np.argmin(finals.mean(axis=1)))


def _every_step(results: Results, losses: np.ndarray) -> np.ndarray:
    """Losses [S, steps + 1]: straight lines between the measured steps."""
    steps = np.arange(results.steps + 1)
    return np.stack([np.interp(steps, results.at, one) for one in losses])


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


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
        return gdjax.spec(run.make(float(results.rates[_shown(results, run)])))
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
        for i, rate in enumerate(results.rates):
            for j, seed in enumerate(results.seeds):
                reached = run.steps_to_target[i, j]
                steps = "" if np.isnan(reached) else int(reached)
                accuracy = "" if run.test_accuracy is None else run.test_accuracy[i, j]
                end = (run.final_losses[i, j], steps, accuracy, int(run.diverged[i, j]))
                writer.writerow([run.name, rate, seed, *end])
    return text.getvalue()


def save(results: Results, path: str | os.PathLike[str], command: str = "") -> list[Path]:
    """Writes curves.png, sensitivity.png, results.json and results.csv; makes the folder."""
    made = files(results, command)
    with folder(path) as place:
        return write(place, made)


def files(results: Results, command: str = "") -> dict[str, bytes]:
    """What `save` writes, by name."""
    texts = {"results.json": to_json(results, command), "results.csv": to_csv(results)}
    return pictures(results) | {name: text.encode() for name, text in texts.items()}


@contextlib.contextmanager
def folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder that has been made and can be written; unmade if what follows fails.

    Raises:
        OSError: It cannot be made or written.
    """
    place = Path(path).absolute()
    made = [p for p in (place, *place.parents) if not p.exists()]
    try:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            must = f"{os.fspath(path)!r} must be a folder that can be written"
            raise OSError(f"report: {must}, got: {error.strerror}.") from None
        yield place
    except BaseException:
        for p in made:  # from the inside out; what holds anything stays
            with contextlib.suppress(OSError):
                p.rmdir()
        raise


def write(place: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Writes all files or none; whoever reads one sees the old or the whole new one."""
    parts = {place / name: place / f".{name}.{uuid.uuid4().hex}" for name in files}
    try:
        for part, data in zip(parts.values(), files.values()):
            part.write_bytes(data)
        for final, part in parts.items():
            os.replace(part, final)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return list(parts)


def last_step(value: Any) -> int:
    """The greatest whole number in the call of a schedule: the step up to which it moves."""
    if isinstance(value, Recipe):
        value = value.arguments
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        return max(map(last_step, value), default=0)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0

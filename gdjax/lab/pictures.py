"""The pictures of a race: losses at the best rates, and the final loss against the rate."""

from __future__ import annotations

__all__ = ["pictures", "shown"]

from typing import Any

import numpy as np

from gdjax import plots
from gdjax.lab.standing import Results, Run
from gdjax.plots import canvas


def pictures(results: Results) -> dict[str, bytes]:
    """The two pictures as PNG: the curves at the best rates, and who is easy to tune."""
    problem = results.problem
    # Values below the floor are rounding, which a logarithmic axis would blow up.
    lowest = -np.inf if problem.optimum is None else problem.optimum + results.floor
    curves, sweeps = {}, {}
    for run in results.runs:
        i = shown(results, run)
        losses = np.maximum(_every_step(results, run.losses[i]), lowest)
        curves[f"{run.name}, η = {run.rates[i]:.2g}"] = losses
        finals = np.maximum(run.final_losses, lowest)
        if problem.optimum is not None:  # of rates at the floor the star marks that of the table
            finals[i] -= 1e-3 * np.maximum(finals[i] - problem.optimum, 0)
        sweeps[run.name] = (run.rates, finals)
    start = float(max(run.losses[..., 0].max() for run in results.runs))
    loss = problem.measured
    drawn = plots.losses(curves, problem.optimum, ylabel=loss, target=problem.target)
    tuned = plots.sensitivity(sweeps, problem.optimum, ceiling=start, ylabel=f"final {loss}")
    _title(drawn, f"{problem.name}, each at its best rate")
    _title(tuned, f"{problem.name}, {results.steps} steps")
    return {
        "curves.png": canvas.picture(drawn, "png"),
        "sensitivity.png": canvas.picture(tuned, "png"),
    }


def _title(figure: Any, title: str) -> None:
    figure.axes[0].set_title(title, loc="left", fontsize=10, color="#222222")


def shown(results: Results, run: Run) -> int:
    """Index of the rate whose curve is drawn: the best, or the least bad where all diverged."""
    if (best := results.best(run)) is not None:
        return best
    finals = np.where(np.isfinite(run.final_losses), run.final_losses, np.inf)
    return int(np.argmin(finals.mean(axis=1)))


def _every_step(results: Results, losses: np.ndarray) -> np.ndarray:
    """Losses [S, steps + 1]: straight lines between the measured steps."""
    steps = np.arange(results.steps + 1)
    return np.stack([np.interp(steps, results.at, one) for one in losses])

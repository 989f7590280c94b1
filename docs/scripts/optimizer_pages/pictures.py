"""The pictures of an optimizer, drawn by `gdjax.plots` from what was measured."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from gdjax import plots
from gdjax.plots import canvas
from optimizer_pages import landscapes

__all__ = ["digits", "paths", "rate", "thumbnail"]

DPI = 200  # twice what a screen shows a picture of this width with
START = 2.0362  # the gap of the start on digits: above it a run counts as diverged
YLABEL = "loss − least loss, 500 steps"


def rate(value: float) -> str:
    """A rate as one reads it."""
    return f"{value:.2g}"


def paths(name: str) -> bytes:
    """Where an optimizer goes on Rosenbrock's function and in a valley, as PNG."""
    with canvas.drawing(None, (8.8, 3.5)) as (figure, first):
        first.remove()
        for ax, (where, place) in zip(figure.subplots(1, 2), landscapes.PLACES.items()):
            entry = landscapes.data()["paths"][name][where]
            _path(place, entry, ax)
            at = "" if entry["rate"] is None else f", rate {rate(entry['rate'])}"
            ax.set_title(f"{place.title}: {place.steps} steps{at}", fontsize=10)
            x, y = ("singular value 0", "1") if landscapes.is_matrix(name) else ("parameter 0", "1")
            ax.set(xlabel=x, ylabel=f"{x[:-2]} {y}")
    return _png(figure)


def thumbnail(name: str) -> bytes:
    """The path on Rosenbrock's function, small and without numbers, as PNG."""
    with canvas.drawing(None, (2.2, 1.75)) as (figure, ax):
        _path(landscapes.PLACES["rosenbrock"], landscapes.data()["paths"][name]["rosenbrock"], ax)
        ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
    return _png(figure)


def _path(place: landscapes.Place, entry: dict[str, Any], ax: Any) -> None:
    points = np.reshape(entry["path"], (-1, 2)) / 1000
    plots.paths(place.loss, {"path": points}, place.box, place.least, ax=ax)
    ax.get_legend().remove()  # one path, whose name is the page's


def digits(name: str) -> bytes:
    """Final losses on digits by learning rate, beside Adam's, or Adam's beside SGD's; as PNG."""
    beside = "sgd" if name == "adam" else "adam"
    if "steps" in landscapes.data()["digits"][name]:
        curve = np.asarray(landscapes.data()["digits"][name]["steps"])
        figure = plots.losses({name: curve}, ylabel="loss − least loss")
        return _png(figure)
    shown = {label: landscapes.sweep(label) for label in (name, beside)}
    return _png(plots.sensitivity(shown, ceiling=START, ylabel=YLABEL))


def _png(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()

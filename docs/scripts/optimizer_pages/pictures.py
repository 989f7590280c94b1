"""The pictures of an optimizer, drawn by `gdjax.plots` from what was measured."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

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
    with canvas.drawing(None, (8.8, 3.7)) as (figure, first):
        first.remove()
        for ax, (where, place) in zip(figure.subplots(1, 2), landscapes.PLACES.items()):
            entry = landscapes.data()["paths"][name][where]
            _path(place, entry, ax)
            at = "" if entry["rate"] is None else f", rate {rate(entry['rate'])}"
            ax.set_title(f"{place.title}: {landscapes.STEPS} steps{at}", fontsize=10)
            x, y = ("diagonal entry 0", "1") if landscapes.is_matrix(name) else ("parameter 0", "1")
            ax.set(xlabel=x, ylabel=f"{x[:-2]} {y}")
    return _png(figure, left=0.07, right=0.99, bottom=0.14, top=0.92, wspace=0.18)


def thumbnail(name: str) -> bytes:
    """The path on Rosenbrock's function, small and without numbers, as PNG."""
    with canvas.drawing(None, (2.2, 1.75)) as (figure, ax):
        _path(landscapes.PLACES["rosenbrock"], landscapes.data()["paths"][name]["rosenbrock"], ax)
        ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
    return _png(figure, left=0.01, right=0.99, bottom=0.01, top=0.99)


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
        return _png(figure, left=0.12, right=0.97, bottom=0.12, top=0.96)
    shown = {label: landscapes.sweep(label) for label in (name, beside)}
    figure = plots.sensitivity(shown, ceiling=START, ylabel=YLABEL)
    (ax,) = figure.axes
    handles, labels = ax.get_legend_handles_labels()
    for legend in filter(None, (*figure.legends, ax.get_legend())):
        legend.remove()
    ax.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=2, frameon=False
    )
    return _png(figure, left=0.12, right=0.97, bottom=0.12, top=0.92)


def _png(figure: Any, **margins: float) -> bytes:
    """The figure with margins that are known: to find them would take as long as to draw it."""
    figure.set_layout_engine(None)
    figure.subplots_adjust(**margins)
    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    # A picture of few colours: with a palette it is a third as large.
    Image.open(drawn).convert("RGB").quantize(128).save(small, format="png")
    return small.getvalue()

"""Plots of schedules, losses, optimizer paths and learning-rate sensitivity.

Every function returns a `matplotlib.figure.Figure`, which a notebook shows and `save` writes to a
file. Coinciding curves are dashed in turns and named together: "a = b". Nothing here uses pyplot:
no global state, no window, nothing to close. matplotlib is imported when a plot is made; it comes
with `pip install "gdjax[lab]"`.
"""

from __future__ import annotations

__all__ = ["losses", "paths", "save", "schedules", "sensitivity", "style"]

import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.files import replacing
from gdjax.plots import canvas, inputs, labels
from gdjax.plots.canvas import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def schedules(
    schedules: Mapping[str, Callable[..., Any]] | Sequence[Callable[..., Any]] | Callable[..., Any],
    steps: int,
    ax: Axes | None = None,
) -> Figure:
    """Plots schedules against the step.

    Args:
        schedules: A dict of functions of the step by label, a sequence of them, labelled by how
            they print, or a single one.
        steps: The last step, at most ten million; each schedule is called on the integers from 0 to
            `steps`.
        ax: Axes to draw on; a new figure by default.

    Raises:
        ValueError: If `steps` is not in range, if there is nothing to draw, or if a schedule does
            not return one number a step.
        TypeError: If a schedule is no function.
    """
    if not isinstance(steps, numbers.Real) or not 1 <= steps <= 10**7:
        raise ValueError(f"schedules: steps must lie between 1 and 10,000,000, got {steps}.")
    if isinstance(schedules, Mapping):
        pairs = list(schedules.items())
    else:
        several = list(schedules) if isinstance(schedules, Iterable) else [schedules]
        pairs = list(zip(labels.of_schedules(several), several))
    canvas.require_some("schedules", pairs)
    at = jnp.arange(steps + 1)
    with canvas.drawing(ax, (6.4, 3.8)) as (figure, axes):
        for i, (label, schedule) in enumerate(pairs):
            if not callable(schedule):
                must = "schedules: each must be a function of the step"
                raise TypeError(f"{must}, got {schedule!r}. Write lambda step: 0.1.")
            # vmap, since a schedule that branches with lax.cond takes only one step at a time.
            values = canvas.floats(jax.vmap(lambda t, f=schedule: jnp.asarray(f(t)))(at))
            canvas.require_shape("schedules", label, values, values.shape == (steps + 1,), "[]")
            axes.plot(np.arange(steps + 1), values, label=label, **canvas.style_of(i))
        axes.set(xlabel="step", ylabel="value", xlim=(0, steps))
        canvas.integer_steps(axes)
        labels.draw_legend(figure, axes, own=ax is None)
    return figure


def losses(
    curves: Any,
    optimum: float | None = None,
    log: bool = True,
    *,
    band: str = "quartiles",
    ylabel: str = "loss",
    target: float | None = None,
    top: float | None = None,
    ends: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Plots losses against the step: the median of the runs, and a band of quartiles or range.

    Non-finite losses count as infinite, so the median leaves the plot if half of the runs diverged;
    a cross at the upper edge marks the step. On a logarithmic axis a curve that leaves the plot at
    the bottom has reached zero.

    Args:
        curves: A dict of losses by label: arrays `[steps]` of one run or `[runs, steps]` of
            several, or results of `minimize`. A single one needs no label.
        optimum: The smallest loss; if given, the distance from it is plotted.
        log: Whether the loss axis is logarithmic.
        band: "quartiles" for the middle half of the runs or "range" for all of them. (Not the
            standard deviation: mean minus deviation is often negative, which a logarithmic axis
            cannot show.)
        ylabel: The measured quantity, with its unit if it has one.
        target: A value to reach, in the units of the axis: a dashed line with its name.
        top: The upper end of the axis, if the first decrease would take most of the plot.
        ends: Whether curves are labelled at their ends; a legend by default.
        ax: Axes to draw on; a new figure by default.

    Raises:
        ValueError: If an array has another shape, there is nothing to draw or `band` is unknown.
        TypeError: If several curves have no labels.
    """
    bands = {"quartiles": (0.25, 0.75), "range": (0.0, 1.0)}
    if band not in bands:
        raise ValueError(f"losses: band must be one of {', '.join(bands)}, got {band!r}.")
    curves = inputs.curves(curves)
    with canvas.drawing(ax, (6.4, 4.2)) as (figure, axes):
        axes.set_yscale("log", nonpositive="clip") if log else None
        drawn, runs = [], set()
        for i, (label, values) in enumerate(curves.items()):
            values = canvas.floats(values)
            good = values.ndim in (1, 2) and values.size > 0
            canvas.require_shape("losses", label, values, good, "[steps] or [runs, steps]")
            values = np.atleast_2d(values) - (0.0 if optimum is None else optimum)
            low, high = bands[band]
            low, middle, high = canvas.quantiles(values, (low, 0.5, high), axis=0)
            at = np.arange(values.shape[1])
            if len(values) > 1:
                runs.add(len(values))
                canvas.draw_band(axes, at, low, high, canvas.style_of(i)["color"])
            axes.plot(at, middle, label=label, **canvas.style_of(i))
            drawn.append((middle, canvas.style_of(i)["color"]))
        axes.set(xlabel="step", ylabel=ylabel if optimum is None else f"{ylabel} − optimum")
        medians = [middle for middle, _ in drawn]
        start = max(middle[0] for middle in medians)
        axes.set(xlim=(0, max(*map(len, medians), 2) - 1))
        axes.set(ylim=canvas.limits_of(medians, log, start))
        axes.set(ylim=(None, top))
        canvas.integer_steps(axes)
        canvas.number_plainly(axes) if log else None
        labels.mark_lost(axes, drawn)
        if target is not None:
            labels.mark_target(axes, target)
        title = f"median, {band} of {canvas.range_of(runs)} runs" if runs else None
        if ends:
            labels.label_ends(figure, axes, title)
        else:
            labels.draw_legend(figure, axes, own=ax is None, title=title)
    return figure


def paths(
    fun: Callable[[Any], Any],
    paths: Mapping[str, Any],
    box: tuple[float, float, float, float] | None = None,
    minimizer: Any = None,
    *,
    ax: Axes | None = None,
) -> Figure:
    """Plots paths of optimizers over the contour lines of a function of two parameters.

    Contour levels are in equal ratios of the height above the minimum, so narrow valleys are
    visible. A ring marks the start of a path, a dot its end; non-finite points are omitted.

    Args:
        fun: A function of a vector `[2]` that returns a scalar; called under `vmap`.
        paths: A dict of parameters by label: arrays `[steps + 1, 2]`, the start first, or results
            of `minimize(..., keep="path")`.
        box: Left, right, bottom and top of the plot; by default it contains every path, but only
            the part near the starts of a path that diverges.
        minimizer: A vector `[2]` to mark with a star.
        ax: Axes to draw on; a new figure by default.

    Raises:
        ValueError: If an array has another shape, there is nothing to draw or the box is empty.
    """
    points = inputs.paths(paths)
    star = None if minimizer is None else canvas.floats(minimizer)
    if star is not None:
        canvas.require_shape("paths", "minimizer", star, star.shape == (2,), "[2]")
    box = canvas.box_about(list(points.values()), star) if box is None else box
    left, right, bottom, top = box
    if not (left < right and bottom < top):
        raise ValueError(f"paths: box must be (left, right, bottom, top), got {box}.")
    ratio = (top - bottom) / (right - left)
    equal = 0.4 < ratio < 2.2
    with canvas.drawing(ax, (6.4, 0.7 + 4.3 * ratio if equal else 4.6)) as (figure, axes):
        canvas.draw_contours(axes, fun, box, star)
        for i, (label, path) in enumerate(points.items()):
            path = np.where(np.isfinite(path).all(axis=1, keepdims=True), path, np.nan)
            look = canvas.style_of(i)
            axes.plot(*path.T, **look | {"linewidth": 3.4, "color": "white", "linestyle": "-"})
            dots: dict[str, Any] = {"marker": "o", "markersize": 2.6} if len(path) <= 200 else {}
            axes.plot(*path.T, label=label, **look | {"linewidth": 1.5} | dots)
            ring = {"markerfacecolor": "white", "markeredgecolor": "#222222", "zorder": 4}
            axes.plot(*path[0], "o", markersize=6.5, **ring)
            end = path[np.isfinite(path[:, 0])][-1:]
            dot = {"color": look["color"], "markeredgecolor": "white", "zorder": 5}
            axes.plot(*end.T, "o", markersize=6.5, **dot)
        if star is not None:
            look = {"color": "#222222", "markeredgecolor": "white", "linestyle": "none"}
            axes.plot(*star, "*", markersize=13, label="minimum", zorder=6, **look)
        axes.set(xlabel="parameter 0", ylabel="parameter 1", xlim=(left, right), ylim=(bottom, top))
        if equal:
            axes.set_aspect("equal")  # then gradients are seen to stand upright on contour lines
        labels.draw_legend(figure, axes, own=ax is None, outside="below")
    return figure


def sensitivity(
    results: Mapping[str, tuple[Any, Any]],
    optimum: float | None = None,
    *,
    ceiling: float | None = None,
    ylabel: str = "final loss",
    ax: Axes | None = None,
) -> Figure:
    """Plots the final loss against the learning rate: the median over seeds and its quartiles.

    A star marks the best median. A cross in the strip along the top, one row for each label, marks
    a learning rate at which runs diverged; its opacity is their fraction. In medians and quartiles
    these runs count as infinite.

    Args:
        results: A dict by label of learning rates `[R]`, positive and in any order, and final
            losses `[R, seeds]`.
        optimum: The smallest loss; if given, the distance from it is plotted.
        ceiling: Final losses above it count as diverged too; the loss at the start is a good
            choice. By default only non-finite losses do.
        ylabel: The measured quantity, with its unit if it has one.
        ax: Axes to draw on; a new figure by default.

    Raises:
        ValueError: If an array has another shape, a rate is not positive or there is nothing to
            draw.
    """
    results = inputs.labelled("sensitivity", results, "(rates, final_losses)")
    with canvas.drawing(ax, (6.4, 4.4)) as (figure, axes):
        axes.set_xscale("log")
        axes.set_yscale("log", nonpositive="clip")
        drawn, diverged, stars, seeds = [], [], [], set()
        for i, (label, pair) in enumerate(results.items()):
            rates, values = canvas.sweep(label, *pair)
            values = np.where(values <= (np.inf if ceiling is None else ceiling), values, np.inf)
            diverged.append((rates, 1 - np.isfinite(values).mean(axis=1)))
            values = values - (0.0 if optimum is None else optimum)
            low, middle, high = canvas.quantiles(values, (0.25, 0.5, 0.75), axis=1)
            drawn.append(middle)
            look = canvas.style_of(i)
            if values.shape[1] > 1:
                seeds.add(values.shape[1])
                canvas.draw_band(axes, rates, low, high, look["color"])
            axes.plot(rates, middle, label=label, marker="o", markersize=4, **look)
            best = int(np.argmin(middle))
            if np.isfinite(middle[best]):
                stars.append((rates[best], middle[best], look["color"]))
        every = np.concatenate([rates for rates, _ in diverged])
        margin = max((every.max() / every.min()) ** 0.04, 1.1)
        axes.set_xlim(every.min() / margin, every.max() * margin)
        axes.set(xlabel="learning rate", ylim=canvas.limits_of(drawn, log=True))
        axes.set_ylabel(ylabel if optimum is None else f"{ylabel} − optimum")
        canvas.draw_diverged(axes, diverged)
        for i, (x, y, color) in enumerate(stars):
            below = sum(np.allclose((x, y), other[:2], rtol=0.05) for other in stars[:i])
            look: dict[str, Any] = {
                "markeredgecolor": "white",
                "linestyle": "none",
                "zorder": 5 + below,
            }
            look["markeredgewidth"] = 1 / (1 + below)
            axes.plot(x, y, "*", color=color, markersize=15 * 0.5**below, **look)
        title = f"median, quartiles of {canvas.range_of(seeds)} seeds" if seeds else None
        labels.draw_legend(figure, axes, own=ax is None, outside="right", title=title)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Writes a figure as PNG, PDF or SVG; a reader sees the old file or the whole new one.

    Args:
        figure: What the functions of this module return.
        path: Where to write, ending in .png, .pdf or .svg; the folder must exist. A PNG has twice
            the pixels that a notebook shows.

    Returns:
        The path.

    Raises:
        ValueError: If the path ends in none of these.
    """
    path = Path(path)
    form = path.suffix.lower().removeprefix(".")
    if form not in ("png", "pdf", "svg"):
        raise ValueError(f"save: path must end in .png, .pdf or .svg, got {str(path)!r}.")
    picture = canvas.picture(figure, form)
    with replacing(path) as file:
        file.write(picture)
    return path

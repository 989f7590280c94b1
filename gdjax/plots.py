"""Pictures of schedules, losses, paths on a landscape and sweeps over the learning rate.

Every function returns a `matplotlib.figure.Figure`, which a notebook shows by itself and `save`
writes to a file. Nothing here touches pyplot: no global state, no window, nothing to close.
matplotlib is imported when a picture is made; it comes with `pip install "gdjax[lab]"`.
"""

from __future__ import annotations

__all__ = ["losses", "paths", "save", "schedules", "sensitivity"]

import contextlib
import functools
import io
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colours of Okabe and Ito, which colour-blind readers tell apart; a grey stands for their
# yellow, which is lost on white. From the ninth curve on the line style changes.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#888888")
_LINES = ("-", "--", ":", "-.")
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.labelcolor": "#222222",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 120,
    "font.size": 10,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "none",
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}
_LABEL_WIDTH = 60


def schedules(
    schedules: Mapping[str, Callable[..., Any]] | Sequence[Callable[..., Any]],
    steps: int,
    ax: Axes | None = None,
) -> Figure:
    """Draws schedules against the step.

    Args:
        schedules: Functions of the step by label, or a sequence of them, which label themselves
            by how they print.
        steps: Last step; each schedule is called on the integers from 0 to `steps`.
        ax: Axes to draw on; by default those of a new figure.

    Raises:
        ValueError: If `steps` is not positive, if there is nothing to draw, or if a schedule gives
            anything but one number a step.
    """
    if steps < 1:
        raise ValueError(f"schedules: steps must be 1 or more, got {steps}.")
    named = isinstance(schedules, Mapping)
    pairs = list(schedules.items()) if named else [(_label(s), s) for s in schedules]
    _require_some("schedules", pairs)
    at = jnp.arange(steps + 1)
    with _canvas(ax, (6.4, 3.8)) as (figure, axes):
        for i, (label, schedule) in enumerate(pairs):
            # vmap, since a schedule that branches with lax.cond takes only one step at a time.
            values = _floats(jax.vmap(lambda t, f=schedule: jnp.asarray(f(t)))(at))
            _require_shape("schedules", label, values, values.shape == (steps + 1,), "[]")
            axes.plot(np.arange(steps + 1), values, label=label, **_look(i))
        axes.set(xlabel="step", ylabel="value", xlim=(0, steps))
        _legend(figure, axes, own=ax is None)
    return figure


def losses(
    curves: Mapping[str, Any],
    optimum: float | None = None,
    log: bool = True,
    *,
    band: str = "quartiles",
    ylabel: str = "loss",
    ax: Axes | None = None,
) -> Figure:
    """Draws losses against the step: the median of the runs, and a band about it.

    A run that is no longer finite counts as infinitely high, so a median that leaves the picture
    says that half of the runs diverged. On a logarithmic axis a curve that falls out of the
    picture has reached zero.

    Args:
        curves: Losses by label: arrays `[steps]` of one run or `[runs, steps]` of several.
        optimum: Least loss; if given, the distance from it is drawn.
        log: Whether the loss axis is logarithmic.
        band: "quartiles" for the middle half of the runs or "range" for all of them. (Not the
            standard deviation: on a logarithmic axis mean minus deviation often is negative.)
        ylabel: What was measured, with its unit if it has one.
        ax: Axes to draw on; by default those of a new figure.

    Raises:
        ValueError: If an array has another shape, there is nothing to draw or `band` is unknown.
    """
    bands = {"quartiles": (0.25, 0.75), "range": (0.0, 1.0)}
    if band not in bands:
        raise ValueError(f"losses: band must be one of {', '.join(bands)}, got {band!r}.")
    _require_some("losses", curves)
    with _canvas(ax, (6.4, 4.2)) as (figure, axes):
        axes.set_yscale("log", nonpositive="clip") if log else None
        drawn, runs = [], set()
        for i, (label, values) in enumerate(curves.items()):
            values = _floats(values)
            good = values.ndim in (1, 2) and values.size > 0
            _require_shape("losses", label, values, good, "[steps] or [runs, steps]")
            values = np.atleast_2d(values) - (0.0 if optimum is None else optimum)
            low, high = bands[band]
            low, middle, high = _quantiles(values, (low, 0.5, high), axis=0)
            at = np.arange(values.shape[1])
            if len(values) > 1:
                runs.add(len(values))
                _band(axes, at, low, high, _look(i)["color"])
            axes.plot(at, middle, label=label, **_look(i))
            drawn.append(middle)
        axes.set(xlabel="step", ylabel=ylabel if optimum is None else f"{ylabel} − optimum")
        axes.set(xlim=(0, max(*map(len, drawn), 2) - 1), ylim=_limits(drawn, log))
        title = f"median, {band} of {_count(runs)} runs" if runs else None
        _legend(figure, axes, own=ax is None, title=title)
    return figure


def paths(
    fun: Callable[[Any], Any],
    paths: Mapping[str, Any],
    box: tuple[float, float, float, float] | None = None,
    minimizer: Any = None,
    *,
    ax: Axes | None = None,
) -> Figure:
    """Draws what optimizers did on the contour lines of a function of two numbers.

    Contour levels are in equal ratios of the height above the lowest point, so narrow valleys
    show. A ring marks where a path starts, a dot where it ends; what is not finite is left out.

    Args:
        fun: Function of a vector `[2]` giving a scalar; called under `vmap`.
        paths: Parameters by label: arrays `[steps + 1, 2]`, the start first.
        box: Left, right, bottom and top of the picture; by default it holds every path, but of
            paths that run away only what is near the starts.
        minimizer: Vector `[2]` to mark with a star.
        ax: Axes to draw on; by default those of a new figure.

    Raises:
        ValueError: If an array has another shape, there is nothing to draw or the box is empty.
    """
    _require_some("paths", paths)
    points = {label: _floats(path) for label, path in paths.items()}
    for label, path in points.items():
        good = path.ndim == 2 and path.shape[1] == 2 and len(path) > 0
        _require_shape("paths", label, path, good, "[steps + 1, 2]")
    star = None if minimizer is None else _floats(minimizer)
    if star is not None:
        _require_shape("paths", "minimizer", star, star.shape == (2,), "[2]")
    box = _box(list(points.values()), star) if box is None else tuple(map(float, box))
    if not (box[0] < box[1] and box[2] < box[3]):
        raise ValueError(f"paths: box must be (left, right, bottom, top), got {box}.")
    with _canvas(ax, (6.4, 4.8)) as (figure, axes):
        _contours(axes, fun, box, star)
        for i, (label, path) in enumerate(points.items()):
            path = np.where(np.isfinite(path).all(axis=1, keepdims=True), path, np.nan)
            look = _look(i)
            axes.plot(*path.T, **look | {"linewidth": 3.4, "color": "white", "linestyle": "-"})
            dots = {"marker": "o", "markersize": 2.6} if len(path) <= 200 else {}
            axes.plot(*path.T, label=label, **look | {"linewidth": 1.5} | dots)
            ring = {"markerfacecolor": "white", "markeredgecolor": "#222222", "zorder": 4}
            axes.plot(*path[0], "o", markersize=6.5, **ring)
            end = path[np.isfinite(path[:, 0])][-1:]
            dot = {"color": look["color"], "markeredgecolor": "white", "zorder": 5}
            axes.plot(*end.T, "o", markersize=6.5, **dot)
        if star is not None:
            look = {"color": "#222222", "markeredgecolor": "white", "linestyle": "none"}
            axes.plot(*star, "*", markersize=13, label="minimum", zorder=6, **look)
        axes.set(xlabel="parameter 0", ylabel="parameter 1", xlim=box[:2], ylim=box[2:])
        if 0.4 < (box[3] - box[2]) / (box[1] - box[0]) < 2.5:
            axes.set_aspect("equal")  # then gradients are seen to stand upright on contour lines
        _legend(figure, axes, own=ax is None, outside=True)
    return figure


def sensitivity(
    results: Mapping[str, tuple[Any, Any]],
    optimum: float | None = None,
    *,
    ceiling: float | None = None,
    ylabel: str = "final loss",
    ax: Axes | None = None,
) -> Figure:
    """Draws the final loss against the learning rate: the median over seeds and its quartiles.

    A star marks the best median. A cross in the strip along the top, one row for each label, marks
    a rate at which runs diverged: the fainter, the fewer of them. In medians and quartiles these
    runs count as infinitely high.

    Args:
        results: By label, the learning rates `[R]`, positive and in any order, and the final
            losses `[R, seeds]`.
        optimum: Least loss; if given, the distance from it is drawn.
        ceiling: Final losses above it count as diverged too; the loss at the start is a good
            choice. By default only those that are not finite.
        ylabel: What was measured, with its unit if it has one.
        ax: Axes to draw on; by default those of a new figure.

    Raises:
        ValueError: If an array has another shape, a rate is not positive or there is nothing to
            draw.
    """
    _require_some("sensitivity", results)
    with _canvas(ax, (6.4, 4.4)) as (figure, axes):
        axes.set_xscale("log")
        axes.set_yscale("log", nonpositive="clip")
        drawn, diverged, seeds = [], [], set()
        for i, (label, pair) in enumerate(results.items()):
            rates, values = _sweep(label, *pair)
            values = np.where(values <= (np.inf if ceiling is None else ceiling), values, np.inf)
            diverged.append((rates, 1 - np.isfinite(values).mean(axis=1)))
            values = values - (0.0 if optimum is None else optimum)
            low, middle, high = _quantiles(values, (0.25, 0.5, 0.75), axis=1)
            drawn.append(middle)
            look = _look(i)
            if values.shape[1] > 1:
                seeds.add(values.shape[1])
                _band(axes, rates, low, high, look["color"])
            axes.plot(rates, middle, label=label, marker="o", markersize=4, **look)
            best = int(np.argmin(middle))
            star = {"markersize": 15, "markeredgecolor": "white", "linestyle": "none", "zorder": 5}
            if np.isfinite(middle[best]):
                axes.plot(rates[best], middle[best], "*", color=look["color"], **star)
        axes.set(xlabel="learning rate", ylim=_limits(drawn, log=True))
        axes.set_ylabel(ylabel if optimum is None else f"{ylabel} − optimum")
        _diverged_strip(axes, diverged)
        title = f"median, quartiles of {_count(seeds)} seeds" if seeds else None
        _legend(figure, axes, own=ax is None, title=title)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Writes a figure as PNG; whoever reads the path sees the old file or the whole new one.

    Args:
        figure: What the functions of this module return.
        path: Where to write, ending in .png; the folder must exist.

    Returns:
        The path.

    Raises:
        ValueError: If the path does not end in .png.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"save: path must end in .png, got {str(path)!r}.")
    # In the same folder, since replacing is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(_png(figure))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


@contextlib.contextmanager
def _canvas(ax: Axes | None, size: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    """The style of this module about a figure and its axes: new ones, or those handed in."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        message = 'plots: pictures need matplotlib; run pip install "gdjax[lab]".'
        raise ImportError(message) from error
    with matplotlib.rc_context(_STYLE):
        if ax is not None:
            yield ax.get_figure(root=True), ax
            return
        figure = Figure(figsize=size, layout="constrained")
        # Notebooks know how to show a Figure only once pyplot is loaded; this shows it without.
        figure._repr_png_ = functools.partial(_png, figure)
        yield figure, figure.add_subplot()


def _look(i: int) -> dict[str, Any]:
    style = _LINES[i // len(_COLORS) % len(_LINES)]
    return {"color": _COLORS[i % len(_COLORS)], "linestyle": style}


def _label(schedule: Any) -> str:
    text = str(schedule)
    if text.startswith("<"):  # a plain function, which prints as its address
        text = getattr(schedule, "__name__", text)
    return text if len(text) <= _LABEL_WIDTH else text[: _LABEL_WIDTH - 1] + "…"


def _floats(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def _require_some(function: str, given: Any) -> None:
    if not len(given):
        raise ValueError(f"{function}: there must be at least one thing to draw, got {given!r}.")


def _require_shape(function: str, label: str, values: Any, good: Any, expected: str) -> None:
    if not good:
        shape = list(values.shape)
        raise ValueError(f"{function}: {label} must have shape {expected}, got {shape}.")


def _sweep(label: str, rates: Any, values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rates [R] in rising order and their losses [R, seeds], both checked."""
    rates, values = _floats(rates), _floats(values)
    _require_shape("sensitivity", f"rates of {label}", rates, rates.ndim == 1 and rates.size, "[R]")
    good = values.ndim == 2 and len(values) == len(rates) and values.size > 0
    expected = f"[{len(rates)}, seeds]"
    _require_shape("sensitivity", f"losses of {label}", values, good, expected)
    if not (rates > 0).all():
        raise ValueError(f"sensitivity: rates of {label} must be positive, got {rates.min():g}.")
    order = np.argsort(rates)
    return rates[order], values[order]


def _count(counts: set[int]) -> str:
    return "–".join(map(str, sorted({min(counts), max(counts)})))


def _quantiles(values: np.ndarray, q: tuple[float, ...], axis: int) -> np.ndarray:
    """Quantiles that count what is not finite as infinitely high."""
    values = np.where(np.isfinite(values), values, np.inf)
    with np.errstate(invalid="ignore"):
        found = np.quantile(values, q, axis=axis)
    # Between a number and infinity, and between two infinities, interpolation gives NaN.
    return np.where(np.isnan(found), np.inf, found)


def _limits(curves: list[np.ndarray], log: bool) -> tuple[float, float] | None:
    """Limits that keep curves readable when one reaches zero and another one explodes."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not values.size:
        return None
    low, high = values.min(), values.max()
    if log:
        low = max(low, 1e-16 * high)
        margin = max((high / low) ** 0.04, 1.1)
        return low / margin, high * margin
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _band(axes: Axes, at: np.ndarray, low: np.ndarray, high: np.ndarray, color: str) -> None:
    # matplotlib drops what is infinite; a far but finite edge lets the band leave the picture.
    edges = np.concatenate([low, high])
    far = 1e3 * max(np.abs(edges[np.isfinite(edges)]).max(initial=0.0), 1e-30)
    low, high = np.minimum(low, far), np.minimum(high, far)
    axes.fill_between(at, low, high, color=color, alpha=0.18, linewidth=0)


def _diverged_strip(axes: Axes, diverged: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Crosses above the curves, in a strip made free by raising the upper limit."""
    if not any(share.any() for _, share in diverged):
        return
    row = 0.045
    height = row * (len(diverged) + 0.5)
    low, high = axes.get_ylim()
    top = low * (high / low) ** (1 / (1 - height))
    axes.set_ylim(low, top)
    axes.axhspan(high, top, color="#F1F1F1", linewidth=0, zorder=0.5)
    place = {"transform": axes.transAxes, "va": "center", "color": "#555555", "fontsize": 9}
    axes.text(1.01, 1 - height / 2, "diverged", **place)
    for i, (rates, share) in enumerate(diverged):
        rates, share = rates[share > 0], share[share > 0]
        rows = np.full(len(rates), 1 - row * (i + 0.75))
        look = {"color": _look(i)["color"], "marker": "x", "s": 26, "linewidths": 1.6}
        where = axes.get_xaxis_transform()
        axes.scatter(rates, rows, alpha=0.25 + 0.75 * share, transform=where, **look)


def _box(points: list[np.ndarray], star: np.ndarray | None) -> tuple[float, float, float, float]:
    """The smallest box, not too slender, about the paths: all but what has run away."""
    every = np.concatenate(points if star is None else [*points, star[None]])
    every = every[np.isfinite(every).all(axis=1)]
    if not len(every):
        return -1.0, 1.0, -1.0, 1.0
    center = np.median(every, axis=0) if star is None else star
    starts = np.stack([path[0] for path in points])
    reach = np.max(np.abs(starts[np.isfinite(starts).all(axis=1)] - center), initial=0.0) or 1.0
    every = every[(np.abs(every - center) <= 2 * reach).all(axis=1)]
    low, high = every.min(axis=0), every.max(axis=0)
    middle, half = (low + high) / 2, 0.56 * (high - low)
    half = np.maximum(half, np.array([1.0, 0.7]) * max(half.max(), 1e-3 * reach))
    (left, bottom), (right, top) = middle - half, middle + half
    return float(left), float(right), float(bottom), float(top)


def _contours(axes: Axes, fun: Callable[[Any], Any], box: Any, star: np.ndarray | None) -> None:
    """Filled contour lines in equal ratios of the height above the lowest point."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    x, y = np.meshgrid(np.linspace(*box[:2], 240), np.linspace(*box[2:], 180))
    grid = jnp.stack([jnp.asarray(x, float), jnp.asarray(y, float)], axis=-1)
    height = _floats(jax.vmap(jax.vmap(fun))(grid))
    _require_shape("paths", "fun at each point", height[0, 0], height.shape == x.shape, "[]")
    height = np.ma.masked_invalid(height)
    lowest = height.min() if star is None else min(height.min(), float(fun(jnp.asarray(star))))
    height = height - lowest
    highest = height.max()
    if np.ma.is_masked(highest) or not highest > 0:
        return  # flat, or nowhere finite: there are no lines to draw
    # The lowest line closes about a five-hundredth of the picture.
    first = np.quantile(height.compressed(), 0.002)
    levels = np.geomspace(max(first, 1e-6 * highest), highest, 15)
    pale = LinearSegmentedColormap.from_list("pale", ["#FFFFFF", "#E3E9EF", "#B4C1CE"])
    height = np.ma.maximum(height, 0.5 * levels[0])  # zero has no place on a logarithmic scale
    shade = {"levels": levels, "norm": LogNorm(levels[0], levels[-1]), "cmap": pale}
    axes.contourf(x, y, height, extend="min", zorder=0, **shade)
    axes.contour(x, y, height, levels, colors="#8797A7", linewidths=0.5, zorder=0.1)
    axes.grid(False)


def _legend(
    figure: Figure, axes: Axes, own: bool, *, outside: bool = False, title: str | None = None
) -> None:
    """A legend in the emptiest corner; beside or below the axes where there is much to read."""
    handles, labels = axes.get_legend_handles_labels()
    longest = max(map(len, labels))
    given = {"title": title, "title_fontsize": 9, "alignment": "left"}
    if own and longest > 24:
        figure.legend(handles, labels, loc="outside lower center", **given)
    elif own and (outside or len(labels) > 5):
        figure.legend(handles, labels, loc="outside right upper", **given)
    else:
        axes.legend(handles, labels, loc="best", **given)

"""Elements of plots: style, axes, bands and limits."""

from __future__ import annotations

__all__ = [
    "box_about",
    "draw_band",
    "draw_contours",
    "draw_diverged",
    "drawing",
    "floats",
    "integer_steps",
    "limits_of",
    "picture",
    "png",
    "quantiles",
    "range_of",
    "require_shape",
    "require_some",
    "style",
    "style_of",
    "sweep",
]

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colours of Okabe and Ito, which colour-blind readers distinguish; a grey stands for their
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
SHARP = 2  # pixels of a file for one of a notebook: screens of twice the density show each


def style() -> dict[str, Any]:
    """The style of these pictures, as matplotlib's rcParams: for figures of your own.

    It has the colours, which colour-blind readers distinguish, pale grids behind the curves and no
    frame. Write `plt.style.use(gd.plots.style())`, or `with plt.rc_context(gd.plots.style()):`.
    """
    try:
        from cycler import cycler
    except ImportError as error:
        raise _no_matplotlib() from error
    return _STYLE | {"axes.prop_cycle": cycler(color=_COLORS)}


def _no_matplotlib() -> ImportError:
    return ImportError('plots: pictures need matplotlib; run pip install "gdjax[lab]".')


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file, as a notebook shows it."""
    return picture(figure, "png", scale=1)


def picture(figure: Figure, form: str, scale: int = SHARP) -> bytes:
    """The figure as the bytes of a PNG, PDF or SVG file; equal figures have equal bytes."""
    buffer = io.BytesIO()
    no_date: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    how: Any = {"dpi": scale * figure.dpi} if form == "png" else {"metadata": no_date[form]}
    figure.savefig(buffer, format=form, **how)
    return buffer.getvalue()


@contextlib.contextmanager
def drawing(ax: Axes | None, size: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    """The style of this module about a figure and its axes: new ones, or those handed in."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise _no_matplotlib() from error
    with matplotlib.rc_context(style()):
        if ax is not None:
            yield cast("Figure", ax.get_figure(root=True)), ax
            return
        # The constrained layout, in the form that also reckons with axes of equal aspect.
        figure = Figure(figsize=size, layout="compressed")
        # Notebooks know how to show a Figure only once pyplot is loaded; this shows it without.
        cast(Any, figure)._repr_png_ = functools.partial(png, figure)
        yield figure, figure.add_subplot()


def style_of(i: int) -> dict[str, Any]:
    """Colour and line style of the i-th curve."""
    style = _LINES[i // len(_COLORS) % len(_LINES)]
    return {"color": _COLORS[i % len(_COLORS)], "linestyle": style}


def floats(values: Any) -> np.ndarray:
    """An array of any kind as NumPy float64."""
    return np.asarray(values, dtype=np.float64)


def require_some(function: str, given: Any) -> None:
    """Raises ValueError if nothing was given."""
    if not len(given):
        raise ValueError(f"{function}: there must be at least one thing to draw, got none.")


def require_shape(function: str, label: str, values: Any, good: Any, expected: str) -> None:
    """Raises ValueError with the shape that was got, unless it is good."""
    if not good:
        shape = list(values.shape)
        raise ValueError(f"{function}: {label} must have shape {expected}, got {shape}.")


def sweep(label: str, rates: Any, values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rates [R] in rising order and their losses [R, seeds], both checked."""
    rates, values = floats(rates), floats(values)
    require_shape("sensitivity", f"rates of {label}", rates, rates.ndim == 1 and rates.size, "[R]")
    good = values.ndim == 2 and len(values) == len(rates) and values.size > 0
    expected = f"[{len(rates)}, seeds]"
    require_shape("sensitivity", f"losses of {label}", values, good, expected)
    if not (rates > 0).all():
        raise ValueError(f"sensitivity: rates of {label} must be positive, got {rates.min():g}.")
    order = np.argsort(rates)
    return rates[order], values[order]


def range_of(counts: set[int]) -> str:
    """Counts as text: "8", or "4–8" where they differ."""
    return "–".join(map(str, sorted({min(counts), max(counts)})))


def quantiles(values: np.ndarray, q: tuple[float, ...], axis: int) -> list[np.ndarray]:
    """Quantiles with non-finite values as infinite."""
    values = np.where(np.isfinite(values), values, np.inf)
    values = np.moveaxis(np.sort(values, axis=axis), axis, 0)
    found = []
    for place in (part * (len(values) - 1) for part in q):
        # np.quantile says NaN wherever a neighbour is infinite, also one of no weight.
        below, weight = int(place), place % 1
        value = values[below]
        found.append((1 - weight) * value + weight * values[below + 1] if weight else value)
    return found


def limits_of(
    curves: list[np.ndarray], log: bool, start: float = np.inf
) -> tuple[float, float] | None:
    """Limits that keep curves readable if one reaches zero and another diverges."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not values.size:
        return None
    low, high = values.min(), values.max()
    if 0 < start < np.inf:
        high = min(high, max(1e3 * start, low))
    if log:
        low = max(low, 1e-16 * high)
        margin = max((high / low) ** 0.04, 1.1)
        return low / margin, high * margin
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def number_plainly(axes: Axes) -> None:
    """Where a logarithmic axis shows about one power of ten: 2, 2.5, 3, each with its grid line."""
    from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

    low, high = axes.get_ylim()
    if high < 10 * low and 1e-3 < low and high < 1e4:
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def integer_steps(axes: Axes) -> None:
    """Ticks of the steps at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))


def draw_band(axes: Axes, at: np.ndarray, low: np.ndarray, high: np.ndarray, color: str) -> None:
    """Shades the band between two curves."""
    # matplotlib drops what is infinite; a far but finite edge lets the band leave the picture.
    edges = np.concatenate([low, high])
    far = 1e3 * max(np.abs(edges[np.isfinite(edges)]).max(initial=0.0), 1e-30)
    low, high = np.minimum(low, far), np.minimum(high, far)
    axes.fill_between(at, low, high, color=color, alpha=0.18, linewidth=0)


def draw_diverged(axes: Axes, diverged: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Draws crosses for diverged runs in a strip above the curves."""
    if not any(share.any() for _, share in diverged):
        return
    row = 0.045
    rows = [i for i, (_, share) in enumerate(diverged) if share.any()]
    height = row * (len(rows) + 0.5)
    low, high = axes.get_ylim()
    top = low * (high / low) ** (1 / (1 - height))
    axes.set_ylim(low, top)
    axes.axhspan(high, top, color="#F1F1F1", linewidth=0, zorder=1.5)
    place = {"transform": axes.transAxes, "va": "bottom", "ha": "right", "fontsize": 9}
    axes.text(1, 1.005, "diverged", color="#555555", **place)
    for place_in_strip, i in enumerate(rows):
        rates, share = (values[diverged[i][1] > 0] for values in diverged[i])
        at = np.full(len(rates), 1 - row * (place_in_strip + 0.75))
        look: dict[str, Any] = {"marker": "x", "s": 26, "linewidths": 1.6, "zorder": 3}
        look |= {"color": style_of(i)["color"], "alpha": 0.25 + 0.75 * share}
        axes.scatter(rates, at, transform=axes.get_xaxis_transform(), **look)


def box_about(
    points: list[np.ndarray], star: np.ndarray | None
) -> tuple[float, float, float, float]:
    """The smallest box, not too narrow, around the paths without diverged points."""
    every = np.concatenate(points if star is None else [*points, star[None]])
    every = every[np.isfinite(every).all(axis=1)]
    if not len(every):
        return -1.0, 1.0, -1.0, 1.0
    center = np.median(every, axis=0) if star is None else star
    starts = np.stack([path[0] for path in points])
    reach = np.max(np.abs(starts[np.isfinite(starts).all(axis=1)] - center), initial=0.0) or 1.0
    every = every[(np.abs(every - center) <= 1.5 * reach).all(axis=1)]
    low, high = every.min(axis=0), every.max(axis=0)
    middle, half = (low + high) / 2, 0.56 * (high - low)
    half = np.maximum(half, np.array([1.0, 0.7]) * max(half.max(), 1e-3 * reach))
    (left, bottom), (right, top) = middle - half, middle + half
    return float(left), float(right), float(bottom), float(top)


def draw_contours(axes: Axes, fun: Callable[[Any], Any], box: Any, star: np.ndarray | None) -> None:
    """Filled contour lines in equal ratios of the height above the minimum."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    left, right, bottom, top = box
    x, y = np.meshgrid(np.linspace(left, right, 240), np.linspace(bottom, top, 180))
    grid = jnp.stack([jnp.asarray(x, float), jnp.asarray(y, float)], axis=-1)
    height = floats(jax.vmap(jax.vmap(fun))(grid))
    require_shape("paths", "fun at each point", height[0, 0], height.shape == x.shape, "[]")
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

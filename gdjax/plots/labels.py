"""Which curve is which: legends, names at line ends, curves that hide each other, marks."""

from __future__ import annotations

__all__ = [
    "draw_legend",
    "label_ends",
    "mark_lost",
    "mark_target",
    "of_schedules",
    "tell_apart",
]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_LABEL_WIDTH = 60
_DASH = 3  # in widths of the line
_CROSSING = 24  # pixels
_GREY = "#555555"


def of_schedules(schedules: Sequence[Any]) -> list[str]:
    """How schedules print; of long ones of one kind only the arguments in which they differ."""
    texts = [_text(schedule) for schedule in schedules]
    if all(len(text) <= _LABEL_WIDTH for text in texts):
        return texts
    return [_cut(_differing(schedule, schedules, text)) for schedule, text in zip(schedules, texts)]


def _text(schedule: Any) -> str:
    text = str(schedule)
    if text.startswith("<"):  # a plain function, which prints as its address
        text = getattr(schedule, "__name__", text)
    return text


def _cut(text: str) -> str:
    return text if len(text) <= _LABEL_WIDTH else text[: _LABEL_WIDTH - 1] + "…"


def _differing(schedule: Any, schedules: Sequence[Any], text: str) -> str:
    """The call without the arguments that all schedules of its name share."""
    name, given = getattr(schedule, "name", None), getattr(schedule, "arguments", None)
    if name is None or not isinstance(given, dict):
        return text
    alike = [s.arguments for s in schedules if getattr(s, "name", None) == name]
    shown = [f"{k}={v}" for k, v in given.items() if any(a.get(k) != v for a in alike)]
    return f"{name}({', '.join(shown)})" if shown else name


def tell_apart(axes: Axes) -> list[list[Line2D]]:
    """Shows an earlier curve where a later one hides it: as dashes of its colour over the later.

    A curve is hidden where it lies within half of the width of the later one.

    Returns:
        The labelled curves; those that lie on each other everywhere stand together.
    """
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    same: list[list[Line2D]] = []
    for i, line in enumerate(lines):
        covered = [_together(line, later, at=line) for later in lines[i + 1 :]]
        top = ~np.any([np.zeros(len(_pixels(line)), bool), *covered], axis=0)
        hidden = [(other, _together(other, line, at=line) & top) for other in lines[:i]]
        hidden = [(other, where) for other, where in hidden if where.any()]
        for k, (other, where) in enumerate(hidden, 1):
            _draw_dashes(axes, line, other, where, (-_DASH * k, (_DASH, _DASH * len(hidden))))
        equal = [group for group in same if _equal(group[0], line)]
        equal[0].append(line) if equal else same.append([line])
    return same


def _draw_dashes(axes: Axes, line: Line2D, hidden: Line2D, where: np.ndarray, dashes: Any) -> None:
    points = np.where(where[:, None], np.asarray(line.get_xydata(), float), np.nan)
    look: dict[str, Any] = {"color": hidden.get_color(), "linewidth": line.get_linewidth()}
    look |= {"marker": line.get_marker(), "markersize": line.get_markersize() / 2}
    look |= {"linestyle": dashes, "dash_capstyle": "butt", "zorder": line.get_zorder()}
    axes.plot(*points.T, label="_hidden", **look)


def _pixels(line: Line2D) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(line.get_transform().transform(line.get_xydata()))


def _near(first: Line2D, second: Line2D) -> np.ndarray:
    """Whether the second curve hides the first, at the points that both have."""
    a, b = _pixels(first), _pixels(second)
    count = min(len(a), len(b))
    width = second.get_linewidth() * cast("Any", second).axes.figure.dpi / 72
    with np.errstate(invalid="ignore"):
        return np.asarray((abs(a[:count] - b[:count]) < width / 2).all(axis=1))


def _together(first: Line2D, second: Line2D, *, at: Line2D) -> np.ndarray:
    """The same at all points of a curve, without the short ways over which two curves cross."""
    points = _pixels(at)
    near = np.zeros(len(points), bool)
    found = _near(first, second)
    near[: len(found)] = found
    edges = np.flatnonzero(np.diff(np.r_[False, near, False]))
    for start, end in zip(edges[::2], edges[1::2]):
        way = np.hypot(*np.diff(points[start:end], axis=0).T).sum()
        near[start:end] = way > _CROSSING
    return near


def _equal(first: Line2D, second: Line2D) -> bool:
    """Whether two curves lie on each other wherever one of them is drawn."""
    drawn = [np.asarray(np.isfinite(_pixels(line)).all(axis=1)) for line in (first, second)]
    if len(drawn[0]) != len(drawn[1]) or not drawn[0].any():
        return False
    return bool(_near(first, second)[drawn[0] | drawn[1]].all())


def draw_legend(
    figure: Figure, axes: Axes, own: bool, *, outside: str = "", title: str | None = None
) -> None:
    """A legend in the emptiest corner; beside or below the axes where there is much to read.

    Curves that lie on each other have one entry, "adam = muon".

    Args:
        figure: The figure.
        axes: The axes whose curves are named.
        own: Whether the figure has no other axes, so that there is room about them.
        outside: "right" or "below" for a legend that must cover nothing.
        title: A line above the entries.
    """
    from matplotlib.legend_handler import HandlerTuple

    groups = tell_apart(axes)
    labels = [_joined(group) for group in groups]
    handles: list[Any] = [group[0] if len(group) == 1 else _in_turns(group) for group in groups]
    lines = {line for group in groups for line in group}
    for handle, label in zip(*axes.get_legend_handles_labels()):
        if handle not in lines:  # no curve but a band, or what a user has drawn before
            handles.append(handle)
            labels.append(label)
    longest = max(map(len, labels))
    given: dict[str, Any] = {"title": title, "title_fontsize": 9, "alignment": "left"}
    given["handlelength"] = 2.6  # shows two dashes
    given["handler_map"] = {tuple: HandlerTuple(ndivide=1, pad=0)}
    if own and (longest > 24 or outside == "below"):
        columns = max(1, min(len(labels), 72 // (longest + 6)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, **given)
    elif own and (outside or len(labels) > 5):
        beside: dict[str, Any] = {"bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
        axes.legend(handles, labels, loc="upper left", **beside, **given)
    else:
        axes.legend(handles, labels, loc="best", **given)


def _in_turns(group: Sequence[Line2D]) -> tuple[Line2D, ...]:
    """For the legend: the curve on top, and dashes of those that it hides."""
    from matplotlib.lines import Line2D

    *hidden, top = group
    dashes = [(-_DASH * k, (_DASH, _DASH * len(hidden))) for k in range(1, len(group))]
    look: dict[str, Any] = {"linewidth": top.get_linewidth(), "dash_capstyle": "butt"}
    over = [
        Line2D([], [], color=line.get_color(), linestyle=dash, **look)
        for line, dash in zip(hidden, dashes)
    ]
    return (top, *over)


def _joined(group: Sequence[Line2D]) -> str:
    return " = ".join(str(line.get_label()) for line in group)


def label_ends(figure: Figure, axes: Axes, title: str | None = None) -> None:
    """Names the curves at their ends: beside the axes, or below an end that lies inside."""
    from matplotlib.patheffects import withStroke

    texts = []
    right = axes.get_xlim()[1]
    for group in tell_apart(axes):
        points = np.asarray(group[0].get_xydata())
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            continue
        end, color = tuple(points[-1]), group[0].get_color()
        axes.plot(*end, "o", markersize=4, color=color, clip_on=False, zorder=5)
        inside = end[0] < right - 0.02 * (right - axes.get_xlim()[0])
        how: dict[str, Any] = {"ha": "center", "va": "top"} if inside else {"va": "center"}
        how |= {"xytext": (0, -6) if inside else (7, 0), "textcoords": "offset points"}
        white = [withStroke(linewidth=3, foreground="white")]
        how |= {"path_effects": white, "annotation_clip": False, "zorder": 6, "fontsize": 9}
        texts.append(axes.annotate(_joined(group), end, color=color, **how))
    figure.draw_without_rendering()  # decides the layout, and so what overlaps
    placed: list[Any] = []
    for text in sorted(texts, key=lambda t: -t.get_window_extent().y1):
        box = text.get_window_extent()
        down = 0.0
        for other in placed:  # from the top down
            if box.translated(0, -down).overlaps(other):
                down = box.y1 - other.y0 + 1
        x, y = text.get_position()
        text.set_position((x, y - down * 72 / figure.dpi))
        placed.append(box.translated(0, -down))
    if title:
        axes.text(1, 1.01, title, ha="right", va="bottom", fontsize=9, transform=axes.transAxes)


def mark_lost(axes: Axes, curves: Sequence[tuple[np.ndarray, str]]) -> None:
    """A cross at the upper edge at the step from which on a curve is no longer in the picture.

    Args:
        axes: The axes, with their limits.
        curves: The values of each curve by step, and its colour.
    """
    top, lost = axes.get_ylim()[1], []
    for values, color in curves:
        seen = np.flatnonzero(np.isfinite(values) & (values <= top))
        step = seen[-1] + 1 if seen.size else 0
        if step == len(values):
            continue
        look: dict[str, Any] = {"marker": "x", "markersize": 6, "markeredgewidth": 1.8}
        look |= {"color": color, "clip_on": False, "zorder": 5, "linestyle": "none"}
        row = sum(abs(step - other) < 0.03 * axes.get_xlim()[1] for other in lost)
        place = {"transform": axes.get_xaxis_transform(), "label": "_diverged"}
        axes.plot(step, 0.975 - 0.045 * row, **place, **look)
        lost.append(step)


def mark_target(axes: Axes, target: float) -> None:
    """A dashed line at a loss to reach, named; nothing where it lies outside of the axes."""
    low, high = axes.get_ylim()
    if not low < target < high:
        return
    axes.axhline(target, color=_GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    place = {"transform": axes.get_yaxis_transform(), "va": "bottom", "in_layout": False}
    axes.text(0.01, target, f"target {target:.4g}", color=_GREY, fontsize=9, **place)

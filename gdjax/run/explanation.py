"""The table that `explain` makes: equal rows folded, schedules below it, as text, rich and HTML."""

from __future__ import annotations

import dataclasses
import html
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from gdjax.core.data.schedule import Live

__all__: list[str] = []  # `Explanation` is public as of `explain`

_NARROWEST = 16  # characters to which a column of names is cut
_SPARED = ("dtype", "sharding", "shape", "group")  # columns that a narrow terminal does without


@dataclasses.dataclass
class Line:
    """What an optimizer does with one parameter."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    group: str = ""  # the labels and names of stages through which it goes
    rates: dict[tuple[str, ...], Any] = dataclasses.field(default_factory=dict)  # by who has them
    decays: dict[tuple[str, ...], Any] = dataclasses.field(default_factory=dict)
    state_bytes: int = 0
    sharding: str = ""
    trained: bool = False  # whether any transformation gets it

    @property
    def learning_rate(self) -> Any:
        """A number, a schedule or a live value; a list of them if more than one stage has one."""
        return _one_or_all(self.rates)

    @property
    def weight_decay(self) -> Any:
        """The same of the decay; None where the parameter does not decay."""
        return _one_or_all(self.decays)

    def numbers(self, legend: Legend) -> tuple[str, str]:
        """Rate and decay, as they stand in the table."""
        if not self.trained:
            return "", ""
        rate = " · ".join(map(legend.number, self.rates.values()))
        return rate, " + ".join(filter(None, map(legend.number, self.decays.values())))


class Legend:
    """Schedules of a table by letter, in the order in which they come."""

    def __init__(self) -> None:
        self.schedules: list[Any] = []

    def number(self, value: Any) -> str:
        """A number, or where it begins and the letter of the schedule by which it moves."""
        if value is None or isinstance(value, str):
            return value or ""
        if isinstance(value, Live):
            return f"{self.number(value.arguments['value'])} (live)"
        if callable(value):
            if value not in self.schedules:
                self.schedules.append(value)
            first = self.number(value(jnp.zeros([], jnp.int32)))
            return f"{first} ({_letter(self.schedules.index(value))})"
        if jnp.ndim(value):
            return f"array {jnp.shape(value)}"
        return f"{float(value):.6g}"

    def notes(self) -> list[str]:
        """A line for each schedule."""
        return [f"({_letter(i)}) {schedule!r}" for i, schedule in enumerate(self.schedules)]


def _letter(i: int) -> str:
    return chr(ord("a") + i) if i < 26 else str(i)


@dataclasses.dataclass
class Table:
    """Rows of text under a head, and lines below: prints as text, as rich draws it, as HTML."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]

    def filled(self, without: Sequence[str] = ()) -> list[tuple[str, ...]]:
        """Head and rows, without the columns in which nothing stands, and those named."""
        keep = [
            name not in without and any(row[i] for row in self.rows)
            for i, name in enumerate(self.head)
        ]
        rows = [self.head, *self.rows]
        return [tuple(x for x, kept in zip(row, keep) if kept) for row in rows]

    def text(self, width: int | None = None) -> str:
        """The table in at most `width` columns: the start of long names is cut off.

        Where that does not do, the columns that matter least are left out.
        """
        rows, widths = self._sized((), width)
        for count in range(1, len(_SPARED) + 1):
            if width is None or sum(widths) + 2 * (len(widths) - 1) <= width:
                break
            rows, widths = self._sized(_SPARED[:count], width)
        cells = lambda row: [_end(row[0], widths[0]), *row[1:]] if row else []
        lines = ["  ".join(x.ljust(w) for x, w in zip(cells(row), widths)) for row in rows]
        notes = self.notes
        if width is not None:
            wrap = {"subsequent_indent": "    ", "break_long_words": False}
            notes = [part for note in notes for part in textwrap.wrap(note, width, **wrap)]
        return "\n".join([*map(str.rstrip, lines), *notes])

    def _sized(
        self, without: Sequence[str], width: int | None
    ) -> tuple[list[tuple[str, ...]], list[int]]:
        """Rows, and the widths of their columns; the first is cut where that helps."""
        rows = self.filled(without)
        widths = [max(map(len, column)) for column in zip(*rows)]
        if width is not None and widths:
            spare = width - sum(widths[1:]) - 2 * (len(widths) - 1)
            widths[0] = min(widths[0], max(spare, _NARROWEST))
        return rows, widths

    def __str__(self) -> str:
        """As text, no wider than the terminal."""
        return self.text(shutil.get_terminal_size().columns if sys.stdout.isatty() else None)

    __repr__ = __str__

    def __rich__(self) -> Any:
        """The table as rich draws it."""
        from rich.table import Table

        head, *rows = self.filled()
        table = Table(caption="\n".join(self.notes), caption_justify="left")
        for i, name in enumerate(head):
            table.add_column(name, no_wrap=i > 0, overflow="fold")
        for row in rows:
            table.add_row(*row)
        return table

    def _repr_html_(self) -> str:
        head, *rows = self.filled()
        cells = lambda row, tag: "".join(f"<{tag}>{html.escape(x)}</{tag}>" for x in row)
        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
        caption = f"<caption>{'<br>'.join(map(html.escape, self.notes))}</caption>"
        return f"<table>{caption}<thead><tr>{cells(head, 'th')}</tr></thead>{body}</table>"


def _end(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]


@dataclasses.dataclass
class Explanation:
    """The table that `explain` makes: prints as text, as a table of rich, as HTML in a notebook."""

    lines: list[Line]
    parameters: int  # entries of all parameters
    parameter_bytes: int
    state_bytes: int  # of all state, counts included

    @property
    def totals(self) -> str:
        """One sentence about all parameters."""
        frozen = sum(math.prod(line.shape) for line in self.lines if not line.trained)
        each = self.state_bytes / max(self.parameters, 1)
        return (
            f"{len(self.lines)} arrays, {self.parameters:,} parameters ({frozen:,} frozen) in "
            f"{self.parameter_bytes:,} bytes; state {self.state_bytes:,} bytes, "
            f"{each:.2f} a parameter"
        )

    def table(self) -> Table:
        """A row for each parameter; those that differ by numbers in their paths alone share one."""
        head = ("parameter", "shape", "dtype", "group", "learning rate", "decay", "state bytes")
        legend, rows = Legend(), []
        for line in self.lines:
            shape = f"({', '.join(map(str, line.shape))})"
            group = line.group if line.trained else "frozen"
            cells = (shape, line.dtype, group, *line.numbers(legend))
            rows.append((line.path, *cells, f"{line.state_bytes:,}", line.sharding))
        return Table((*head, "sharding"), _folded(rows), [*legend.notes(), self.totals])

    def by_group(self) -> Table:
        """A row for each group of parameters with one rate and decay, and its sums."""
        head = ("group", "learning rate", "decay", "arrays", "parameters", "state bytes")
        legend, sums = Legend(), {}
        for line in self.lines:
            group = (line.group or "all") if line.trained else "frozen"
            found = sums.setdefault((group, *line.numbers(legend)), [0, 0, 0])
            found[0] += 1
            found[1] += math.prod(line.shape)
            found[2] += line.state_bytes
        rows = [(*group, *(f"{x:,}" for x in found)) for group, found in sums.items()]
        return Table(head, rows, [*legend.notes(), self.totals])

    def __str__(self) -> str:
        """The table as text, no wider than the terminal."""
        return str(self.table())

    __repr__ = __str__

    def __rich__(self) -> Any:
        """The table as rich draws it."""
        return self.table().__rich__()

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _folded(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """One row for those that differ by numbers in their paths alone."""
    together: dict[tuple[str, ...], list[str]] = {}
    patterns: dict[str, set[tuple[str, ...]]] = {}
    for path, *cells in rows:
        pattern = re.sub(r"\d+", "*", path)
        together.setdefault((pattern, *cells), []).append(path)
        patterns.setdefault(pattern, set()).add(tuple(cells))
    folded: list[tuple[str, ...]] = []
    for (pattern, *cells), paths in together.items():
        name = paths[0] or "(bare array)"
        if len(paths) > 1:
            name = f"{_pattern(paths, whole=len(patterns[pattern]) == 1)} ×{len(paths)}"
        folded.append((name, *cells))
    return folded


def _pattern(paths: Sequence[str], *, whole: bool) -> str:
    """`blocks/*/bias`; with the numbers where others of this pattern are in another row."""
    split = [re.split(r"(\d+)", path) for path in paths]
    parts = []
    for same in zip(*split):
        values = list(dict.fromkeys(same))
        if len(values) == 1:
            parts.append(values[0])
        else:
            parts.append("*" if whole else f"{{{_ranges(sorted(map(int, values)))}}}")
    return "".join(parts)


def _ranges(numbers: Sequence[int]) -> str:
    """`0-2,5`."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ",".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def _one_or_all(found: dict[tuple[str, ...], Any]) -> Any:
    values = list(found.values())
    return values[0] if len(values) == 1 else values or None

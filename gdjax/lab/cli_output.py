"""What the commands share: the console, errors of a call in one line, progress."""

from __future__ import annotations

__all__ = ["Wrong", "console", "judged", "progress"]

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


class Wrong(Exception):
    """Something in the call is wrong, as its one line says."""


@contextlib.contextmanager
def judged() -> Iterator[None]:
    """Takes what the library says of its arguments as an error of the call.

    Messages of the library are one line; a longer one is an error to look into, with its trace.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        if "\n" in str(error):
            raise
        raise Wrong(str(error)) from error


def console(stderr: bool = False) -> Console:
    """The console; a file or a pipe has no edge at which a table must be cut."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = 10_000
    return made


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr with the time left; where that is no terminal, a line for each run."""
    shown = console(stderr=True)
    if not shown.is_terminal:
        yield _lines()
        return
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=shown, transient=True) as bar:
        task = bar.add_task("")
        yield lambda doing, done, total: bar.update(
            task, description=doing, completed=done, total=total
        )


def _lines() -> Callable[[str, int, int], None]:
    """Writes a line when a run ends: its name, the part of all steps that is done, the seconds."""
    begun, now = time.perf_counter(), [""]

    def write(doing: str, done: int, total: int) -> None:
        name = doing.removesuffix(": compiling")
        if now[0] and (name != now[0] or done >= total):
            spent = time.perf_counter() - begun
            print(
                f"{now[0]}: {100 * done // total} % in {spent:.0f} s", file=sys.stderr, flush=True
            )
        now[0] = "" if done >= total else name

    return write

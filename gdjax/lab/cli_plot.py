"""The command `gdjax plot`: a picture of schedules."""

from __future__ import annotations

__all__ = ["last_step", "options", "run"]

import argparse
from pathlib import Path
from typing import Any

from gdjax.lab.cli_output import judged


def options(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    command.add_argument("schedules", nargs="+", metavar="SCHEDULE", help="a quoted call")
    words = "the last step drawn; default: a tenth beyond the last step that a schedule names"
    command.add_argument("--steps", type=int, metavar="N", help=words)
    words = "where to write, a .png, .pdf or .svg; default: schedule.png"
    command.add_argument("--out", default="schedule.png", metavar="FILE", help=words)


def run(arguments: argparse.Namespace) -> None:
    """Draws the schedules."""
    from gdjax import plots
    from gdjax.core.data.schedule import Schedule
    from gdjax.core.rule import errors
    from gdjax.lab import catalogue
    from gdjax.lab.folder import folder

    path = Path(arguments.out)
    with judged():
        drawn: list[Any] = [catalogue.read(text) for text in arguments.schedules]
        for text, made in zip(arguments.schedules, drawn):
            if not isinstance(made, Schedule):
                errors.fail("plot", "SCHEDULE must be a call that makes a schedule", repr(text))
        # A tenth more than what moves, so that it shows what comes after.
        steps = max(map(last_step, drawn)) * 11 // 10 or 1000
        steps = steps if arguments.steps is None else arguments.steps
        figure = plots.schedules(dict(zip(arguments.schedules, drawn)), steps)
        with folder(path.parent):
            plots.save(figure, path)
    print(f"Wrote {path}")


def last_step(value: Any) -> int:
    """The greatest whole number in the call of a schedule: the step up to which it moves."""
    from gdjax.core.data.recipe import Recipe

    if isinstance(value, Recipe):
        value = value.arguments
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        return max(map(last_step, value), default=0)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0

"""The command `gdjax ladder`: settings found at one size of a model, used at larger ones."""

from __future__ import annotations

__all__ = ["options", "run"]

import argparse
from pathlib import Path
from typing import Any

from gdjax.lab.cli_output import Wrong, console, judged, progress


def options(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add = command.add_argument
    words = "millions of parameters: 1, 3, 10, 30, 124; none prints what has been run"
    add("rungs", nargs="*", metavar="RUNG", help=words)
    words = "a folder or tarball of C sources; default: linux-source-6.1 or gcc-12-source of Debian"
    add("--text", metavar="FILE", help=words)
    words = "beside adamw: muon, soap_muon, schedule_free_plus; default: all"
    add("--optimizers", nargs="+", default=[], metavar="NAME", help=words)
    words = "settings of each that are searched at the first rung; default: 8"
    add("--budget", type=int, default=8, metavar="N", help=words)
    add("--seeds", type=int, default=3, metavar="N", help="of each rate at a rung; default: 3")
    words = "where to write; default: ladder. Its runs.jsonl is not run again"
    add("--out", default="ladder", metavar="DIR", help=words)


def run(arguments: argparse.Namespace) -> None:
    """Climbs, prints the tables, writes them beside the runs."""
    from gdjax.lab import ladder, trials
    from gdjax.lab.folder import folder, write
    from gdjax.lab.rungs import cells, settings
    from gdjax.lab.sources import sources

    if not arguments.out:
        raise Wrong("ladder: --out must be a folder, got ''. Write --out ladder.")
    if unknown := [name for name in arguments.rungs if name not in ladder.RUNGS]:
        raise Wrong(f"ladder: RUNG must be one of {', '.join(ladder.RUNGS)}, got {unknown[0]}.")
    place = Path(arguments.out)
    arguments.kept = place / "runs.jsonl"
    with folder(place), judged():
        if arguments.rungs:
            _climb(arguments, sources(arguments.text))
        runs = trials.load(arguments.kept)
        lines = cells(runs, ladder.RUNGS, ladder.BASE.name), settings(runs, ladder.BASE.name)
        _print(*lines)
        written = write(place.absolute(), {"table.md": _markdown(lines)})
    console().print(f"Wrote {', '.join(path.name for path in written)} to {arguments.out}")


def _climb(arguments: argparse.Namespace, text: Any) -> None:
    from gdjax.lab import ladder, trials

    found = {run["digest"].split()[0] for run in trials.load(arguments.kept)} - {text.digest}
    if found:
        told = f"runs on another text in {arguments.kept}"
        raise Wrong(f"ladder: --out must be a folder of runs on one text, got {told}.")
    rungs = [ladder.RUNGS[name] for name in ladder.RUNGS if name in arguments.rungs]
    counts = arguments.budget, arguments.seeds, arguments.kept
    with progress() as told:
        ladder.climb(rungs, text, arguments.optimizers, *counts, told)


def _markdown(tables: Any) -> bytes:
    from gdjax.lab.results import markdown

    return "\n".join([*map(markdown, tables), ""]).encode()


def _print(*tables: Any) -> None:
    from rich.table import Table

    titles = "Each rung, with the settings of the first", "The search at the first rung"
    for lines, title in zip(tables, titles):
        table = Table(*lines[0], title=title, title_justify="left")
        for row in lines[1:]:
            table.add_row(*row)
        console().print(table)

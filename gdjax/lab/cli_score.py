"""The command `gdjax score`: optimizers on twelve workloads, by steps to targets."""

from __future__ import annotations

__all__ = ["options", "run"]

import argparse
import json
from pathlib import Path

from gdjax.lab.cli_output import Wrong, console, judged, progress

NAMES = (
    *("charlm", "digits_network", "digits_convolution", "mnist1d", "autoencoder"),
    *("matrix_factorization", "teacher", "bandit", "graph", "tabular", "sparse_logistic"),
    "resnet8",
)


def options(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add = command.add_argument
    words = "adamw or momentum, which are tuned, or quoted calls, which are not, as 'auto()'"
    add("optimizers", nargs="*", metavar="OPTIMIZER", default=["adamw", "auto()"], help=words)
    add("--workloads", default=",".join(NAMES), metavar="NAMES", help="default: all twelve")
    add("--trials", type=int, default=5, metavar="N", help="settings of what is tuned; default: 5")
    add("--seeds", type=int, default=3, metavar="N", help="how many; default: 3")
    add("--out", default="score", metavar="DIR", help="where runs are kept; default: score")
    add("--json", action="store_true", help="print the numbers as JSON in place of the table")


def run(arguments: argparse.Namespace) -> None:
    """Runs what is missing, and prints the table."""
    from rich import box
    from rich.table import Table

    from gdjax.lab import score_tables, scores
    from gdjax.lab.folder import folder
    from gdjax.lab.workloads import workload

    for name in ("trials", "seeds"):
        if (count := getattr(arguments, name)) < 1:
            raise Wrong(f"score: --{name} must be 1 or more, got {count}.")
    place = Path(arguments.out)
    arguments.kept = place / "runs.jsonl"
    with folder(place), judged(), progress() as told:
        rows = []
        for problem in map(workload, arguments.workloads.split(",")):
            counts = {"count": arguments.trials, "seeds": arguments.seeds, "progress": told}
            rows += scores.judge(problem, arguments.optimizers, arguments.kept, **counts)
    if arguments.json:
        print(json.dumps([row._asdict() for row in rows]))
        return
    head, *lines = score_tables.cells(rows)
    table = Table(*head, box=box.SIMPLE_HEAD)
    for line in lines:
        table.add_row(*line)
    console().print(table)

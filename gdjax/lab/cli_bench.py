"""The command `gdjax bench`: what steps cost, beside optax."""

from __future__ import annotations

__all__ = ["options", "run"]

import argparse

import gdjax
from gdjax.lab.cli_output import console


def options(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    words = "as the tables of docs/benchmarks.md"
    command.add_argument("--markdown", action="store_true", help=words)


def run(arguments: argparse.Namespace) -> None:
    """Measures, and prints each table as it is done."""
    import jax
    import optax
    from rich import box
    from rich.table import Table

    from gdjax.lab import bench

    where = jax.devices()[0].device_kind
    print(f"gdjax {gdjax.__version__}, optax {optax.__version__}, jax {jax.__version__}, {where}\n")
    for head, rows in bench.tables():
        if arguments.markdown:
            print(bench.markdown(head, rows), flush=True)
            continue
        table = Table(*head, box=box.SIMPLE_HEAD)
        for row in rows:
            table.add_row(*row)
        console().print(table)

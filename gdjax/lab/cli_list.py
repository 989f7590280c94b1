"""The commands `gdjax list` and `gdjax show`."""

from __future__ import annotations

__all__ = ["list_all", "list_options", "show", "show_options"]

import argparse
import itertools
import textwrap

from gdjax.lab.cli_output import Wrong, console, judged

_WIDEST = 100  # lines longer than this are hard to read


def list_options(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of `list`."""
    words = "a name or a term, as EMA or 'trust ratio'; or a pattern for the name as 'scale_by_*'"
    command.add_argument("pattern", nargs="?", metavar="PATTERN", help=words)
    words = "as the tables of docs/catalogue.md"
    command.add_argument("--markdown", action="store_true", help=words)


def show_options(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of `show`."""
    command.add_argument("name", metavar="NAME", help="as `gdjax list` writes it")


def list_all(arguments: argparse.Namespace) -> None:
    """Prints what there is, in a terminal by kind; or what is found, best first."""
    from gdjax.core.rule import errors
    from gdjax.lab import catalogue
    from gdjax.lab.search import search

    found = search(arguments.pattern or "")
    if not found:
        hint = errors.nearest(arguments.pattern, [e.name for e in search("")])
        raise Wrong(f"list: PATTERN must match something, got {arguments.pattern!r}. {hint}")
    if arguments.markdown:
        print(catalogue.markdown(found if arguments.pattern else None), end="")
        return
    out = console()
    from rich.table import Table

    if out.is_terminal:
        _print_wrapped(out, found, bool(arguments.pattern))
        return
    table = Table(box=None, pad_edge=False)
    for head in ("name", "kind", "what it does", "reference"):
        table.add_column(head, no_wrap=True)
    for e in found:
        table.add_row(e.name, e.kind, e.summary, e.reference)
    out.print(table)


def _print_wrapped(out, found: list, ranked: bool) -> None:
    """Name and what it does, side by side; the reference behind it."""
    widest = max(len(e.name) for e in found) + 2
    width = max(24, min(out.width, widest + _WIDEST) - widest)
    for kind, entries in itertools.groupby(found, key=lambda e: "" if ranked else e.kind):
        if kind:
            out.print(f"\n{kind}", style="bold underline")
        for e in entries:
            source = f" ({e.reference})" if e.reference else ""
            first, *rest = textwrap.wrap(f"{e.summary}{source}", width) or [""]
            out.print(f"[bold]{e.name.ljust(widest)}[/bold]{_plain(first)}", markup=True)
            for line in rest:
                out.print(" " * widest + line)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def show(arguments: argparse.Namespace) -> None:
    """Prints everything about one."""
    from gdjax.lab import catalogue

    with judged():
        print(catalogue.describe(arguments.name), end="")

"""Methods that are left out on purpose: the list of docs/catalogue.md, from one file."""

from __future__ import annotations

import tomllib
from typing import NamedTuple

from ..update import ROOT

__all__ = ["FILE", "Method", "markdown", "methods"]

FILE = ROOT / "docs" / "data" / "left_out.toml"


class Method(NamedTuple):
    """One line of the list."""

    name: str
    reference: str
    reason: str


def methods() -> list[Method]:
    """The methods of the file, in its order.

    Raises:
        TypeError: A line has not both a reference and a reason, or has more.
    """
    found = tomllib.loads(FILE.read_text("utf-8"))
    return [Method(name, **line) for name, line in found.items()]


def markdown() -> str:
    """The list as a Markdown table."""
    lines = ["| Method | Why it is left out |", "| --- | --- |"]
    lines += [f"| [{m.name}]({m.reference}) | {m.reason} |" for m in methods()]
    return "\n".join(lines)

"""What speaks for and against each optimizer, written by hand in `notes/FAMILY.toml`.

Sentences are from the paper that the page names, or from measurements in this repository.
"""

from __future__ import annotations

import functools
import pathlib
import tomllib
from typing import NamedTuple

__all__ = ["Note", "notes"]

FOLDER = pathlib.Path(__file__).parent / "notes"


class Note(NamedTuple):
    """Sentences for and against an optimizer."""

    pro: list[str]
    con: list[str]


@functools.cache
def notes() -> dict[str, dict[str, Note]]:
    """Notes by family and name."""
    read = {file.stem: tomllib.loads(file.read_text("utf-8")) for file in FOLDER.glob("*.toml")}
    return {
        family: {name: Note(note["for"], note["against"]) for name, note in entries.items()}
        for family, entries in read.items()
    }

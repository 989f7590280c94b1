"""Folders of results: made if need be, not replaced unless asked, written whole or not at all."""

from __future__ import annotations

__all__ = ["folder", "keep_others", "write"]

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gdjax.core.data.files import replacing
from gdjax.core.rule import errors


@contextlib.contextmanager
def folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder that has been made and can be written; unmade if what follows fails.

    Raises:
        OSError: It cannot be made or written.
    """
    place = Path(path).absolute()
    made = [p for p in (place, *place.parents) if not p.exists()]
    try:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            must = f"{os.fspath(path)!r} must be a folder that can be written"
            raise OSError(f"folder: {must}, got: {error.strerror}.") from None
        yield place
    except BaseException:
        for p in made:  # from the inside out; what holds anything stays
            with contextlib.suppress(OSError):
                p.rmdir()
        raise


def write(place: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Writes all files or none; whoever reads one sees the old or the whole new one."""
    with contextlib.ExitStack() as stack:
        for name, data in files.items():
            file = stack.enter_context(replacing(place / name))
            file.write(data)
            file.flush()  # a full disk is found before any file is replaced
    return [place / name for name in files]


def keep_others(
    path: str | os.PathLike[str], names: Sequence[str], ours: Callable[[dict[str, Any]], bool]
) -> None:
    """Raises where a folder holds files of these names that are not to be replaced.

    Args:
        path: The folder; it need not be there.
        names: Files that will be written.
        ours: Whether the results.json in the folder, as data, may be replaced.

    Raises:
        ValueError: It holds other results, or files of other origin.
    """
    place = Path(path)
    there = [name for name in names if (place / name).exists()]
    if not there:
        return
    try:
        found = json.loads((place / "results.json").read_text("utf-8"))
        if ours(found):
            return
        got = f"the results of {found['command']!r}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        got = ", ".join(there)
    must = f"{os.fspath(path)!r} must be a folder without results of another kind"
    hint = "Write --out DIR for another folder, or --replace."
    errors.fail("race", must, got, instead=hint)

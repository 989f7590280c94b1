"""Files of lines of JSON to which runs are added as they end."""

from __future__ import annotations

__all__ = ["append", "as_read", "load"]

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from gdjax.core.rule import errors


def load(
    path: str | os.PathLike[str], where: str, read: Callable[[dict[str, Any]], Any]
) -> list[Any]:
    """What the lines of a file hold; nothing if it is not there.

    A last line without its end, as a kill or a full disk leaves it, is passed over.

    Args:
        path: The file.
        where: Who reads it, for the message.
        read: Makes of the object in a line what is returned; raises where it is none.

    Raises:
        ValueError: Some other line is none of these; the message has the path and the line.
    """
    path, found = Path(path), []
    for i, line in enumerate(path.read_bytes().split(b"\n")[:-1] if path.exists() else ()):
        try:
            found.append(read(json.loads(line)))
        except _NONE:
            must = f"{os.fspath(path)!r} must have a run in each line"
            got = f"in line {i + 1} {line[:40].decode(errors='replace')!r}"
            errors.fail(where, must, got)
    return found


# What may be raised by data of any form; deep nesting ends in a RecursionError.
_NONE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def append(path: Path, value: dict[str, Any]) -> None:
    """Adds a line; replaces a last one that was cut off.

    A line is written at once and to the end of the file, so that those of two processes do not
    mix.
    """
    line = json.dumps(value).encode() + b"\n"
    with path.open("ab+") as file:
        _lock(file)  # a line that another process is writing is not one that was cut off
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        if size and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _lock(file: BinaryIO) -> None:
    """Waits for other processes that add lines, until the file is closed."""
    with contextlib.suppress(ImportError, OSError):  # Windows; file systems without locks
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)


def as_read(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value))

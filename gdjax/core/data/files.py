"""Files that are replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_END = ".part"  # of the name of a temporary file
_STALE = 3600.0  # seconds after which one belongs to a process that was killed


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Atomic replacement of a file: what is written takes its place when the block ends.

    A reader, also one after a kill or a loss of power, finds the old content or the whole new one.
    After an error the old file is as it was, and the temporary one is gone. The mode of a file that
    is replaced stays; a symbolic link stays one, and its target is replaced. Of several writers at
    once, the last one's content stays.

    Raises:
        OSError: The file cannot be written, with its path: no space, no such folder, no permission.
    """
    final = Path(os.path.realpath(path))
    if final.exists() and not final.is_file():  # a folder; a device, which root could replace
        raise OSError(f"{os.fspath(path)!r} must be a file or not exist.")
    # In the same folder, since replacing is atomic only within one file system.
    begin = f".{final.name}."
    temporary = final.with_name(f"{begin}{secrets.token_hex(8)}{_END}")
    try:
        with open(temporary, "xb") as file:
            with contextlib.suppress(OSError):  # there is none, or the file system has no modes
                shutil.copymode(final, temporary)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, final)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the file is in place; not every system syncs folders
        _sync(final.parent)
        _sweep(final, begin)


def _sync(folder: Path) -> None:
    """Makes a replacement in a folder survive a loss of power."""
    if hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _sweep(final: Path, begin: str) -> None:
    """Removes what killed processes left of the same file."""
    now = final.stat().st_mtime  # by the clock of the file system
    for name in os.listdir(final.parent):
        if name.startswith(begin) and name.endswith(_END):
            left = final.with_name(name)
            if left.stat().st_mtime < now - _STALE:
                left.unlink(missing_ok=True)

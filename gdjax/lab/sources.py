"""C sources as a text: those of a Debian package of sources, or of one's own folder or tarball.

Nothing of them is shipped: they are read where they are installed, and hashed.

    apt-get install linux-source-6.1        or gcc-12-source
"""

from __future__ import annotations

__all__ = ["INSTALLED", "LIMIT", "sources"]

import hashlib
import os
import string
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gdjax.core.rule import errors
from gdjax.lab.charlm import Text

# Where the packages put their sources, the first that is there is read.
INSTALLED = ("/usr/src/linux-source-6.1.tar.xz", "/usr/src/gcc-12/gcc-*.tar.xz")
LIMIT = 64_000_000
_SHARE = 16  # a first folder gives at most this part of the limit, so that no one fills the text
_TENTH = 10  # one in so many directories is for validation
_ALPHABET = "\n\t" + "".join(sorted(set(string.printable) - set(string.whitespace) | {" "}))
_NONE = 255


def sources(path: str | os.PathLike[str] | None = None, limit: int = LIMIT) -> Text:
    """The .c and .h files of a tree, in the order of their paths; ASCII only.

    A directory (the first two folders of a path) is for validation if the first eight hexadecimal
    digits of the SHA-256 of its name are a multiple of ten, else for training; where that leaves
    one of both empty, the directory of the least number is for validation. Files go in whole, in
    the order of their paths, while their first folder gives at most a sixteenth of the limit; other
    characters than ASCII are left out.

    Args:
        path: A folder or a tarball; by default the first of `INSTALLED` that is there.
        limit: At most so many characters, in bytes of the files.

    Raises:
        FileNotFoundError: None is installed, or there is no such file.
        ValueError: The tree has .c and .h files in less than two directories.
    """
    place = _installed() if path is None else Path(path)
    sizes = {name: size for name, size, _ in _files(place, None)}
    chosen = _chosen(sizes, limit)
    folders = sorted({_folder(name) for name in chosen})
    if len(folders) < 2:
        must = "there must be .c and .h files in two directories or more"
        errors.fail("sources", must, f"{len(folders)} in {place}")
    held = _held(folders)
    read = {name: data for name, _, data in _files(place, chosen)}
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    table = np.full(256, _NONE, np.uint8)
    table[[ord(c) for c in _ALPHABET]] = np.arange(len(_ALPHABET))
    for name in sorted(read):
        codes = table[np.frombuffer(read[name], np.uint8)]
        parts[_folder(name) in held].append(codes[codes != _NONE])
    train, validate = (np.concatenate(part) for part in parts)
    return Text(place.name, _ALPHABET, np.concatenate([train, validate]), len(train))


def _installed() -> Path:
    for pattern in INSTALLED:
        for found in sorted(Path("/").glob(pattern[1:])):
            return found
    hint = "Run apt-get install linux-source-6.1, or give a folder or a tarball: --text FILE."
    must = f"one of {', '.join(INSTALLED)} must be there"
    errors.fail("sources", must, "none", instead=hint, kind=FileNotFoundError)


def _files(place: Path, only: Any) -> Iterator[tuple[str, int, bytes]]:
    """Path from the root of the tree, size, and content of the files in `only`; of all none."""
    if place.is_dir():
        for file in place.rglob("*.[ch]"):
            name = file.relative_to(place).as_posix()
            if only is None or name in only:
                yield name, file.stat().st_size, b"" if only is None else file.read_bytes()
        return
    try:
        with tarfile.open(place) as tree:
            for member in tree:
                # The first folder of a tarball is the name of the package.
                name = str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))
                if not member.isfile() or not name.endswith((".c", ".h")):
                    continue
                if only is None:
                    yield name, member.size, b""
                elif name in only:
                    yield name, member.size, tree.extractfile(member).read()  # type: ignore
    except tarfile.TarError as error:
        errors.fail("sources", f"{os.fspath(place)!r} must be a folder or a tarball", str(error))


def _chosen(sizes: dict[str, int], limit: int) -> frozenset[str]:
    """The files that go in, in the order of their paths."""
    left, each, chosen = limit, {}, []
    for name in sorted(sizes):
        room = each.setdefault(_top(name), limit // _SHARE)
        if "/" in name and sizes[name] <= min(room, left):
            each[_top(name)], left = room - sizes[name], left - sizes[name]
            chosen.append(name)
    return frozenset(chosen)


def _top(name: str) -> str:
    return name.split("/", 1)[0]


def _folder(name: str) -> str:
    """The first two folders of a path, one where there is no second."""
    return "/".join(name.split("/")[:-1][:2])


def _held(folders: list[str]) -> set[str]:
    """The directories for validation."""
    number = {x: int(hashlib.sha256(x.encode()).hexdigest()[:8], 16) for x in folders}
    held = {x for x in folders if number[x] % _TENTH == 0}
    return held if 0 < len(held) < len(folders) else {min(folders, key=number.__getitem__)}

"""Checkpoint files: named arrays in one file, written atomically and checked when read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from gdjax.core.data.files import replacing
from gdjax.core.rule import errors

__all__ = ["load", "save"]

_MARK = b"gdjax 1 "  # begins the comment of the archive; a digest of its table follows
_LONGEST = 60_000  # bytes of a name; a zip archive has two bytes for the length


def save(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> None:
    """Checkpoint file: writes named arrays to one file, atomically.

    Whoever reads the file, at any moment and after a kill, finds the old content or the whole new
    one. The format is NumPy's `.npz`, without compression, and `numpy.load` reads it too.

    >>> import gdjax as gd, jax.numpy as jnp, tempfile
    >>> tx, params = gd.adam(1e-3), {"w": jnp.ones(2)}
    >>> path = tempfile.mkdtemp() + "/step_10.npz"
    >>> gd.state.save(path, {**gd.state.to_dict(tx, tx.init(params)), "step": 10})
    >>> saved = gd.state.load(path)
    >>> saved.pop("step")
    array(10)
    >>> state, report = gd.state.from_dict(tx, params, saved)

    Args:
        path: The file; its folder must exist.
        arrays: The result of `to_dict`, and whatever arrays and numbers belong to it.

    Raises:
        OSError: It cannot be written; a file that was there is as before.
        ValueError: A name cannot be written.
        TypeError: A value is no array of numbers.
    """
    named = {name: _as_array(name, x) for name, x in arrays.items()}
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, x in named.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            if x.dtype.isbuiltin == 2:  # registered by ml_dtypes; NumPy reads it as bytes
                member.comment = x.dtype.name.encode()
                x = x.view(f"V{x.dtype.itemsize}")
            with archive.open(member, "w", force_zip64=True) as into:
                np.lib.format.write_array(into, x, allow_pickle=False)
        archive.comment = _MARK + _digest(archive.infolist())


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a checkpoint file of `save`, or raises: never other arrays than those written.

    Every byte of the arrays, their names, shapes and dtypes are checked. Nothing is unpickled, and
    no more memory is taken than the file has bytes.

    Returns:
        The arrays by name; they cannot be written to.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: It is damaged, or `save` did not write it; the message has the path, and the
            name of the array if that is known.
    """
    whole = f"{os.fspath(path)!r} must be a whole file of gdjax.state.save"
    with open(path, "rb") as file, _refusing(whole), zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check(archive, members, os.fstat(file.fileno()).st_size)
        arrays = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            with _refusing(f"{name!r} in {os.fspath(path)!r} must be as gdjax.state.save wrote it"):
                arrays[name] = _read(archive.read(member), member.comment.decode())
        return arrays


@contextlib.contextmanager
def _refusing(must: str) -> Iterator[None]:
    """What is wrong with a file as an error that says where; a dozen kinds come from zipfile."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "where"):  # one of ours, of a member
            raise
        got = str(error) if type(error) is ValueError else f"{type(error).__name__} {error}"
        hint = "Load an older checkpoint; numpy.load reads files of numpy.savez."
        errors.fail("load", must, got.strip(), instead=hint)


def _as_array(name: Any, value: Any) -> np.ndarray:
    """A value as an array of numbers, under a name that an archive can keep."""
    fits = isinstance(name, str) and "\0" not in name
    if not fits or len(name.encode("utf-8", "replace")) > _LONGEST or _surrogates(name):
        must = f"names must be text of at most {_LONGEST} bytes, without null characters"
        errors.fail("save", must, repr(name))
    try:
        array = np.asarray(value)
    except TypeError:  # random keys
        array = np.empty([], object)
    if not _is_numbers(array.dtype):
        must, hint = f"{name!r} must be an array of numbers", ""
        if hasattr(value, "dtype") and "key" in str(value.dtype):
            hint = "Write jax.random.key_data(key)."
        errors.fail(
            "save",
            must,
            f"{errors.kind_of(value)} of dtype {array.dtype}",
            instead=hint,
            kind=TypeError,
        )
    return array


def _surrogates(name: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in name)


def _is_numbers(dtype: np.dtype) -> bool:
    return dtype.fields is None and (dtype.kind == "b" or jnp.issubdtype(dtype, jnp.number))


def _digest(members: Iterable[zipfile.ZipInfo]) -> bytes:
    """A digest of the table of an archive: names, dtypes, sizes and checksums of all members."""
    table = [(m.filename, m.comment, m.file_size, m.CRC) for m in members]
    return hashlib.sha256(repr(table).encode()).hexdigest().encode()


def _check(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], size: int) -> None:
    """Checks the table of an archive, before anything else is read."""
    if not archive.comment.startswith(_MARK):
        raise ValueError("no mark of gdjax.state.save")
    if archive.comment != _MARK + _digest(members):
        raise ValueError("a damaged table of contents")
    names = [m.filename for m in members]
    stored = all(m.compress_type == zipfile.ZIP_STORED for m in members)
    ours = stored and len(set(names)) == len(names) and all(n.endswith(".npy") for n in names)
    if not ours or sum(m.file_size for m in members) > size:
        raise ValueError("a table of contents that save does not write")


def _read(data: bytes, named: str) -> np.ndarray:
    """The array in a member, of which zipfile has compared the checksum since it read all of it.

    Args:
        data: The content of a file of `numpy.save`.
        named: The name of a dtype of ml_dtypes; empty for those of NumPy.
    """
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another version of its header")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    dtype = np.dtype(named) if named.isidentifier() else dtype
    if not _is_numbers(dtype):
        raise ValueError(f"dtype {dtype}")
    size, rest = math.prod(shape) * dtype.itemsize, len(data) - file.tell()
    if min(shape, default=0) < 0 or size != rest:
        raise ValueError(f"{rest} bytes for {dtype} {shape}")
    flat = np.frombuffer(data, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")

"""Hostile files and checkpoints by kind: archives, arrays, formats, lines of JSON."""

from __future__ import annotations

import io
import json
import pickle
import types
import warnings
import zipfile

import jax.numpy as jnp
import numpy as np

from gdjax.state import files
from tests.faults.hostile import Bomb, nested


def archive(members, comment=None, **how):
    """The bytes of a zip archive with a table that is in order."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as written:
        for name, content in members:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            for key, value in how.items():
                setattr(info, key, value)
            written.writestr(info, content)
        table = files._MARK + files._digest(written.infolist())
        written.comment = table if comment is None else comment
    return data.getvalue()


def npy(header, content=b"", version=b"\x01\x00"):
    """The bytes of a file of `numpy.save` with any header."""
    text = header.encode("utf-8", "surrogatepass") + b"\n"
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + text + content


def header(descr="'<f4'", order="False", shape="(2,)"):
    """The header of an array."""
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}"


def _saved(write, *args, **kwargs):
    data = io.BytesIO()
    write(data, *args, **kwargs)
    return data.getvalue()


GOOD = npy(header(), bytes(8))


def _comment(text):
    info = zipfile.ZipInfo("w.npy")
    info.comment = text
    return archive([(info, GOOD)])


def _claims(size):
    """A table, with a digest that fits it, in which a member has more bytes than the file."""
    data = archive([("w.npy", GOOD)])
    at = data.index(b"PK\x01\x02") + 20  # of the sizes, compressed and not
    claimed = data[:at] + 2 * size.to_bytes(4, "little") + data[at + 8 :]
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(io.BytesIO(claimed)) as new:
        digests = [files._digest(read.infolist()) for read in (old, new)]
    return claimed.replace(*digests)


def _twice():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return archive([("w.npy", GOOD)] * 2)


# Files that `load` must refuse.
FILES = {
    "empty": b"",
    "text": b"hello\n" * 1000,
    "zeros": bytes(10_000),
    "a pickle": pickle.dumps(Bomb()),
    "numpy.save": GOOD,
    "numpy.save of objects": _saved(np.save, np.array([Bomb()]), allow_pickle=True),
    "numpy.savez": _saved(np.savez, w=np.ones(2)),
    "numpy.savez of objects": _saved(np.savez, w=np.array([Bomb()])),
    "no members and no mark": archive([], b""),
    "another mark": archive([("w.npy", GOOD)], b"gdjax 2 " + b"0" * 64),
    "another digest": archive([("w.npy", GOOD)], files._MARK + b"0" * 64),
    "a digest that is cut": archive([("w.npy", GOOD)], files._MARK),
    "10^15 entries": archive([("w.npy", npy(header(shape=f"({10**15},)"), bytes(8)))]),
    "10^400 entries": archive([("w.npy", npy(header(shape=f"({10**400},)"), bytes(8)))]),
    "many axes": archive([("w.npy", npy(header(shape=f"({'1,' * 1000})"), bytes(4)))]),
    "many long axes": archive([("w.npy", npy(header(shape=f"({'9' * 9},{'9' * 9})"), bytes(8)))]),
    "negative axes": archive([("w.npy", npy(header(shape="(-1, -2)"), bytes(8)))]),
    "a negative and an empty axis": archive([("w.npy", npy(header(shape="(0, -2)")))]),
    "a shape of floats": archive([("w.npy", npy(header(shape="(2.0,)"), bytes(8)))]),
    "a shape of bools": archive([("w.npy", npy(header(shape="(True, True)"), bytes(8)))]),
    "a shape that is a number": archive([("w.npy", npy(header(shape="2"), bytes(8)))]),
    "fewer bytes": archive([("w.npy", npy(header(), bytes(7)))]),
    "more bytes": archive([("w.npy", npy(header(), bytes(9)))]),
    "objects": archive([("w.npy", npy(header("'|O'"), pickle.dumps([Bomb()] * 2)))]),
    "records": archive([("w.npy", npy(header("[('a', '<f4')]"), bytes(8)))]),
    "records of objects": archive([("w.npy", npy(header("[('a', '|O')]"), bytes(16)))]),
    "texts": archive([("w.npy", npy(header("'<U1'"), bytes(8)))]),
    "dates": archive([("w.npy", npy(header("'<M8[s]'"), bytes(16)))]),
    "bytes of no type": archive([("w.npy", npy(header("'|V4'"), bytes(8)))]),
    "a type of no bytes": archive([("w.npy", npy(header("'|V0'", shape=f"({10**15},)")))]),
    "a subarray": archive([("w.npy", npy(header("'(1000000,)f4'"), bytes(8)))]),
    "no type": archive([("w.npy", npy(header("'nothing'"), bytes(8)))]),
    "an order that is text": archive([("w.npy", npy(header(order="'x'"), bytes(8)))]),
    "a header that calls": archive([("w.npy", npy("__import__('os').getcwd()", bytes(8)))]),
    "a header with more": archive([("w.npy", npy(header()[:-1] + ", 'x': 1}", bytes(8)))]),
    "a header with less": archive([("w.npy", npy("{'descr': '<f4'}", bytes(8)))]),
    "a header that is a list": archive([("w.npy", npy("[1]", bytes(8)))]),
    "a deep header": archive([("w.npy", npy("(" * 5000, bytes(8)))]),
    "a long header": archive([("w.npy", npy(header() + " " * 60_000, bytes(8)))]),
    "a header of surrogates": archive([("w.npy", npy("\ud800", bytes(8)))]),
    "a header that is cut": archive([("w.npy", GOOD[:20])]),
    "no header": archive([("w.npy", b"")]),
    "a header of version 2": archive([("w.npy", npy(header(), bytes(8), b"\x02\x00"))]),
    "a header of version 9": archive([("w.npy", npy(header(), bytes(8), b"\x09\x00"))]),
    "a zip bomb": archive([("w.npy", bytes(50_000_000))], compress_type=zipfile.ZIP_DEFLATED),
    "bzip2": archive([("w.npy", GOOD)], compress_type=zipfile.ZIP_BZIP2),
    "lzma": archive([("w.npy", GOOD)], compress_type=zipfile.ZIP_LZMA),
    "no .npy": archive([("../../etc/passwd", GOOD)]),
    "the dtype of objects": _comment(b"O"),
    "the dtype of objects by name": _comment(b"object"),
    "the dtype of texts": _comment(b"str"),
    "a dtype of another size": _comment(b"float64"),
    "a dtype that is none": _comment(b"nothing"),
    "a dtype that calls": _comment(b"object_"),
    "a dtype of no text": _comment(b"\xff\xfe"),
    "2 GB in a short file": _claims(2**31),
    "a byte more than the file has": _claims(len(archive([("w.npy", GOOD)])) + 1),
    "a byte less": _claims(len(GOOD) - 1),
    "a name twice": _twice(),
}

# The entry `gdjax` of a checkpoint: JSON.
FORM = {"format": "8bit", "square": False, "dtype": "float32", "block": [1], "shape": [2]}


def about(**change):
    """An entry with another form of an array."""
    return json.dumps({"version": 1, "stored": {"scale_by_adam/mu/w": FORM | change}}).encode()


ABOUT = {
    **{
        f"JSON {text[:20]!r}": text.encode("utf-8", "surrogatepass")
        for text in (
            "",
            "{",
            "null",
            "5",
            "[]",
            "{}",
            '"x"',
            "NaN",
            '{"version": 1}',
            '{"stored": {}}',
            '{"version": "1", "stored": {}}',
            '{"version": true, "stored": {}}',
            '{"version": 1.0, "stored": {}}',
            '{"version": -1, "stored": {}}',
            '{"version": 0, "stored": {}}',
            '{"version": NaN, "stored": {}}',
            '{"version": Infinity, "stored": {}}',
            '{"version": null, "stored": {}}',
            '{"version": [], "stored": {}}',
            '{"version": 3, "stored": {}}',
            '{"version": ' + "9" * 400 + ', "stored": {}}',
            '{"version": ' + "9" * 5000 + ', "stored": {}}',
            '{"version": 1, "version": 99, "stored": {}}',
            '{"version": 1, "stored": []}',
            '{"version": 1, "stored": "x"}',
            '{"version": 1, "stored": null}',
            '{"version": 1, "stored": 5}',
            '{"version": 1, "stored": {"w": null}}',
            '{"version": 1, "stored": {"w": []}}',
            '{"version": 1, "stored": {"w": {}}}',
            '{"version": 1, "stored": {"\\ud800": {}}}',
            '{"version": 1, "stored": {"__class__": 1}}',
            "[" * 100_000,
            '{"a":' * 100_000,
            "\ud800",
        )
    },
    "bytes of no text": b"\xff\xfe\x00",
    **{
        f"{key} {str(value)[:20]}": about(**{key: value})
        for key, value in (
            ("format", "9bit"),
            ("format", "__class__"),
            ("format", None),
            ("format", []),
            ("dtype", "O"),
            ("dtype", "f4,f4"),
            ("dtype", "nothing"),
            ("dtype", "int32"),
            ("dtype", "\ud800"),
            ("dtype", None),
            ("dtype", {"names": ["a"], "formats": ["O"]}),
            ("block", [0]),
            ("block", [-1]),
            ("block", [1, 1, 1]),
            ("block", "x"),
            ("block", None),
            ("block", [1.5]),
            ("block", [True]),
            ("block", [[1]]),
            ("block", nested(900)),
            ("shape", [10**15]),
            ("shape", [10**400]),
            ("shape", [-2]),
            ("shape", "x"),
            ("shape", None),
            ("shape", [2.0]),
            ("shape", []),
            ("shape", [2] * 100),
            ("more", 1),
        )
    },
}

# An array of a checkpoint.
ARRAYS = {
    "nothing": None,
    "text": "x",
    "bytes": b"x",
    "a list": [1.0, 2.0],
    "a number": 1.0,
    "a dict": {},
    "objects": np.array([Bomb(), Bomb()]),
    "texts": np.array(["a", "b"]),
    "dates": np.array([0, 1], "M8[s]"),
    "records": np.zeros(2, [("a", "f4")]),
    "records of objects": np.zeros(2, [("a", "O")]),
    "raw bytes": np.zeros(2, "V4"),
    "raw bytes of another size": np.zeros(2, "V3"),
    "another shape": np.ones(3, np.float32),
    "another rank": np.ones((2, 1), np.float32),
    "no axis": np.float32(1),
    "empty": np.ones(0, np.float32),
    "another dtype": np.ones(2, np.float64),
    "integers": np.ones(2, np.int32),
    "bools": np.ones(2, bool),
    "complex numbers": np.ones(2, np.complex64),
    "bfloat16": jnp.ones(2, jnp.bfloat16),
    "big-endian records": np.zeros((2, 1), [("a", ">f4", 3)]),
    "10^15 entries": np.broadcast_to(np.float32(1), (10**15,)),
    "an object with a dtype": types.SimpleNamespace(dtype="float32", shape=(2,)),
    "an object with a shape": types.SimpleNamespace(dtype=np.dtype("f4"), shape=(10**15,)),
}


class Broken(dict):
    """A mapping that fails where an array is read, as an open file does."""

    def __init__(self, saved, error):
        super().__init__(saved)
        self.error = error

    def __getitem__(self, name):
        if name.endswith("mu/w"):
            raise self.error
        return super().__getitem__(name)


ERRORS = [
    MemoryError(),
    KeyError("x"),
    EOFError(),
    zipfile.BadZipFile("bad CRC"),
    RuntimeError("x"),
    NotImplementedError("compression"),
    OSError(5, "Input/output error"),
    RecursionError(),
]

# Lines of JSON where a run is wanted.
LINES = [
    b"",
    b"{",
    b"null",
    b"5",
    b"[]",
    b"{}",
    b'"x"',
    b"NaN",
    b"\xff\xfe",
    b"\0",
    b"[" * 100_000,
    b'{"name": ' * 2000,
    b'{"name": 1e999}',
    b'{"__class__": 1}',
    b"\xed\xa0\x80",
    b'{"name": ' + b"9" * 5000 + b"}",
    b"import os",
    b"{'name': 'x'}",
    b"<html>",
]

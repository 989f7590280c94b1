"""Checkpoint files with flipped bytes, cut off, or with sectors lost: an error, or every bit."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd

PARAMS = {"dense": {"kernel": jnp.ones((8, 8)), "bias": jnp.ones(3, jnp.bfloat16)}}
TX = gd.chain(
    gd.add_noise(0.1, 0.5, key=3),
    gd.store(gd.adam(gd.linear_to_zero(0.1, 20), mu_dtype=jnp.bfloat16), "8bit", min_size=16),
)
NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4")  # NumPy has none of these
SAVED = {**gd.state.to_dict(TX, TX.init(PARAMS)), "step": 10}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The bytes of a checkpoint file, and where to write damaged ones."""
    path = tmp_path_factory.mktemp("files") / "step_10.npz"
    gd.state.save(path, SAVED)
    return path.read_bytes(), path


def same(arrays):
    """Whether arrays are those that were saved, to the last bit."""
    if arrays.keys() != SAVED.keys():
        return False
    pairs = [(arrays[name], np.asarray(x)) for name, x in SAVED.items()]
    return all((x.shape, x.dtype, x.tobytes()) == (y.shape, y.dtype, y.tobytes()) for x, y in pairs)


def outcome(path, data):
    """`"error"` or `"same"`; whatever else happens fails the test."""
    path.write_bytes(data)
    try:
        arrays = gd.state.load(path)
    except ValueError as error:
        assert str(path) in str(error) and str(error).startswith("load: ")
        return "error"
    assert same(arrays), "wrong arrays without an error"
    return "same"


def test_nothing_is_lost(written):
    """bfloat16, 8-bit codes, random keys, counts; the order of axes; numpy.load reads it too."""
    data, path = written
    assert outcome(path, data) == "same"
    saved = gd.state.load(path)
    assert saved.pop("step") == 10
    gd.state.from_dict(TX, PARAMS, saved)
    with np.load(path) as archive:
        state, report = gd.state.from_dict(TX, PARAMS, archive, strict=False)
    assert report.dropped == ("step",) and not report.new
    odd = {
        "file": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3), np.int8),
        **{str(dtype): jnp.ones((3, 2), dtype) for dtype in NARROW},
        "allow_pickle": np.bool_(True),
        "é/ü": np.complex64(1j),
        ".npy": np.arange(3, dtype=">i2"),
    }
    gd.state.save(path, odd)
    for name, x in gd.state.load(path).items():
        wanted = np.asarray(odd[name])
        assert (x.dtype, x.shape) == (wanted.dtype, wanted.shape) and np.array_equal(x, wanted)


def test_flipped_bytes(written):
    """Single bytes at 500 places; in a zip archive, times and attributes are not content."""
    data, path = written
    random = np.random.default_rng(0)
    places = random.choice(len(data), 500, replace=False)
    found = {"error": [], "same": []}
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= random.integers(1, 256)
        found[outcome(path, damaged)].append(place)
    assert len(found["error"]) > 300  # what is content


@pytest.mark.slow
def test_every_byte(written):
    """A bit of every byte, the eight in turn."""
    data, path = written
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        outcome(path, damaged)


def test_cut_off(written):
    """At 200 lengths, and the same with zeros for the rest, as after a loss of power."""
    data, path = written
    for size in np.linspace(0, len(data) - 1, 200).astype(int):
        assert outcome(path, data[:size]) == "error"
        if data[size:].strip(b"\0"):
            assert outcome(path, data[:size] + bytes(len(data) - size)) == "error"


def test_sectors(written):
    """Blocks of 64 bytes that are zero, stand twice or are exchanged, and bytes that are added."""
    data, path = written
    random = np.random.default_rng(1)
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)]
    for i, j in random.integers(len(blocks) - 1, size=(100, 2)):
        for new in (bytes(64), blocks[j]):
            outcome(path, b"".join([*blocks[:i], new, *blocks[i + 1 :]]))
        outcome(path, b"".join([*blocks[:i], *blocks[i + 1 :]]))
        outcome(path, b"".join([*blocks[:i], blocks[j], *blocks[i:]]))
    assert outcome(path, data + b"more") == "same" == outcome(path, b"more" + data)


@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("writes", [np.savez, np.savez_compressed], ids=["savez", "compressed"])
def test_files_of_numpy(tmp_path, writes, count):
    """Restored with `strict=True` from an open file of `numpy.load`: an error, or every bit."""
    saved = {name: x for name, x in SAVED.items() if name != "step"}
    path = tmp_path / "state.npz"
    writes(path, **saved)
    data, random = path.read_bytes(), np.random.default_rng(2)
    refused = 0
    for place in random.choice(len(data), count, replace=False):
        damaged = bytearray(data)
        damaged[place] ^= random.integers(1, 256)
        path.write_bytes(damaged)
        try:
            archive = np.load(path)
        except Exception:  # noqa: BLE001 - of NumPy, before gdjax sees the file
            refused += 1
            continue
        with archive:
            try:
                state, _ = gd.state.from_dict(TX, PARAMS, archive)
            except ValueError as error:
                assert str(error).startswith("from_dict: ")
                refused += 1
                continue
        again = gd.state.to_dict(TX, state)
        assert all(np.array_equal(np.asarray(again[k]), np.asarray(saved[k])) for k in saved), place
    assert refused > count / 4


def through_safetensors(tmp_path, arrays):
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "state.safetensors"
    numpy.save_file(arrays, path)
    return path, lambda: numpy.load_file(path)


def through_orbax(tmp_path, arrays):
    ocp = pytest.importorskip("orbax.checkpoint")
    folder = tmp_path / "state"
    with ocp.StandardCheckpointer() as saver:
        saver.save(folder, arrays)

    def read():
        with ocp.StandardCheckpointer() as saver:
            return saver.restore(folder)

    return max(folder.rglob("d/*"), key=lambda path: path.stat().st_size), read


@pytest.mark.parametrize("through", [through_safetensors, through_orbax])
def test_other_formats_have_no_checksum_of_the_data(tmp_path, through):
    """So the page on saving says: a byte of data that is flipped is read as another number."""
    arrays = {"w": np.random.default_rng(0).random(4096, np.float32)}
    path, read = through(tmp_path, arrays)
    np.testing.assert_array_equal(read()["w"], arrays["w"])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert np.any(read()["w"] != arrays["w"])

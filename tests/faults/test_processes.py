"""Files that processes write: kills, a full disk, several writers at once, modes and links."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from gdjax import plots
from gdjax.core.data.files import replacing
from gdjax.lab import folder, lines
from gdjax.state import load, save
from tests.faults import writers
from tests.helpers import first

posix = pytest.mark.skipif(os.name == "nt", reason="forks and signals of POSIX")


@pytest.fixture(scope="module")
def process():
    """A process that forks writers; see writers.py."""
    command = [sys.executable, "-m", "tests.faults.writers"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, "JAX_PLATFORMS": "cpu"}, **pipes) as process:
        yield process
        process.stdin.close()


def ask(process, *words):
    print(*words, file=process.stdin, flush=True)
    return [int(pid) for pid in process.stdout.readline().split()]


def answer(process):
    return [int(code) for code in process.stdout.readline().split()]


def state_is_whole(path, acked):
    saved = load(path)
    assert writers.is_whole(saved) and int(saved["step"]) in (acked, acked + 1)
    return int(saved["step"])


def lines_are_whole(path, acked):
    found = [one["step"] for one in lines.load(path, "test", dict)]
    assert found == list(range(len(found))) and found[-1] in (acked, acked + 1)
    return found[-1]


def files_are_whole(path, acked):
    for name in ("a.bin", "b.bin"):
        data = (path / name).read_bytes()
        steps = {data[i : i + 8] for i in range(0, len(data), 8)}
        assert len(data) == 8 * writers.SIZE and len(steps) == 1
        assert int.from_bytes(steps.pop(), "little") in (acked, acked + 1)
    return acked


KILLED = [  # the writer, its file, what must hold after a kill, kills: quick and slow
    ("states", "state.npz", state_is_whole, 12, 200),
    ("runs", "runs.jsonl", lines_are_whole, 6, 100),
    ("results", "", files_are_whole, 6, 100),
]


@posix
@pytest.mark.parametrize(
    "writer, name, check, kills",
    [
        *((*row[:3], row[3]) for row in KILLED),
        *(pytest.param(*row[:3], row[4], marks=pytest.mark.slow) for row in KILLED),
    ],
    ids=lambda x: x if isinstance(x, (str, int)) else "",
)
def test_a_killed_run_leaves_the_last_save(process, tmp_path, writer, name, check, kills):
    """SIGKILL at random moments of a run that does nothing but save; each run goes on."""
    path, ack = tmp_path / name, tmp_path / "ack"
    moments = np.random.default_rng(0).uniform(0.0, 0.03, kills)
    last = -1
    for moment in [0.3, *moments]:
        (pid,) = ask(process, path, ack, writer)
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        assert answer(process) == [signal.SIGKILL]
        now = check(path, int.from_bytes(ack.read_bytes(), "little"))
        assert now >= last
        last = now
    assert last >= 3
    left = [p for p in tmp_path.iterdir() if p.name.endswith(".part")]
    assert len(left) <= 2 * (kills + 1)  # of the moment of a kill
    for part in left:
        os.utime(part, (0, 0))
    if writer == "states":  # the next save of the same file removes what is old
        save(path, writers.arrays(0))
        assert sorted(p.name for p in tmp_path.iterdir()) == ["ack", name]


@contextlib.contextmanager
def largest_file(size):
    """No file may be larger: the error of a full disk, for a user without a disk of his own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


FIGURE = plots.losses({"a": np.ones(3)})
DATA = bytes(40_000)
WRITES = {
    "save": lambda place: save(place / "a.npz", writers.arrays(1)),
    "write": lambda place: folder.write(place, {"a.bin": DATA, "b.bin": DATA}),
    "plot": lambda place: plots.save(FIGURE, place / "a.png"),
}


@posix
@pytest.mark.parametrize("name", WRITES)
def test_a_full_disk_leaves_the_old_files(tmp_path, name):
    WRITES[name](tmp_path)
    old = {path: path.read_bytes() for path in tmp_path.iterdir()}
    size = max(map(len, old.values()))
    for room in (0, 1, size // 3, size // 2, size - 1):
        with largest_file(room), pytest.raises(OSError, match=str(tmp_path)):
            WRITES[name](tmp_path)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old


@posix
def test_a_line_that_no_longer_fits_is_passed_over(tmp_path):
    path = tmp_path / "runs.jsonl"
    for step in range(3):
        lines.append(path, {"step": step})
    size = path.stat().st_size
    for room in range(5):
        with largest_file(size + room), pytest.raises(OSError):
            lines.append(path, {"step": 3, "more": "x" * 50})
        assert [one["step"] for one in lines.load(path, "test", dict)] == [0, 1, 2]
    lines.append(path, {"step": 3})
    assert [one["step"] for one in lines.load(path, "test", dict)] == [0, 1, 2, 3]


ON_A_SMALL_DISK = """
import sys, pathlib
from tests.faults import test_processes as t
place, name = pathlib.Path(sys.argv[1]), sys.argv[2]
t.WRITES[name](place)
old = {path: path.read_bytes() for path in place.iterdir()}
(place / "fill").write_bytes(bytes(int(sys.argv[3])))
try:
    t.WRITES[name](place)
except OSError as error:
    assert error.errno == 28 and str(place) in str(error), error
else:
    sys.exit("it was written")
(place / "fill").unlink()
assert {path: path.read_bytes() for path in place.iterdir()} == old
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", WRITES)
def test_a_small_file_system_runs_full(tmp_path, name):
    """ENOSPC of a tmpfs, in a namespace of its own; where there is none, the limit above stands."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"]).returncode:
        pytest.skip("no user namespaces here")
    sizes = {"save": 200_000, "write": 120_000, "plot": 60_000}
    room = {"save": 20_000, "write": 10_000, "plot": 1_000}
    script = tmp_path / "script.py"
    script.write_text(ON_A_SMALL_DISK)
    place = tmp_path / "disk"
    place.mkdir()
    WRITES[name](place)
    used = sum(-(-p.stat().st_size // 4096) * 4096 for p in place.iterdir())
    size = used + sizes[name]
    inside = f"mount -t tmpfs -o size={size} tmpfs {place} && exec {sys.executable} {script}"
    inside += f" {place} {name} {sizes[name] - room[name]}"
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(["unshare", "-Urm", "sh", "-c", inside], check=True, env=env)


@posix
def test_two_processes_save_to_one_place(process, tmp_path):
    """Each file read is the whole one of either; no line is lost."""
    place, seen = tmp_path / "state.npz", set()
    ask(process, tmp_path, tmp_path.parent / "ack", "first", "second")
    end = time.monotonic() + 60
    while len(lines.load(tmp_path / "runs.jsonl", "test", dict)) < 100:
        assert time.monotonic() < end
        if place.exists():
            saved = load(place)
            kinds = [writer for writer in (0, 1) if writers.is_whole(saved, writer)]
            assert len(kinds) == 1
            seen.update(kinds)
    assert answer(process) == [0, 0] and seen
    found = [(one["writer"], one["step"]) for one in lines.load(tmp_path / "runs.jsonl", "t", dict)]
    assert sorted(found) == [(writer, step) for writer in (0, 1) for step in range(50)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs.jsonl", "state.npz"]


def test_two_threads_save_to_one_place(tmp_path):
    path, wrong = tmp_path / "state.npz", []
    save(path, writers.arrays(0))

    def writes(writer):
        try:
            for step in range(30):
                save(path, writers.arrays(step, writer))
                saved = load(path)
                assert any(writers.is_whole(saved, w) for w in (0, 1))
        except BaseException as error:  # noqa: BLE001 - of a thread
            wrong.append(error)

    threads = [threading.Thread(target=writes, args=(writer,)) for writer in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and list(tmp_path.iterdir()) == [path]


@posix
class TestPlaces:
    def test_the_mode_stays(self, tmp_path):
        new, old = tmp_path / "new.npz", tmp_path / "old.npz"
        (tmp_path / "as_others").touch()
        old.touch(0o600)
        old.chmod(0o640)
        for path in (new, old):
            save(path, {"a": 1})
        mode = lambda path: stat.S_IMODE(path.stat().st_mode)
        assert mode(old) == 0o640 and mode(new) == mode(tmp_path / "as_others")

    def test_a_link_stays_one(self, tmp_path):
        (tmp_path / "there").mkdir()
        link = tmp_path / "latest.npz"
        link.symlink_to("there/state.npz")
        for step in (1, 2):  # it leads to nothing, then to a file
            save(link, {"step": step})
            assert link.is_symlink() and load(tmp_path / "there" / "state.npz")["step"] == step
        assert [p.name for p in (tmp_path / "there").iterdir()] == ["state.npz"]

    @pytest.mark.parametrize(
        "place, kind", [("", OSError), ("none/a.npz", FileNotFoundError), ("fifo", OSError)]
    )
    def test_no_place_for_a_file(self, tmp_path, place, kind):
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(kind, match=str(tmp_path / place)):
            save(tmp_path / place, {"a": 1})
        assert [p.name for p in tmp_path.iterdir()] == ["fifo"]

    def test_a_device_is_not_replaced(self):
        with pytest.raises(OSError, match="must be a file"), replacing(os.devnull):
            pass
        assert stat.S_ISCHR(os.stat(os.devnull).st_mode)

    @pytest.mark.parametrize("error", first(2, [KeyboardInterrupt, ValueError]))
    def test_an_error_while_writing(self, tmp_path, error):
        path = tmp_path / "a"
        path.write_text("old")
        with pytest.raises(error), replacing(path) as file:
            file.write(b"new")
            raise error
        assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]

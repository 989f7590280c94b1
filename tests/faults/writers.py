"""Writers of files as processes of their own: lines of standard input name paths and writers.

One process imports the library; a fork of it begins within a millisecond, so that hundreds of runs
can be killed. A writer goes on from what it finds, and notes in `ack` the last step that was saved.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import numpy as np

from gdjax.lab import folder, lines
from gdjax.state.files import load, save

SIZE = 20_000  # numbers in an array: a file of 160 kB, so that a kill falls into its writing


def arrays(step, writer=0):
    """What a run saves at a step: no two steps, and no two writers, share an array."""
    return {
        "step": np.int64(step),
        "mu/w": np.arange(SIZE, dtype=np.float32) + 7 * step + writer / 2,
        "nu/w": np.full(SIZE, step + writer / 2, np.float32),
    }


def is_whole(saved, writer=0):
    """Whether loaded arrays are those of one step."""
    wanted = arrays(int(saved["step"]), writer)
    return saved.keys() == wanted.keys() and all(np.array_equal(saved[k], wanted[k]) for k in saved)


def steps_from(found, ack):
    """The steps after one that was found, each noted when the next is asked for."""
    for step in itertools.count(found):
        if step >= 0:
            os.pwrite(ack, step.to_bytes(8, "little"), 0)
        yield step + 1


def states(path, ack):
    """A run that saves its state at every step."""
    for step in steps_from(int(load(path)["step"]) if path.exists() else -1, ack):
        save(path, arrays(step))


def runs(path, ack):
    """A race that adds a line for every run."""
    for step in steps_from(len(lines.load(path, "test", dict)) - 1, ack):
        lines.append(path, {"step": step, "losses": [step] * 5000})


def results(path, ack):
    """Results of several files, of which a kill may leave one older by a step."""
    files = [path / "a.bin", path / "b.bin"]
    old = [int.from_bytes(p.read_bytes()[:8], "little") for p in files if p.exists()]
    for step in steps_from(min(old, default=-1), ack):
        folder.write(path, {p.name: step.to_bytes(8, "little") * SIZE for p in files})


def both(path, ack, writer):
    """One of two that save fifty states to one place and add fifty lines to one file."""
    for step in range(50):
        save(path / "state.npz", arrays(step, writer))
        lines.append(path / "runs.jsonl", {"writer": writer, "step": step, "more": "x" * 20_000})


WRITERS = {
    "states": states,
    "runs": runs,
    "results": results,
    "first": lambda path, ack: both(path, ack, 0),
    "second": lambda path, ack: both(path, ack, 1),
}


def main():
    for line in sys.stdin:
        path, ack, *words = line.split()
        running = []
        for word in words:
            if (pid := os.fork()) == 0:
                WRITERS[word](Path(path), os.open(ack, os.O_RDWR | os.O_CREAT))
                os._exit(0)
            running.append(pid)
        print(*running, flush=True)
        print(*(os.waitpid(pid, 0)[1] for pid in running), flush=True)


if __name__ == "__main__":
    main()

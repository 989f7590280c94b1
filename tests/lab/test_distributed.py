"""Several processes train as one does, also where one of them is killed in the midst."""

from __future__ import annotations

import sys

import jax
import numpy as np
import pytest

import gdjax as gd
from gdjax.lab import distributed
from gdjax.lab.distributed import launch, train

STEPS = 6


def trained(folder, steps, optimizer="adamw"):
    told = []
    params = train(optimizer, steps, folder, save_every=2, log=told.append)
    return params, told


def test_goes_on_from_the_last_save_as_if_nothing_had_been(tmp_path):
    """On eight devices of one process, to the last bit."""
    whole, told = trained(tmp_path / "whole", STEPS)
    assert told[0] == "from 0" and told[-1].startswith(f"step {STEPS} loss 1.")
    trained(tmp_path / "parts", STEPS // 2)  # one step beyond its last save
    parts, told = trained(tmp_path / "parts", STEPS)
    assert told[0] == "from 2" and len(told) == 1 + STEPS - 2
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
    saved = np.load(tmp_path / "parts" / "saved.npz")
    assert saved["step"] == STEPS and saved["scale_by_adam/mu/hidden/kernel"].shape == (64, 32)


def test_a_save_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "saved.npz"
    distributed._write(path, 1, {"a": np.ones(3)})

    def torn(file, array, **how):
        file.write(b"half")
        raise OSError("killed")

    monkeypatch.setattr(np.lib.format, "write_array", torn)
    with pytest.raises(OSError):
        distributed._write(path, 2, {"a": np.zeros(3)})
    saved = gd.state.load(path)
    assert saved["step"] == 1 and np.array_equal(saved["a"], np.ones(3))
    assert list(tmp_path.iterdir()) == [path]


def group(tmp_path, monkeypatch, code, timeout=60.0):
    """Two processes that run other code than training."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\n{code}\n")
    script.chmod(0o755)
    monkeypatch.setattr(distributed.sys, "executable", str(script))
    return distributed._Group([], 2, 1, False, tmp_path / "log", timeout)


def test_what_fails_is_told_and_nothing_lives_on(tmp_path, monkeypatch):
    code = "import sys, time\ntime.sleep(60) if sys.argv[-1] == '0' else sys.exit('no such port')"
    with pytest.raises(RuntimeError, match="process 1 failed:\nno such port"):
        with group(tmp_path, monkeypatch, code) as started:
            started.wait()
    assert all(process.poll() is not None for process in started.running)


def test_what_hangs_is_ended(tmp_path, monkeypatch):
    code = "import time\nprint('step 3', flush=True)\ntime.sleep(60)"
    with pytest.raises(TimeoutError, match="step 3"):
        with group(tmp_path, monkeypatch, code, timeout=0.5) as started:
            started.wait(4)
    assert all(process.poll() is not None for process in started.running)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_processes_of_which_one_is_killed(optimizer, tmp_path):
    """They end with the parameters of one process on one device.

    In double precision: gloo adds the shares of a gradient in an order of its own, and where a
    gradient is next to nothing Adam divides that rounding by a root as small.
    """
    report = launch(optimizer, 20, 9, save_every=4, folder=tmp_path, x64=True)
    assert report.killed_at is not None and 9 <= report.killed_at < 20
    assert report.resumed_from in range(8, 20, 4)  # it may come to one more before it dies
    assert report.difference < 1e-12

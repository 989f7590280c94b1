r"""Multi-process data-parallel training with ZeRO-1, checkpoints, and resumption after a kill.

    python -m gdjax.lab.distributed --optimizer muon --kill-at 35

starts two processes on this machine, with four virtual CPU devices each, that train the digits
network together; kills one of them, restarts both from the last checkpoint, and compares the result
with a run of one process on one device. On several machines, start it on each, with a shared
folder:

    python -m gdjax.lab.distributed --coordinator HOST:PORT --processes 2 --process-id 0 \
        --folder DIR

Each device computes the gradient of its share of every batch. The gradients are averaged by a
reduce-scatter, each device has an eighth of the state, and process 0 writes the gathered checkpoint
to one file, atomically.
"""

from __future__ import annotations

__all__ = ["Report", "launch", "main", "train"]

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import gdjax as gd
from gdjax.lab import catalogue
from gdjax.lab.problems import digits_network

RATE = 1e-2
SAVED, ENDED = "saved.npz", "ended.npz"


class Report(NamedTuple):
    """Result of a run with a killed process."""

    killed_at: int | None  # the last step that the killed process reported
    resumed_from: int  # the step of the last save
    difference: float  # greatest, between its parameters and those of one process alone
    seconds: float  # all in all
    folder: Path


# ---------------------------------------------------------------- what each process does


def train(
    optimizer: str,
    steps: int,
    folder: Path,
    save_every: int = 10,
    log: Callable[[str], None] = print,
) -> Any:
    """Trains the digits network on all devices of all processes, from the last checkpoint on.

    Args:
        optimizer: A name, or a call without a learning rate.
        steps: The last step.
        folder: The folder of checkpoints, shared by all processes.
        save_every: Steps from one checkpoint to the next.
        log: Called with a line for every step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network: Any = digits_network()
    batch = network.batches(jax.random.key(0))
    n = jax.device_count()
    mesh = jax.make_mesh((n,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    whole, split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))

    def mine(i: int) -> Any:
        """A batch [devices, examples, ...] of which this process makes the rows of its devices."""
        share = jax.process_count()
        rows = [np.reshape(x, (n, len(x) // n, *x.shape[1:])) for x in jax.device_get(batch(i))]
        own = [np.split(x, share)[jax.process_index()] for x in rows]
        return tuple(jax.make_array_from_process_local_data(split, x) for x in own)

    with jax.set_mesh(mesh):
        tx = gd.sharding.zero(catalogue.read(optimizer, learning_rate=RATE))
        params = jax.jit(network.init, out_shardings=whole)(jax.random.key(1))
        placed = gd.sharding.state(tx, params)

        def step(params: Any, state: Any, batch: Any) -> Any:
            losses, grads = jax.vmap(jax.value_and_grad(network.loss), (None, 0))(params, batch)
            params, state = tx.step(gd.sharding.reduce_scatter(grads), state, params)
            return params, state, jnp.mean(losses)

        step = jax.jit(step, donate_argnums=(0, 1), out_shardings=(None, placed, whole))
        gather = jax.jit(lambda *held: _named(tx, *held), out_shardings=whole)
        first, params, state = _resumed(tx, params, placed, folder / SAVED)
        begin = time.monotonic()
        log(f"from {first}")
        for i in range(first, steps):
            params, state, loss = step(params, state, mine(i))
            if (i + 1) % save_every == 0:
                _write(folder / SAVED, i + 1, gather(params, state))
            log(f"step {i + 1} loss {loss:.6f} after {time.monotonic() - begin:.1f} s")
        _write(folder / ENDED, steps, gather(params, state))
    return jax.device_get(params)


def _named(tx: Any, params: Any, state: Any) -> dict[str, Any]:
    weights = {f"params/{i}": p for i, p in enumerate(jax.tree.leaves(params))}
    return {**weights, **gd.state.to_dict(tx, state)}


def _resumed(tx: Any, params: Any, placed: Any, path: Path) -> tuple[int, Any, Any]:
    """Step, parameters and state of the last checkpoint, or of the start."""
    if not path.exists():
        return 0, params, jax.jit(tx.init, out_shardings=placed)(params)
    saved = gd.state.load(path)
    first = int(saved.pop("step"))
    leaves, treedef = jax.tree.flatten(params)
    weights = [saved.pop(f"params/{i}") for i in range(len(leaves))]
    params = jax.device_put(treedef.unflatten(weights), jax.tree.map(lambda p: p.sharding, params))
    state, _ = gd.state.from_dict(tx, params, saved)
    return first, params, jax.device_put(state, placed)


def _write(path: Path, step: int, arrays: dict[str, Any]) -> None:
    """Writes a checkpoint by process 0, atomically."""
    if jax.process_index() == 0:
        gd.state.save(path, {**jax.device_get(arrays), "step": step})


def _work(arguments: argparse.Namespace) -> None:
    # One step at a time: gloo can wait for ever where a device is two collectives ahead of another.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    if arguments.processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            arguments.coordinator,
            arguments.processes,
            arguments.process_id,
            initialization_timeout=60,
            heartbeat_timeout_seconds=30,
        )
    folder = Path(arguments.folder or ".")
    if arguments.leash:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    log = lambda line: print(line, flush=True)
    train(arguments.optimizer, arguments.steps, folder, arguments.save_every, log)


def _end_with_parent() -> None:
    sys.stdin.read()  # is open as long as who started this process lives
    os._exit(1)


# ---------------------------------------------------------------- who starts and kills them


def launch(
    optimizer: str = "adamw",
    steps: int = 60,
    kill_at: int | None = 35,
    *,
    processes: int = 2,
    devices: int = 4,
    save_every: int = 10,
    x64: bool = False,
    folder: Path | None = None,
    timeout: float = 300,
) -> Report:
    """Trains by several processes of this machine, kills the last, restarts all, and compares.

    Args:
        optimizer: A name, or a call without a learning rate.
        steps: The number of steps.
        kill_at: The step at which a process is killed; None for no kill.
        processes: The number of processes.
        devices: Virtual CPU devices of each process.
        save_every: Steps from one checkpoint to the next.
        x64: Whether to train in double precision.
        folder: The folder for checkpoints and logs; a new one by default.
        timeout: Seconds for each of the three runs. No process outlives this call.

    Raises:
        RuntimeError: A process failed; the message has its last output.
        TimeoutError: A run took longer than `timeout`.
    """
    begin = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="gdjax-")) if folder is None else Path(folder)
    words = ["--optimizer", optimizer, "--steps", str(steps), "--save-every", str(save_every)]
    killed = None

    def group(name: str, place: Path, n: int = processes, devices: int = devices) -> _Group:
        place.mkdir(parents=True, exist_ok=True)  # for the logs, from the start
        return _Group([*words, "--folder", str(place)], n, devices, x64, place / name, timeout)

    with group("log", folder / "alone", 1, 1) as alone, group("first", folder) as first:
        killed = first.wait(kill_at)
        first.running[-1].kill()
        alone.wait()
    resumed_from = 0
    if kill_at is not None:
        with group("again", folder) as second:
            second.wait()
            resumed_from = int(second.log(0).split("from ", 1)[1].split()[0])
    ended, wanted = (gd.state.load(place / ENDED) for place in (folder, folder / "alone"))
    names = [name for name in wanted if name.startswith("params/")]
    difference = max(float(np.abs(ended[name] - wanted[name]).max()) for name in names)
    return Report(killed, resumed_from, difference, time.monotonic() - begin, folder)


class _Group:
    """A group of processes, which ends with the block."""

    def __init__(
        self, words: list[str], n: int, devices: int, x64: bool, log: Path, timeout: float
    ) -> None:
        self.until = time.monotonic() + timeout
        self.running: list[subprocess.Popen[bytes]] = []
        self.logs = [log.with_name(f"{log.name}-{i}.log") for i in range(n)]
        host = f"localhost:{_free_port()}"
        flags = f"--xla_force_host_platform_device_count={devices}"
        kept = [f for f in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in f]
        env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join([*kept, flags])}
        env["JAX_ENABLE_X64"] = str(int(x64))
        command = [sys.executable, "-m", "gdjax.lab.distributed", *words, "--coordinator", host]
        command += ["--leash", "--processes", str(n)]
        for i in range(n):
            numbered = [*command, "--process-id", str(i)]
            with open(self.logs[i], "w") as into:
                pipes: Any = {"stdin": subprocess.PIPE, "stdout": into, "stderr": subprocess.STDOUT}
                self.running.append(subprocess.Popen(numbered, env=env, **pipes))

    def __enter__(self) -> _Group:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.running:
            process.kill()
            process.wait()

    def log(self, i: int) -> str:
        return self.logs[i].read_text()

    def wait(self, step: int | None = None) -> int | None:
        """Waits until all have ended, or the last process has reached a step; returns which."""
        while True:
            codes = [process.poll() for process in self.running]
            failed = [i for i, code in enumerate(codes) if code]
            if failed:
                raise RuntimeError(f"process {failed[0]} failed:\n{self.log(failed[0])[-2000:]}")
            told = [line.split() for line in self.log(-1).splitlines()]
            at = max((int(line[1]) for line in told if line[:1] == ["step"]), default=0)
            if step is not None and at >= step:
                return at
            if None not in codes:
                return None
            if time.monotonic() > self.until:
                raise TimeoutError(f"a run took too long:\n{self.log(0)[-2000:]}")
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return taken.getsockname()[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Starts a run on this machine or, with a coordinator, joins one."""
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(
        "python -m gdjax.lab.distributed", description=__doc__, **layout
    )
    text = "a name, or a quoted call without a learning rate; default: adamw"
    parser.add_argument("--optimizer", default="adamw", help=text)
    parser.add_argument("--steps", type=int, default=60, help="default: 60")
    parser.add_argument("--save-every", type=int, default=10, help="default: 10")
    parser.add_argument("--processes", type=int, default=2, help="default: 2")
    parser.add_argument("--folder", help="for saves, seen by all processes; default: a new one")
    here = parser.add_argument_group("on this machine")
    here.add_argument("--devices", type=int, default=4, help="of each process; default: 4")
    here.add_argument("--kill-at", type=int, help="the step at which one process is killed")
    here.add_argument("--x64", action="store_true", help="in double precision")
    there = parser.add_argument_group("as one of the processes of a run")
    there.add_argument("--coordinator", help="HOST:PORT of process 0")
    there.add_argument("--process-id", type=int, default=0, help="from 0 on")
    there.add_argument("--leash", action="store_true", help="ends when its standard input ends")
    arguments = parser.parse_args(argv)
    if arguments.coordinator:
        _work(arguments)
        return 0
    report = launch(
        arguments.optimizer,
        arguments.steps,
        arguments.kill_at,
        processes=arguments.processes,
        devices=arguments.devices,
        save_every=arguments.save_every,
        x64=arguments.x64,
        folder=arguments.folder,
    )
    if report.killed_at is not None:
        print(f"killed at step {report.killed_at}, resumed from {report.resumed_from}")
    print(f"greatest difference from one process on one device: {report.difference:.1e}")
    print(f"{report.seconds:.1f} s; saves and logs in {report.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Trials: long runs of optimizers on a problem, each a line of a file as soon as it ends.

Runs in the file are not repeated, so interrupted trials continue where they stopped. Runs that
differ in numbers alone share a compiled program, and where the device has room for several of them
they are one program, vmapped over the optimizers.
"""

from __future__ import annotations

__all__ = ["Contestant", "attempt", "attempts", "load", "trials"]

import functools
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from gdjax.core.engine.transformation import call_update
from gdjax.lab import lines
from gdjax.lab.problem import Problem

MEASURES = 20
_KEYS = ("problem", "digest", "optimizer", "steps", "seed")  # what decides the numbers of a run


class Contestant(NamedTuple):
    """An optimizer with all of its numbers, for so many steps."""

    name: str
    steps: int
    tx: Any
    setting: Mapping[str, float] | None = None  # those of its numbers that were searched


def attempt(
    problem: Problem,
    contestant: Contestant,
    seed: int,
    measures: int = MEASURES,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """One run; see `attempts`."""
    return attempts(problem, [(contestant, seed)], measures, progress)[0]


def attempts(
    problem: Problem,
    together: Sequence[tuple[Contestant, int]],
    measures: int = MEASURES,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Runs of one optimizer in one program: losses before, some times on the way, and at the end.

    Each is data for JSON. A run ends in what is not finite. Its milliseconds a step are the least
    between two measures, on a CPU of the process's own time in all cores, since other work on the
    machine only adds; of several runs together a share.

    Args:
        problem: What is trained.
        together: Optimizers that differ in numbers alone, with seeds.
        measures: How often the loss is measured after the start.
        progress: Called with the name, the steps done and the steps of the run.
    """
    name, steps = together[0][0][:2]
    every = max(1, steps // measures)
    if progress:
        progress(name, 0, steps)  # compiling takes half a minute
    tx, seed = _stacked([one.tx for one, _ in together]), _stacked([seed for _, seed in together])
    begun = time.perf_counter()
    begin, advance, measure = _programs(problem, *jax.tree.flatten((tx, seed)), len(together))
    compiled = time.perf_counter()
    clock = time.process_time if jax.default_backend() == "cpu" else time.perf_counter
    carry = begin(tx, seed)
    at, losses, spent = [0], [_each(measure(tx, carry))], np.inf
    while at[-1] < steps and np.isfinite(losses[-1]).any():
        count, before = min(every, steps - at[-1]), clock()
        carry = jax.block_until_ready(advance(tx, carry, seed, at[-1], at[-1] + count))
        spent = min(spent, (clock() - before) / count)
        at.append(at[-1] + count)
        losses.append(_each(measure(tx, carry)))
        if progress:
            progress(name, at[-1], steps)
    times = {
        # Digits, not decimals: a step of a small problem takes 0.02 ms.
        "milliseconds": float(f"{1000 * spent / len(together):.4g}"),
        "compile_seconds": round(compiled - begun, 1),
        "together": len(together),
    }
    return [
        _key(problem, *one) | _about(one[0]) | _curve(at, own) | times
        for one, own in zip(together, np.transpose(losses))
    ]


def _stacked(values: Sequence[Any]) -> Any:
    """Trees of numbers as one tree of arrays [n]; a single one keeps its shapes."""
    stack = lambda *xs: jnp.stack([jnp.asarray(x) for x in xs]) if xs[1:] else jnp.asarray(xs[0])
    return jax.tree.map(stack, *values)


def _each(losses: Any) -> np.ndarray:
    return np.atleast_1d(np.asarray(losses, np.float64))


def _about(contestant: Contestant) -> dict[str, Any]:
    setting = contestant.setting
    return {"name": contestant.name} | ({} if setting is None else {"setting": dict(setting)})


def _curve(at: list[int], losses: np.ndarray) -> dict[str, Any]:
    """The losses up to the first that is not finite, which is None."""
    finite = np.isfinite(losses)
    end = len(at) if finite.all() else int(finite.argmin()) + 1
    return {
        "at": at[:end],
        "losses": [round(float(x), 5) if np.isfinite(x) else None for x in losses[:end]],
    }


def _programs(problem: Problem, leaves: list[Any], structure: Any, count: int) -> Any:
    kinds = tuple((x.shape, x.dtype) for x in leaves)
    return _compiled(problem, kinds, structure, count)


@functools.lru_cache(maxsize=8)
def _compiled(problem: Problem, kinds: Any, structure: Any, count: int) -> tuple[Any, Any, Any]:
    """Compiled, of optimizers and seeds: the start; some steps on; the loss at `eval_params`."""

    def begin(tx: Any, seed: Any) -> Any:
        params = problem.init(_keys(seed)[0])
        return params, tx.init(params)

    def advance(tx: Any, carry: Any, seed: Any, first: Any, last: Any) -> Any:
        batch = problem.batches(_keys(seed)[1]) if problem.batches else lambda i: None

        def step(i: Any, carry: Any) -> Any:
            params, state = carry
            now = batch(i)
            fun = lambda p: problem.loss(p, now)
            loss, grads = jax.value_and_grad(fun)(params)
            extra = {"value": loss, "grad": grads, "value_fn": fun}
            updates, state = call_update(tx, grads, state, params, extra)
            return gdjax.apply_updates(params, updates), state

        return jax.lax.fori_loop(first, last, step, carry)

    def measure(tx: Any, carry: Any) -> Any:
        params, state = carry
        return problem.loss(gdjax.state.eval_params(tx, state, params), None)

    over = jax.vmap if count > 1 else lambda function, in_axes: function
    begin, measure = over(begin, in_axes=(0, 0)), over(measure, in_axes=(0, 0))
    advance = over(advance, in_axes=(0, 0, 0, None, None))
    tx, seed = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*kind) for kind in kinds])
    number, carry = jax.ShapeDtypeStruct((), jnp.int32), jax.eval_shape(begin, tx, seed)
    return (
        jax.jit(begin).lower(tx, seed).compile(),
        jax.jit(advance, donate_argnums=1).lower(tx, carry, seed, number, number).compile(),
        jax.jit(measure).lower(tx, carry).compile(),
    )


def _keys(seed: Any) -> jax.Array:
    """The keys of the start and of the batches."""
    return jax.random.split(jax.random.key(seed))


def trials(
    problem: Problem,
    contestants: Iterable[Contestant],
    seeds: Iterable[int],
    path: str | os.PathLike[str],
    progress: Callable[[str, int, int], None] | None = None,
    *,
    together: int | None = None,
    measures: int = MEASURES,
) -> list[dict[str, Any]]:
    """Runs every contestant from every seed, but for what the file has, and adds each run to it.

    Args:
        problem: What is trained.
        contestants: Who runs; those of one name differ in numbers alone.
        seeds: From which they start and draw batches.
        path: A file of lines of JSON; it need not be there.
        progress: See `attempts`.
        together: Runs in one program: all of a name by default, one where a run uses the whole
            machine. Fewer take less memory.
        measures: See `attempts`.
    """
    path, known = Path(path), {_name(run): run for run in load(path)}
    wanted = [(c, seed) for c in contestants for seed in seeds]
    names = [_name(_key(problem, *one)) for one in wanted]
    missing: dict[str, list[tuple[Contestant, int]]] = {}
    for one, name in zip(wanted, names):
        if name not in known:
            missing.setdefault(one[0].name, []).append(one)
    total, done = sum(c.steps for runs in missing.values() for c, _ in runs), 0
    for runs in missing.values():
        size = together or (1 if problem.apart else len(runs))
        for chunk in (runs[i : i + size] for i in range(0, len(runs), size)):
            tell = progress and functools.partial(_tell, progress, done, len(chunk), total)
            for run in attempts(problem, chunk, measures, tell):
                lines.append(path, run)
                known[_name(run)] = run
            done += sum(one.steps for one, _ in chunk)
    return [known[name] for name in names]


def _tell(progress: Any, done: int, runs: int, total: int, name: str, step: int, _: int) -> None:
    progress(name, done + step * runs, total)


def _key(problem: Problem, contestant: Contestant, seed: int) -> dict[str, Any]:
    """What decides the numbers of a run."""
    return {
        "problem": problem.name,
        "digest": problem.digest,
        "optimizer": gdjax.spec(contestant.tx),
        "steps": contestant.steps,
        "seed": seed,
    }


def _name(run: dict[str, Any]) -> str:
    return json.dumps([run[key] for key in _KEYS], sort_keys=True)


def load(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The runs in a file; none if it is not there. A last line that was cut off is passed over.

    Raises:
        ValueError: Some other line is none of a run.
    """
    return lines.load(path, "trials", _read)


def _read(run: dict[str, Any]) -> dict[str, Any]:
    """The run in a line; raises where it is none."""
    _name(run)
    whole = all(isinstance(n, int) for n in (run["steps"], run["seed"], *run["at"]))
    numbers = [x for x in run["losses"] if x is not None] + [run["milliseconds"]]
    if not isinstance(run["name"], str) or not whole or not np.all(np.isfinite(numbers)):
        raise ValueError("other kinds of values")
    if not run["at"] or len(run["at"]) != len(run["losses"]):
        raise ValueError("losses that were not measured at these steps")
    return run

"""Trials: in how many steps optimizers reach the final loss of a baseline, as in speedruns.

Each optimizer has a schedule for its own number of steps. Runs are long and are made one after
another; each is a line of a file as soon as it ends. Runs in the file are not repeated, so an
interrupted trial continues where it stopped.
"""

from __future__ import annotations

__all__ = ["Contestant", "Outcome", "attempt", "below", "load", "outcomes", "trials"]

import functools
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from gdjax.core.engine.transformation import call_update
from gdjax.core.rule import errors
from gdjax.lab import lines
from gdjax.lab.problem import Problem
from gdjax.lab.standing import Spread

SIGNIFICANCE = 0.01
_MEASURES = 20  # how often a run reports its loss
_KEYS = ("problem", "digest", "optimizer", "steps", "seed")  # what decides the numbers of a run


class Contestant(NamedTuple):
    """An optimizer with all of its numbers, for so many steps."""

    name: str
    steps: int
    tx: Any


class Outcome(NamedTuple):
    """What a contestant's runs say."""

    name: str
    steps: int
    final: Spread | None  # None if all diverged
    needed: int | None  # the first measured step from which on its loss is below the target
    p: float | None  # that its final loss is no lower than the target; None where not asked
    milliseconds: float  # a step, the least of its runs: other work only adds


def below(losses: Sequence[float], target: Sequence[float]) -> float:
    """The probability that a mean is so far below another by chance: a one-sided z-test.

        z = (m₀ − m) / √(s²/n + s₀²/n₀),    p = 1 − Φ(z)

    m, s and n are mean, sample standard deviation and number of `losses`, those with a 0 of
    `target`. A target of one number is taken as exact, s₀ = 0.

    >>> round(below([1.0, 2.0, 3.0], [4.0]), 5)
    0.00027

    Args:
        losses: Two or more.
        target: One or more.

    Reference: the rules of the third track of https://github.com/KellerJordan/modded-nanogpt
    """
    one, other = np.asarray(losses, np.float64), np.asarray(target, np.float64)
    if one.size < 2 or not other.size:
        errors.fail("below", "there must be two losses and a target", f"{one.size}, {other.size}")
    of_mean = lambda x: float(x.var(ddof=1)) / x.size if x.size > 1 else 0.0
    ahead = float(other.mean() - one.mean())
    error = (of_mean(one) + of_mean(other)) ** 0.5
    if error == 0:
        return float(ahead <= 0)
    return NormalDist().cdf(-ahead / error)


def attempt(
    problem: Problem,
    contestant: Contestant,
    seed: int,
    every: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """One run: the loss before it, every so many steps, and at its end, as data for JSON.

    Args:
        problem: What is trained.
        contestant: Who runs, and how far.
        seed: Decides the start and the batches.
        every: Steps between two measures; a twentieth of them all by default.
        progress: Called with the name, the steps done and the steps of the run.
    """
    name, steps, tx = contestant
    every = every or max(1, steps // _MEASURES)
    if progress:
        progress(name, 0, steps)  # compiling takes half a minute
    begun = time.perf_counter()
    begin, advance, measure = _programs(problem, tx, every)
    compiled = time.perf_counter()
    start, batches = jax.random.split(jax.random.key(seed))
    carry = begin(start)
    at, losses, spent = [0], [float(measure(carry))], 0.0
    while at[-1] < steps and np.isfinite(losses[-1]):
        count, before = min(every, steps - at[-1]), time.perf_counter()
        carry = jax.block_until_ready(advance(carry, batches, at[-1], at[-1] + count))
        spent += time.perf_counter() - before
        at.append(at[-1] + count)
        losses.append(float(measure(carry)))
        if progress:
            progress(name, at[-1], steps)
    return {
        **_key(problem, contestant, seed),
        "name": name,
        "at": at,
        "losses": [round(x, 5) if np.isfinite(x) else None for x in losses],
        "milliseconds": round(1000 * spent / at[-1], 1),
        "compile_seconds": round(compiled - begun, 1),
    }


@functools.lru_cache(maxsize=8)
def _programs(problem: Problem, tx: Any, every: int) -> tuple[Any, Any, Any]:
    """Compiled, of a key: the start; some steps on; the loss at the evaluation parameters."""

    def begin(key: Any) -> Any:
        params = problem.init(key)
        return params, tx.init(params)

    def advance(carry: Any, key: Any, first: Any, last: Any) -> Any:
        batch = problem.batches(key) if problem.batches else lambda i: None

        def step(i: Any, carry: Any) -> Any:
            params, state = carry
            now = batch(i)
            fun = lambda p: problem.loss(p, now)
            loss, grads = jax.value_and_grad(fun)(params)
            extra = {"value": loss, "grad": grads, "value_fn": fun}
            updates, state = call_update(tx, grads, state, params, extra)
            return gdjax.apply_updates(params, updates), state

        return jax.lax.fori_loop(first, last, step, carry)

    def measure(carry: Any) -> Any:
        params, state = carry
        return problem.loss(gdjax.state.eval_params(tx, state, params), None)

    key, number = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((), jnp.int32)
    carry = jax.eval_shape(begin, key)
    return (
        jax.jit(begin).lower(key).compile(),
        jax.jit(advance, donate_argnums=0).lower(carry, key, number, number).compile(),
        jax.jit(measure).lower(carry).compile(),
    )


def trials(
    problem: Problem,
    contestants: Iterable[Contestant],
    seeds: int,
    path: str | os.PathLike[str],
    progress: Callable[[str, int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Runs every contestant from every seed, but for what the file has, and adds each run to it.

    Seed by seed, so that all have been seen early.

    Args:
        problem: What is trained.
        contestants: Who runs.
        seeds: How many, from 0.
        path: A file of lines of JSON; it need not be there.
        progress: See `attempt`.
    """
    path, known = Path(path), {_name(run): run for run in load(path)}
    wanted = [(c, seed) for seed in range(seeds) for c in contestants]
    names = [_name(_key(problem, *one)) for one in wanted]
    missing = [one for one, name in zip(wanted, names) if name not in known]
    total, done = sum(c.steps for c, _ in missing), 0
    for contestant, seed in missing:
        tell = progress and (
            lambda name, step, _, seed=seed, done=done: progress(
                f"{name}, seed {seed}", done + step, total
            )
        )
        run = attempt(problem, contestant, seed, progress=tell)
        lines.append(path, run)
        known[_name(run)] = run
        done += contestant.steps
    return [known[name] for name in names]


def outcomes(runs: Sequence[dict[str, Any]], baseline: str) -> list[Outcome]:
    """The table: the baseline first, then who needs the fewest steps.

    Args:
        runs: Of `trials`.
        baseline: The name of the contestant whose mean final loss is the target.

    Raises:
        ValueError: None of the runs is the baseline's.
    """
    grouped: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        grouped.setdefault(run["name"], []).append(run)
    if baseline not in grouped:
        must = f"one of the runs must be of the baseline, {baseline}"
        errors.fail("trials", must, ", ".join(grouped) or "none")
    target = _finals(grouped[baseline])
    told = [_outcome(name, group, target, name == baseline) for name, group in grouped.items()]
    rank = lambda one: (one.name != baseline, one.needed or np.inf, one.steps, one.name)
    return sorted(told, key=rank)


def _outcome(name: str, runs: list[dict[str, Any]], target: list[float], same: bool) -> Outcome:
    steps, needed, p = runs[0]["steps"], None, None
    if same:
        needed = steps
    elif len(runs) > 1 and all(run["at"][-1] == steps for run in runs):
        by_step = zip(runs[0]["at"], zip(*(run["losses"] for run in runs)))
        chances = [(at, 1.0 if None in ls else below(ls, target)) for at, ls in by_step]
        p = chances[-1][1]
        for at, chance in reversed(chances):
            if chance >= SIGNIFICANCE:
                break
            needed = at
    milliseconds = float(min(run["milliseconds"] for run in runs))
    return Outcome(name, steps, Spread.of(_finals(runs)), needed, p, milliseconds)


def _finals(runs: list[dict[str, Any]]) -> list[float]:
    return [np.nan if run["losses"][-1] is None else run["losses"][-1] for run in runs]


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

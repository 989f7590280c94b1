"""Optimizers at their defaults beside AdamW at its best rate, on eight small problems.

    python -m docs.scripts.without_a_rate                 the table of docs/howto/without-a-rate.md
    python -m docs.scripts.without_a_rate auto prodigy    only these

AdamW has warm-up and cosine decay, and the rate of the least mean final loss over the seeds: of
five, and of more beyond the first or the last while that is the best. The
constants of `gd.auto` were chosen on these problems, with another seed.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from gdjax.lab.charlm import Shape, charlm
from gdjax.lab.problem import Problem
from gdjax.lab.problems import digits, quadratic, rosenbrock

__all__ = ["PROBLEMS", "TABLE", "adamw", "best_adamw", "curve"]

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SEEDS = (20, 21, 22)
MARKS = 50  # how often the loss is measured in a run

TABLE = {
    "auto": gd.auto(),
    "prodigy": gd.prodigy(),
    "prodigy, schedule-free": gd.schedule_free(gd.prodigy(betas=(0.0, 0.99), estim_lr0=1e-4), 1.0),
    "mechanize(adam)": gd.with_polynomial_averaging(
        gd.mechanize(gd.adam(0.003, 0.8, 0.95, 0.0), 0.0, 0.0, s_init=1.0), 8.0
    ),
    "schedule_free_adamw": gd.schedule_free_adamw(),
    "schedule_free_plus_adamc": gd.schedule_free_plus_adamc(),
}


def _batches(data: tuple[np.ndarray, ...], size: int) -> Callable[..., Any]:
    """Rows drawn with replacement."""

    def batches(key):
        def batch(step):
            at = jax.random.randint(jax.random.fold_in(key, step), (size,), 0, len(data[0]))
            return tuple(jnp.asarray(x)[at] for x in data)

        return batch

    return batches


def _of(name: str, init: Any, loss: Any, data: Any, steps: int, size: int | None) -> Problem:
    """A problem whose loss(params, *data) is of all rows, or of a batch."""
    return Problem(
        name=name,
        description=name,
        init=init,
        loss=lambda p, batch=None: loss(p, *(map(jnp.asarray, batch or data))),
        steps=steps,
        batches=None if size is None else _batches(data, size),
    )


def _layer(key: Any, *shape: int) -> dict[str, Any]:
    deviation = float(np.prod(shape[:-1])) ** -0.5
    return {"w": deviation * jax.random.normal(key, shape), "b": jnp.zeros(shape[-1])}


def regression() -> Problem:
    """Three layers, on a function of three of eight inputs with noise of variance 0.01."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2048, 8)).astype(np.float32)
    y = np.sin(2 * x[:, 0]) * x[:, 1] + np.abs(x[:, 2]) + 0.1 * rng.standard_normal(2048)

    def init(key):
        shapes = {"first": (8, 64), "second": (64, 64), "third": (64, 1)}
        return {n: _layer(k, *shapes[n]) for n, k in zip(shapes, jax.random.split(key, 3))}

    def loss(p, x, y):
        for name in ("first", "second"):
            x = jnp.tanh(x @ p[name]["w"] + p[name]["b"][None])
        return jnp.mean(((x @ p["third"]["w"])[:, 0] + p["third"]["b"] - y) ** 2)

    return _of("regression", init, loss, (x, y.astype(np.float32)), 500, 64)


def textures() -> Problem:
    """Two convolutions, on noise of six spectra."""
    rng = np.random.default_rng(2)
    kinds, count, side = 6, 1024, 12
    y = rng.integers(0, kinds, count).astype(np.int32)
    spectra = rng.random((kinds, side, side // 2 + 1)) ** 4
    noise = np.fft.rfft2(rng.standard_normal((count, side, side)))
    x = np.fft.irfft2(noise * spectra[y], s=(side, side))
    x = (x / x.std() + 0.3 * rng.standard_normal(x.shape)).astype(np.float32)[..., None]

    def init(key):
        shapes = {"one": (3, 3, 1, 8), "two": (3, 3, 8, 16), "out": (16, kinds)}
        return {n: _layer(k, *shapes[n]) for n, k in zip(shapes, jax.random.split(key, 3))}

    def loss(p, x, y):
        for name, stride in (("one", 1), ("two", 2)):
            axes = ("NHWC", "HWIO", "NHWC")
            x = jax.lax.conv_general_dilated(
                x, p[name]["w"], (stride, stride), "SAME", dimension_numbers=axes
            )
            x = jax.nn.relu(x + p[name]["b"][None, None, None])
        logits = jnp.mean(x, (1, 2)) @ p["out"]["w"] + p["out"]["b"][None]
        return jnp.mean(gd.softmax_cross_entropy_with_integer_labels(logits, y))

    return _of("textures", init, loss, (x, y), 300, 32)


def logistic() -> Problem:
    """Logistic regression from zero, on features whose sizes differ by a factor of 100."""
    rng = np.random.default_rng(3)
    sizes = np.geomspace(0.03, 3, 40)
    x = (rng.standard_normal((1000, 40)) * sizes).astype(np.float32)
    w = rng.standard_normal(40) / sizes**0.5
    y = (rng.random(1000) < 1 / (1 + np.exp(-x @ w))).astype(np.float32)

    def loss(p, x, y):
        z = x @ p["w"] + p["b"]
        return jnp.mean(jax.nn.softplus(z) - y * z)

    init = lambda key: {"w": jnp.zeros(40), "b": jnp.zeros(())}
    return _of("logistic", init, loss, (x, y), 400, 32)


def far() -> Problem:
    """Least squares from zero, whose solution has entries of about 100."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((500, 10)).astype(np.float32)
    y = (x @ (100 * rng.standard_normal(10)) + 300).astype(np.float32)
    loss = lambda p, x, y: jnp.mean((x @ p["w"] + p["b"] - y) ** 2)
    init = lambda key: {"w": jnp.zeros(10), "b": jnp.zeros(())}
    return _of("far", init, loss, (x, y), 500, None)


def characters() -> Problem:
    """A transformer of one layer, width 48."""
    shape = Shape(layers=1, heads=2, width=48, context=24, batch=8)
    return dataclasses.replace(charlm(shape=shape), steps=300)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "quadratic": lambda: dataclasses.replace(quadratic(), steps=300),
    "rosenbrock": lambda: dataclasses.replace(rosenbrock(), steps=1000),
    "digits": lambda: dataclasses.replace(digits(), steps=300),
    "regression": regression,
    "textures": textures,
    "logistic": logistic,
    "far": far,
    "characters": characters,
}


def adamw(rate: float, steps: int) -> Any:
    """AdamW with a twentieth of warm-up and cosine decay."""
    return gd.adamw(gd.warmup_cosine_decay_schedule(0.0, rate, steps // 20, steps))


def curve(
    problem: Problem, tx: Any, seeds: Sequence[int] = SEEDS[:1], part: float = 1.0
) -> tuple[int, np.ndarray]:
    """Steps between marks, and the loss at the start and at each mark, the mean over seeds."""
    every = max(problem.steps // MARKS, 1)
    marks = jnp.arange(int(part * problem.steps) // every)

    @jax.jit
    def run(key):
        start = problem.init(key)
        batch = problem.batches(jax.random.fold_in(key, 1)) if problem.batches else lambda _: None

        def one(carry, step):
            params, state = carry
            value, grads = jax.value_and_grad(problem.loss)(params, batch(step))
            return tx.step(grads, state, params, value=value), None

        def mark(carry, i):
            (params, state), _ = jax.lax.scan(one, carry, i * every + jnp.arange(every))
            return (params, state), problem.loss(gd.state.eval_params(tx, state, params))

        losses = jax.lax.scan(mark, (start, tx.init(start)), marks)[1]
        return jnp.concatenate([problem.loss(start)[None], losses])

    return every, np.mean([run(jax.random.key(seed)) for seed in seeds], axis=0)


def best_adamw(problem: Problem) -> tuple[float, float]:
    """The best rate, which is not at the end of those tried, and its final loss."""
    final: dict[float, float] = {}
    wanted = list(RATES)
    while wanted:
        for rate in wanted:
            last = curve(problem, adamw(rate, problem.steps), SEEDS)[1][-1]
            final[rate] = float(last) if np.isfinite(last) else np.inf
        best = min(final, key=lambda rate: final[rate])
        wanted = [best / 3] * (best == min(final)) + [best * 3] * (best == max(final))
    return best, final[best]


def _cell(every: int, losses: np.ndarray, target: float) -> str:
    """The final loss, and the first mark at which the target is reached."""
    reached = np.flatnonzero(losses <= target)
    return f"{losses[-1]:.3g} ({reached[0] * every if len(reached) else '–'})"


def main(names: Sequence[str]) -> None:
    """Prints the table, a problem a line."""
    names = names or list(TABLE)
    print("| problem | steps | rate of AdamW |", "AdamW |", *(f"{n} |" for n in names))
    print("| --- " * (len(names) + 4) + "|")
    for name, make in PROBLEMS.items():
        problem = make()
        best, target = best_adamw(problem)
        cells = [_cell(*curve(problem, TABLE[n], SEEDS), target) for n in names]
        row = [name, str(problem.steps), f"{best:.1g}", f"{target:.3g}", *cells]
        print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

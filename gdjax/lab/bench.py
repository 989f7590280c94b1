"""Benchmark of optimizer steps against optax: bytes and copies of compiled programs, and times.

Bytes and copies are read from programs, so they have no noise. Times are medians of ratios of
interleaved pairs in one process; nothing here is a test of speed. `gdjax bench` prints the tables.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gdjax as gd
from gdjax.programs import models
from gdjax.programs.tables import markdown

__all__ = [
    "Cost",
    "Pairing",
    "clocked",
    "compare",
    "cost",
    "few_bits",
    "markdown",
    "matrices",
    "pairs",
    "tables",
    "wrapped",
]

RATE = 1e-3


class Pairing(NamedTuple):
    """One comparison: the name, and the transformations of gdjax and optax."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


class Cost(NamedTuple):
    """Costs of one compiled step for each parameter."""

    bytes: float  # read and written
    temporary: float  # bytes of buffers that are neither arguments nor results
    copies: int  # instructions that copy an array


def example_tree(leaves: int = 150) -> dict[str, dict[str, jax.Array]]:
    """Matrices and vectors as in a network: `leaves` arrays of 16 × 32 and of 32 numbers."""
    return {
        f"layer{i}": {"kernel": jnp.full((16, 32), 0.1), "bias": jnp.zeros(32)}
        for i in range(leaves // 2)
    }


def large_tree(size: int = 512) -> dict[str, jax.Array]:
    """Two square matrices of `size`."""
    return {"a": jnp.full((size, size), 0.1), "b": jnp.full((size, size), -0.1)}


def real_tree() -> dict[str, Any]:
    """The shapes of ResNet-50 at half its width: 161 arrays, most of them small."""
    return jax.tree.map(lambda x: jnp.full(x.shape, 0.1, x.dtype), models.resnet50(width=32))


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, params)


def pairs() -> dict[str, tuple[Any, Any]]:
    """The optimizers to compare, of gdjax and of optax."""
    import optax

    return {
        "sgd": (gd.sgd(RATE), optax.sgd(RATE)),
        "sgd, momentum": (gd.sgd(RATE, momentum=0.9), optax.sgd(RATE, momentum=0.9)),
        "rmsprop": (gd.rmsprop(RATE), optax.rmsprop(RATE)),
        "adam": (gd.adam(RATE), optax.adam(RATE)),
        "adamw": (gd.adamw(RATE), optax.adamw(RATE)),
        "lion": (gd.lion(RATE), optax.lion(RATE)),
        "adafactor": (gd.adafactor(RATE), optax.adafactor(RATE)),
        "clip + adamw + schedule + mask": (
            gd.chain(
                gd.clip_by_global_norm(1.0),
                gd.adamw(gd.cosine_decay_schedule(RATE, 1000), mask=_matrices),
            ),
            optax.chain(
                optax.clip_by_global_norm(1.0),
                optax.adamw(optax.cosine_decay_schedule(RATE, 1000), mask=_matrices),
            ),
        ),
    }


def wrapped() -> dict[str, tuple[Any, Any]]:
    """Guards and gradient accumulation around adam, of gdjax and of optax."""
    import optax

    return {
        "accumulate(adam, 4)": (
            gd.accumulate(gd.adam(RATE), 4),
            optax.MultiSteps(optax.adam(RATE), 4),
        ),
        "apply_if_finite(adam)": (
            gd.apply_if_finite(gd.adam(RATE)),
            optax.apply_if_finite(optax.adam(RATE), 5),
        ),
    }


def _step(tx: Any, by_update: bool = False) -> Callable[..., Any]:
    """Update and apply, donated in the order in which it returns: JAX pairs buffers so."""
    import optax

    if isinstance(tx, gd.GradientTransformation) and not by_update:
        return lambda params, state, grads: tx.step(grads, state, params)

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step


def cost(tx: Any, params: Any = None, by_update: bool = False) -> Cost:
    """Counts the costs of a compiled and donated step of a transformation of either library."""
    params = large_tree() if params is None else params
    arguments = params, tx.init(params), params
    program: Any = jax.jit(_step(tx, by_update), donate_argnums=(0, 1)).lower(*arguments).compile()
    size = sum(x.size for x in jax.tree.leaves(params))
    copies = re.findall(r"\[\d[\d,]+\]\S* copy\(", program.as_text())  # of arrays, not of scalars
    moved = program.cost_analysis()["bytes accessed"]
    return Cost(moved / size, program.memory_analysis().temp_size_in_bytes / size, len(copies))


def _compiled(tx: Any, params: Any, calls: int = 1, by_update: bool = False) -> Callable[[], Any]:
    step = jax.jit(_step(tx, by_update), donate_argnums=(0, 1))
    grads = jax.tree.map(lambda p: 0.01 * p, params)
    held = [jax.tree.map(jnp.copy, params), tx.init(params)]

    def call() -> Any:
        for _ in range(calls):
            held[:] = step(*held, grads)
        return held

    return call


def _four(tx: Any, params: Any) -> Callable[[], Any]:
    return _compiled(tx, params, 4)


def _four_updates(tx: Any, params: Any) -> Callable[[], Any]:
    return _compiled(tx, params, 4, by_update=True)


def _eager(tx: Any, params: Any) -> Callable[[], Any]:
    state, grads = tx.init(params), jax.tree.map(lambda p: 0.01 * jnp.ones_like(p), params)
    return lambda: tx.update(grads, state, params)


def _traced(tx: Any, params: Any) -> Callable[[], Any]:
    state = tx.init(params)
    return lambda: jax.jit(lambda *a: tx.update(*a)).trace(params, state, params).lower()


def compare(pairing: Pairing, repeats: int = 15) -> dict[str, float]:
    """Median milliseconds of each, and the median of the ratios of pairs."""

    def clock(function: Callable[[], Any]) -> float:
        start = time.perf_counter()
        jax.block_until_ready(function())
        return 1e3 * (time.perf_counter() - start)

    clock(pairing.ours), clock(pairing.theirs)  # compiles
    times = [(clock(pairing.ours), clock(pairing.theirs)) for _ in range(repeats)]
    return {
        "gdjax": statistics.median(ours for ours, _ in times),
        "optax": statistics.median(theirs for _, theirs in times),
        "ratio": statistics.median(theirs / ours for ours, theirs in times),
    }


def clocked() -> Iterator[tuple[str, list[Pairing], int]]:
    """The timed comparisons: step, parameters and repetitions."""
    both, small = {**pairs(), **wrapped()}, example_tree()
    large, real = large_tree(2048), real_tree()
    few, many = "8 million parameters in 2 arrays", "7 million in 161 (ResNet-50, half width)"
    some = ["adamw", "lion", "adafactor", "clip + adamw + schedule + mask"]  # as long compiling
    kinds = (
        (f"Compiled step, {few}", _compiled, large, pairs(), 21),
        (f"Compiled step, {many}", _compiled, real, some, 11),
        (f"Four compiled steps, {few}", _four, large, wrapped(), 11),
        (f"Four compiled steps, {many}", _four, real, wrapped(), 11),
        ("Four times `update` and apply, compiled", _four_updates, large, wrapped(), 11),
        ("`update` outside of `jit`, 150 leaves", _eager, small, pairs(), 11),
        ("Trace and lower `update`, 150 leaves", _traced, small, ["adamw"], 21),
    )
    for title, make, params, names, repeats in kinds:
        found = [Pairing(n, *(make(tx, params) for tx in both[n])) for n in names]
        yield title, found, repeats


def tables() -> Iterator[tuple[list[str], list[list[str]]]]:
    """Heads and rows of the tables, as they are measured."""
    head = [
        "Compiled step, per parameter",
        "bytes",
        "optax",
        "temporary",
        "optax",
        "copies",
        "optax",
    ]
    rows = []
    for name, (ours, theirs) in {**pairs(), **wrapped()}.items():
        a, b = cost(ours), cost(theirs)
        temporary = f"{a.temporary:.2f}", f"{b.temporary:.2f}"
        moved = f"{a.bytes:.1f}", f"{b.bytes:.1f}"
        rows.append([name, *moved, *temporary, str(a.copies), str(b.copies)])
    yield head, rows
    for title, pairings, repeats in clocked():
        measured = [(p.name, compare(p, repeats)) for p in pairings]
        yield (
            [title, "gdjax, ms", "optax, ms", "times faster"],
            [
                [name, f"{m['gdjax']:.2g}", f"{m['optax']:.2g}", f"{m['ratio']:.1f}"]
                for name, m in measured
            ],
        )
    yield few_bits()
    yield matrices()


def matrices(
    layers: int = 12, width: int = 256, repeats: int = 9
) -> tuple[list[str], list[list[str]]]:
    """Muon on the matrices of a transformer, by default and in Gram form, against optax."""
    import optax

    sides = {"qkv": (1, 3), "proj": (1, 1), "up": (1, 4), "down": (4, 1)}
    drawn = lambda m, n: jax.random.normal(jax.random.key(0), (m * width, n * width))
    layer = {name: drawn(m, n) for name, (m, n) in sides.items()}
    params = {f"layer{i}": dict(layer) for i in range(layers)}
    theirs, rows = optax.contrib.muon(RATE), []
    parts = gd.ema(0.95), gd.orthogonalize(gram=True), gd.scale_by_shape()
    gram = gd.chain(*parts, gd.scale_by_learning_rate(RATE))
    for name, ours in {"muon": gd.muon(RATE), "muon, Gram form": gram}.items():
        times = compare(Pairing(name, _compiled(ours, params), _compiled(theirs, params)), repeats)
        compiled, temporary = zip(*(_built(tx, params) for tx in (ours, theirs)))
        rows.append(
            [
                name,
                *(f"{times[key]:.0f}" for key in ("gdjax", "optax")),
                f"{times['ratio']:.1f}",
                *(f"{seconds:.1f}" for seconds in compiled),
                *(f"{size / 1e6:.0f}" for size in temporary),
            ]
        )
    head = [f"{4 * layers} matrices of width {width}", "ms", "optax, ms", "times faster"]
    return [*head, "compiles, s", "optax, s", "temporary, MB", "optax, MB"], rows


def _built(tx: Any, params: Any) -> tuple[float, int]:
    """Seconds to compile a donated step, and the bytes of its temporary buffers."""
    jitted, begun = jax.jit(_step(tx), donate_argnums=(0, 1)), time.perf_counter()
    program: Any = jitted.lower(params, tx.init(params), params).compile()
    return time.perf_counter() - begun, program.memory_analysis().temp_size_in_bytes


def few_bits() -> tuple[list[str], list[list[str]]]:
    """Cost of quantized AdamW state: bytes, and time against plain AdamW."""
    params, plain, rows = large_tree(2048), gd.adamw(RATE), []
    size = sum(x.size for x in jax.tree.leaves(params))
    for format in ("8bit", "8bit-linear", "8bit-companded", "bf16"):
        tx = gd.store(plain, format)
        kept = gd.state.nbytes(jax.eval_shape(tx.init, params)) / size
        times = compare(Pairing(format, _compiled(tx, params), _compiled(plain, params)), 11)
        longer = f"{1 / times['ratio']:.1f}"
        milliseconds = f"{times['gdjax']:.2g}", f"{times['optax']:.2g}"
        temporary = f"{cost(tx).temporary:.1f}"
        rows.append([f'store(adamw, "{format}")', f"{kept:.2f}", temporary, *milliseconds, longer])
    head = ["State in few bits, 8 million parameters", "bytes of state", "temporary", "ms"]
    return [*head, "adamw, ms", "times as long"], rows

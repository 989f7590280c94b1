"""How long calls outside of `jit` take, beside optax: `python -m gdjax.lab.bench`.

Ratios of interleaved pairs, medians; nothing here is a test of speed, for clocks are noisy.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gdjax as gd

__all__ = ["Pairing", "compare", "eager_pairings", "main"]


class Pairing(NamedTuple):
    """One comparison: the name, and what ours and theirs do."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


def example_tree(leaves: int = 150) -> dict[str, dict[str, jax.Array]]:
    """Matrices and vectors as in a network: `leaves` arrays of 16 × 32 and of 32 numbers."""
    return {
        f"layer{i}": {"kernel": jnp.full((16, 32), 0.1), "bias": jnp.zeros(32)}
        for i in range(leaves // 2)
    }


def eager_pairings(leaves: int = 150) -> list[Pairing]:
    """`update` called outside of `jit` on a tree of many leaves."""
    import optax

    params = example_tree(leaves)
    grads = jax.tree.map(lambda p: 0.01 * jnp.ones_like(p), params)
    rate = 1e-3
    pairs = {
        "sgd, momentum": (gd.sgd(rate, momentum=0.9), optax.sgd(rate, momentum=0.9)),
        "adamw": (gd.adamw(rate), optax.adamw(rate)),
        "clip + adamw + schedule": (
            gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(gd.cosine_decay_schedule(rate, 1000))),
            optax.chain(
                optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(rate, 1000))
            ),
        ),
    }

    def call(tx: Any) -> Callable[[], Any]:
        state = tx.init(params)
        return lambda: tx.update(grads, state, params)

    return [Pairing(name, call(ours), call(theirs)) for name, (ours, theirs) in pairs.items()]


def compare(pairing: Pairing, repeats: int = 15) -> dict[str, float]:
    """Milliseconds of each, medians, and the median of the ratios pair by pair."""

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


def main() -> None:
    """Prints a table in Markdown."""
    import optax

    print(f"jax {jax.__version__}, optax {optax.__version__}, {jax.devices()[0].device_kind}\n")
    print("| `update` outside of `jit`, 150 leaves | gdjax, ms | optax, ms | times faster |")
    print("|---|---|---|---|")
    for pairing in eager_pairings():
        row = compare(pairing)
        print(f"| {pairing.name} | {row['gdjax']:.1f} | {row['optax']:.0f} | {row['ratio']:.0f} |")


if __name__ == "__main__":
    main()

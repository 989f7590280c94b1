"""Runs histories: `python -m tests.histories --count 100000 --seed 0`, resumed by the seed."""

from __future__ import annotations

import argparse  # noqa: E402
import collections  # noqa: E402
import logging  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402

import jax  # noqa: E402

import tests.conftest  # noqa: F401, eight devices and strict promotion
from tests.histories.histories import BLOCK, history, kind_of, play, shrink  # noqa: E402

EVERY = 10 * BLOCK  # histories, after which the programs are forgotten


def summary(counts: collections.Counter, kinds: collections.Counter) -> str:
    faults = sum(kinds.values())
    return f"{counts['histories']} histories, {counts['steps']} steps, {faults} faults"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.histories", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many histories")
    parser.add_argument("--seed", type=int, default=0, help="the number of the first")
    parser.add_argument("--minutes", type=float, default=1e9, help="the most time")
    parser.add_argument("--shrink", type=float, default=60.0, help="seconds for each kind of fault")
    given = parser.parse_args()
    jax.config.update("jax_compilation_cache_dir", None)  # would grow by every program
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax, of what a fault broke off
    warnings.simplefilter("ignore", RuntimeWarning)  # NumPy, of NaNs that are meant
    counts, kinds = collections.Counter(), collections.Counter()
    start, number = time.monotonic(), given.seed
    for number in range(given.seed, given.seed + given.count):
        if number % EVERY == 0:
            jax.clear_caches()  # each program maps memory
            seconds = time.monotonic() - start
            print(f"# at {number}: {summary(counts, kinds)}, {seconds:.0f} s", flush=True)
        if time.monotonic() - start > 60 * given.minutes:
            number -= 1
            break
        fault = play(history(number), counts)
        if fault is None:
            continue
        kinds[kind := kind_of(fault.error)] += 1
        if kinds[kind] == 1:
            fault = shrink(fault, given.shrink)
        if kinds[kind] <= 3:
            print(f"\n# fault {number}\n{fault}\n", flush=True)
    print(f"# {summary(counts, kinds)}; resume with --seed {number + 1}")
    for name, n in counts.most_common():
        print(f"{name:20} {n:9,}")
    for kind, n in kinds.most_common():
        print(f"fault {n:4}  {kind}")
    return bool(kinds)


if __name__ == "__main__":
    raise SystemExit(main())

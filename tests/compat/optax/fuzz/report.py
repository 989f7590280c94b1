"""Draws calls, runs them, and reports what was found by factory."""

from __future__ import annotations

import argparse
import ast
import collections
import dataclasses
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax

from gdjax.core.rule.numerics import enable_x64
from tests.compat.optax.fuzz.compare import Found
from tests.compat.optax.fuzz.differences import allowed
from tests.compat.optax.fuzz.factories import LANES, Call, call, names, parameters
from tests.compat.optax.fuzz.runs import compiled, difference

__all__ = ["Row", "main", "rows"]


class Row(NamedTuple):
    """A call, what was found, and the row of the table of differences that has it, or ""."""

    call: Call
    found: Found
    reason: str

    @property
    def kind(self) -> str:
        """What the summary calls it."""
        if not self.found.disagrees:
            return self.found.kind
        return "listed" if self.reason else "DISAGREES"


def rows(
    count: int, start: int = 0, only: tuple[str, ...] = (), lanes: int = LANES
) -> Iterator[Row]:
    """Runs calls, the functions in turn.

    Args:
        count: The number of calls.
        start: The number of the first group of calls, of one function and one structure.
        only: The functions of optax; all by default.
        lanes: How many calls of one structure are run, of at most `LANES`.
    """
    chosen, done = only or names(), 0
    while done < count:
        name, group = chosen[start % len(chosen)], start // len(chosen)
        for lane in range(min(lanes, count - done)):
            it = call(name, group * LANES + lane)
            found = difference(it)
            yield Row(it, found, allowed(it, found) if found.disagrees else "")
            done += 1
        compiled.cache_clear()
        if start % 50 == 49:
            jax.clear_caches()
        start += 1


@dataclasses.dataclass
class Tally:
    """What was found by function: kinds, texts, arguments; and by row of the table."""

    kinds: dict[str, collections.Counter] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(collections.Counter)
    )
    texts: dict[str, set[str]] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(set)
    )
    listed: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    printed: set[tuple[str, str]] = dataclasses.field(default_factory=set)

    def add(self, row: Row, verbose: bool) -> None:
        """Counts a row, and prints the first one of its structure that disagrees."""
        it, found = row.call, row.found
        shown = row.kind == "DISAGREES" or (verbose and row.kind == "optax refuses")
        if shown and (it.text, found.kind) not in self.printed:
            self.printed.add((it.text, found.kind))
            print(f"{it.pasteable}\n    {found.kind}: {found.what}")
            print(f"    --only {it.name}, seed {it.seed}, tree {it.tree!r}", flush=True)
        self.kinds[it.name][row.kind] += 1
        self.texts[it.name].add(it.text)
        if row.reason:
            self.listed[row.reason] += 1

    def lines(self) -> Iterator[str]:
        """The summary."""
        kinds = sorted({kind for counts in self.kinds.values() for kind in counts})
        head = "".join(f"{kind:>15}" for kind in kinds)
        yield f"{'function':40}{'calls':>7}{'forms':>7}{'arguments':>11}{head}"
        for name, counts in sorted(self.kinds.items()):
            tried = set().union(*map(arguments, [name] * len(self.texts[name]), self.texts[name]))
            share = f"{len(tried)}/{len(parameters(name))}"
            cells = "".join(f"{counts[kind] or '':>15}" for kind in kinds)
            yield f"{name:40}{counts.total():7}{len(self.texts[name]):7}{share:>11}{cells}"
        yield "\nlisted in the table of differences:"
        yield from (f"{number:7} {reason}" for reason, number in self.listed.most_common())
        total = sum(counts.total() for counts in self.kinds.values())
        yield f"{total} calls of {len(self.kinds)} functions, {self.faults} disagree"

    @property
    def faults(self) -> int:
        """The calls that disagree outside of the table."""
        return sum(counts["DISAGREES"] for counts in self.kinds.values())


def arguments(name: str, text: str) -> set[str]:
    """The arguments of a function that are given in a call."""
    known = [p.name for p in parameters(name)]
    for node in ast.walk(ast.parse(text, mode="eval")):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"o.{name}":
            return {*known[: len(node.args)], *(k.arg for k in node.keywords if k.arg)}
    return set()


def main(given: list[str] | None = None) -> int:
    """Prints each disagreement as a call, and a summary by function, also when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.compat.optax.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="number of calls")
    parser.add_argument("--seed", type=int, default=0, help="the first group of calls")
    parser.add_argument("--lanes", type=int, default=LANES, help="calls of one structure")
    parser.add_argument("--verbose", action="store_true", help="prints what optax refuses, too")
    parser.add_argument("--only", nargs="*", default=(), help="names of optax, as contrib.muon")
    options = parser.parse_args(given)
    if unknown := set(options.only) - {*names()}:
        parser.error(f"no functions of optax: {', '.join(sorted(unknown))}")
    tally, started = Tally(), time.time()
    try:
        with enable_x64(True):
            for row in rows(options.count, options.seed, tuple(options.only), options.lanes):
                tally.add(row, options.verbose)
    except KeyboardInterrupt:
        print("interrupted")
    print(*tally.lines(), f"{time.time() - started:.0f} s", sep="\n", flush=True)
    return tally.faults

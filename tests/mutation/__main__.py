"""Runs mutants, each under a time limit, and keeps or prints what notices them."""

import argparse
import pathlib
import time

from . import tables, unseen
from .sites import mutants
from .worker import Worker

LIMIT = 300  # seconds for one mutant


def run(chosen, results, limit):
    """Runs mutants, appends what notices each to a file, and yields both with the seconds."""
    worker = Worker(limit)
    for mutant in chosen:
        start = time.monotonic()
        by = worker.caught(mutant)
        if results:
            with results.open("a") as file:
                file.write(tables.line(mutant.key, by))
        yield mutant, by, time.monotonic() - start


def main():
    """Runs the mutants chosen that have no result, or prints them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("files", nargs="*", help="names of files, as adam; by default all")
    parser.add_argument(
        "--results",
        type=pathlib.Path,
        default=tables.RESULTS,
        help="what noticed each; mutants in it are done (docs/data/mutants.jsonl)",
    )
    parser.add_argument("--only", metavar="PLACE", help="file:line, file:line:column, or a name")
    parser.add_argument("--survivors", action="store_true", help="again those that nothing noticed")
    parser.add_argument("--listed", action="store_true", help="run those of unseen.toml only")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="every n-th, from the k-th")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one mutant")
    parser.add_argument("--list", action="store_true", help="print the mutants only")
    arguments = parser.parse_args()
    chosen, again = _chosen(arguments)
    if arguments.list:
        print("\n".join(f"{m.line}:{m.column} {m.key}" for m in chosen))
        return
    survivors = 0
    results = None if again else arguments.results
    for mutant, by, seconds in run(chosen, results, arguments.limit):
        survivors += by is None
        print(
            f"{seconds:5.1f} s  {by or 'survived'}: {mutant.key} (line {mutant.line})", flush=True
        )
    print(f"{len(chosen)} mutants, {survivors} survived")


def _chosen(arguments):
    """The mutants to run, and whether they are tried again without writing what is found."""
    found, done = mutants(arguments.files), tables.read(arguments.results)
    known, (k, n) = unseen.reasons(), map(int, arguments.part.split("/"))
    if arguments.only:
        return [m for m in found if m.at(arguments.only)], True
    if arguments.listed:
        return [m for m in found if m.key in known], True
    left = {name for name, by in done.items() if by is None} if arguments.survivors else None
    new = lambda m: m.key not in done if left is None else m.key in left
    return [m for m in found if m.key not in known and new(m)][k - 1 :: n], False


if __name__ == "__main__":
    main()

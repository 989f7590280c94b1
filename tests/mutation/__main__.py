"""Runs mutants, each under a time limit, and prints or counts what notices them."""

import argparse
import json
import pathlib
import time

from . import tables, unseen
from .sites import mutants
from .worker import Worker

LIMIT = 300  # seconds for one mutant


def run(chosen, results, limit):
    """Runs mutants, appends what notices each to a file, and yields both."""
    worker = Worker(limit)
    for mutant in chosen:
        start = time.monotonic()
        by = worker.caught(mutant)
        seconds = round(time.monotonic() - start, 1)
        if results:
            with results.open("a") as file:
                line = {"mutant": mutant.key, "by": by, "line": mutant.line, "seconds": seconds}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        yield mutant, by


def main():
    """Runs the mutants chosen, or writes tables of what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("files", nargs="*", help="names of files, as adam; by default all")
    parser.add_argument("--results", type=pathlib.Path, help="a file; mutants in it are done")
    parser.add_argument("--only", metavar="PLACE", help="file:line, file:line:column, or a name")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="every n-th, from the k-th")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one mutant")
    parser.add_argument("--list", action="store_true", help="print the mutants only")
    parser.add_argument("--totals", action="store_true", help="write docs/data/mutants.jsonl")
    parser.add_argument("--listed", action="store_true", help="run those of unseen.toml only")
    arguments = parser.parse_args()
    k, n = map(int, arguments.part.split("/"))
    chosen = list(mutants(arguments.files))[k - 1 :: n]
    done = tables.read(arguments.results) if arguments.results else {}
    known = unseen.reasons()
    if arguments.only:
        chosen = [m for m in chosen if m.at(arguments.only)]
    else:
        wanted = (lambda m: m.key in known) if arguments.listed else (lambda m: m.key not in known)
        chosen = [m for m in chosen if m.key not in done and wanted(m)]
    if arguments.list:
        print("\n".join(f"{m.line}:{m.column} {m.key}" for m in chosen))
    elif arguments.totals:
        tables.write_totals(done)
    else:
        survivors = 0
        for mutant, by in run(chosen, arguments.results, arguments.limit):
            survivors += by is None
            if by is None or arguments.only or arguments.listed:
                print(f"{by or 'survived':20} {mutant.key} (line {mutant.line})", flush=True)
        print(f"{len(chosen)} mutants, {survivors} survived")


if __name__ == "__main__":
    main()

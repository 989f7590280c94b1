"""Results of mutants: the lines of a run, their counts per file, and the tables of the docs."""

import collections
import json
import pathlib

from gdjax.programs.tables import markdown

from . import unseen
from .sites import mutants

__all__ = ["TOTALS", "read", "reasons", "totals", "write_totals"]

TOTALS = pathlib.Path(__file__).parents[2] / "docs" / "data" / "mutants.jsonl"
COLUMNS = (
    "a reference",
    "a proof",
    "a promise",
    "a test",
    "change nothing",
    "survived",
    "not run yet",
)
KINDS = {kind: f"a {kind}" for kind in ("reference", "proof", "promise")}


def read(file):
    """What noticed each mutant, by its name; the last line counts."""
    lines = map(json.loads, file.read_text("utf-8").splitlines()) if file.exists() else ()
    return {line["mutant"]: line["by"] for line in lines}


def write_totals(results, file=TOTALS):
    """Writes the counts of each file; a file without results keeps those that it had."""
    old = {line["file"]: line for line in _lines(file)}
    known, counts = unseen.reasons(), collections.defaultdict(collections.Counter)
    for mutant in mutants():
        counts[mutant.file][_column(mutant.key, results, known)] += 1
    lines = []
    for path, found in sorted(counts.items()):
        new = {"file": path} | {column: found[column] for column in COLUMNS}
        ran = set(found) - {"change nothing", "not run yet"}
        lines.append(json.dumps(new if ran else old.get(path, new)) + "\n")
    file.write_text("".join(lines), "utf-8")


def _lines(file):
    return map(json.loads, file.read_text("utf-8").splitlines()) if file.exists() else ()


def _column(name, results, known):
    if name in known:
        return "change nothing"
    if name not in results:
        return "not run yet"
    by = results[name]
    return "survived" if by is None else KINDS.get(by.split()[0], "a test")


def totals():
    """The table of the counts in each folder."""
    total = collections.defaultdict(collections.Counter)
    for line in _lines(TOTALS):
        for folder in (f"`{line['file'].rpartition('/')[0]}`", "**all**"):
            total[folder].update({column: line.get(column, 0) for column in COLUMNS})
    rows = [(name, sum(n.values()), *(n[c] for c in COLUMNS)) for name, n in total.items()]
    rows.sort(key=lambda row: (row[0] == "**all**", row[0]))
    return markdown(("folder", "mutants", *COLUMNS), [tuple(map(str, row)) for row in rows])


def reasons():
    """The mutants that change nothing, under their reasons."""
    return "\n".join(map(_group, unseen.groups()))


def _group(group):
    lines = [f"- `gdjax/{mutant}`" for mutant in group["mutants"]]
    return "\n".join([f"{group['why']}\n", *lines, ""])

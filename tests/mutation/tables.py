"""Results of mutants: a line for each, and the tables of the docs."""

import collections
import json
import pathlib

from gdjax.programs.tables import markdown

from . import unseen
from .sites import mutants

__all__ = ["RESULTS", "line", "read", "reasons", "tidy", "totals"]

RESULTS = pathlib.Path(__file__).parents[2] / "docs" / "data" / "mutants.jsonl"
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


def line(name, by):
    """The line of a mutant; `by` is None if nothing noticed it."""
    return json.dumps({"mutant": name, "by": by}, ensure_ascii=False) + "\n"


def read(file=RESULTS):
    """What noticed each mutant, by its name; the last line counts."""
    lines = map(json.loads, file.read_text("utf-8").splitlines()) if file.exists() else ()
    return {line["mutant"]: line["by"] for line in lines}


def tidy(file=RESULTS):
    """The lines of a file, one for each mutant that is still in the code, in the code's order."""
    results = read(file)
    return "".join(line(m.key, results[m.key]) for m in mutants() if m.key in results)


def _column(name, results, known):
    if name in known:
        return "change nothing"
    if name not in results:
        return "not run yet"
    by = results[name]
    return "survived" if by is None else KINDS.get(by.split()[0], "a test")


def totals():
    """The table of the counts in each folder."""
    known, results = unseen.reasons(), read()
    total = collections.defaultdict(collections.Counter)
    for mutant in mutants():
        for folder in (f"`{mutant.file.rpartition('/')[0]}`", "**all**"):
            total[folder][_column(mutant.key, results, known)] += 1
    rows = [(name, n.total(), *(n[c] for c in COLUMNS)) for name, n in total.items()]
    rows.sort(key=lambda row: (row[0] == "**all**", row[0]))
    return markdown(("folder", "mutants", *COLUMNS), [tuple(map(str, row)) for row in rows])


def reasons():
    """The mutants that change nothing, under their reasons."""
    return "\n".join(map(_group, unseen.groups()))


def _group(group):
    lines = [f"- `gdjax/{mutant}`" for mutant in group["mutants"]]
    return "\n".join([f"{group['why']}\n", *lines, ""])

"""Results of mutants: the lines of a run, their counts per file, and the tables of the docs."""

import collections
import json
import pathlib

from gdjax.programs.tables import markdown

from . import unseen
from .sites import mutants

__all__ = ["TOTALS", "read", "reasons", "totals", "write_totals"]

TOTALS = pathlib.Path(__file__).parents[2] / "docs" / "data" / "mutants.jsonl"
BY = ("references", "promises", "tests", "nothing", "survived")
KINDS = {"reference": "references", "promise": "promises", None: "survived"}


def read(file):
    """What noticed each mutant, by its name; the last line counts."""
    lines = map(json.loads, file.read_text("utf-8").splitlines()) if file.exists() else ()
    return {line["mutant"]: line["by"] for line in lines}


def write_totals(results, file=TOTALS):
    """Writes the counts of each file with results; files without keep the counts that they had."""
    lines = {line["file"]: line for line in map(json.loads, file.read_text("utf-8").splitlines())}
    known, counts = unseen.reasons(), collections.defaultdict(collections.Counter)
    for mutant in mutants():
        if mutant.key in known:
            counts[mutant.file]["nothing"] += 1
        elif mutant.key in results:
            by = results[mutant.key]
            counts[mutant.file][KINDS.get(by and by.split()[0], "tests")] += 1
    for path, found in counts.items():
        lines[path] = {"file": path} | {kind: found[kind] for kind in BY}
    file.write_text("".join(json.dumps(lines[path]) + "\n" for path in sorted(lines)), "utf-8")


def totals():
    """The table of the counts in each folder."""
    total = collections.defaultdict(collections.Counter)
    for line in map(json.loads, TOTALS.read_text("utf-8").splitlines()):
        for folder in (line["file"].rpartition("/")[0], "all"):
            total[folder].update({kind: line[kind] for kind in BY})
    head = ("folder", "mutants", "a reference", "a promise", "a test", "change nothing", "survived")
    rows = [
        (f"`{folder}`" if folder != "all" else "**all**", sum(n.values()), *(n[k] for k in BY))
        for folder, n in sorted(total.items(), key=lambda item: (item[0] == "all", item[0]))
    ]
    return markdown(head, [tuple(map(str, row)) for row in rows])


def reasons():
    """The mutants that change nothing, under their reasons."""
    return "\n".join(map(_group, unseen.groups()))


def _group(group):
    lines = [f"- `{mutant}`" for mutant in group["mutants"]]
    return "\n".join([f"{group['why']}\n", *lines, ""])

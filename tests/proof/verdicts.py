"""What of the catalogue is proven, from the tables of the tests: for `gdjax list` and the docs."""

import collections
import json

import jax
import jax.numpy as jnp

from gdjax.core.data.recipe import factories
from tests.schedules.rows import ROWS as SCHEDULES

from . import (  # fmt: skip
    rows,
    test_factored,
    test_matrix_optimizers,
    test_norms,
    test_orthogonalized,
    test_preconditioners,
)

ALL, FIRST, DIGITS, IDENTITIES = "proven", "first step", "to 40 digits", "by identities"
OF_MATRICES = (*(test_factored, test_matrix_optimizers, test_orthogonalized, test_preconditioners),)
SEARCHES = ("lbfgs", "scale_by_lbfgs", "scale_by_backtracking_linesearch")
SEARCHES += ("scale_by_zoom_linesearch",)
PARTS = ("chain", "freeze", "live")
ANY = ("stateless", "stateless_with_tree_map")  # of a function that the user gives


def proven():
    """How far the program of each factory is proven to be its formula; the tests hold it."""
    found = {}
    for file in OF_MATRICES:
        for each in file.IDENTITIES:
            found |= dict.fromkeys(each.rules, IDENTITIES)
    of_norms = test_norms.rows()
    found |= {of_norms[name].name: DIGITS for name in test_norms.TO_40_DIGITS}
    for name, (_, steps) in test_norms.IDENTICAL.items():
        tx = of_norms[name]
        found[tx.name] = FIRST if steps == 1 and _keeps_something(tx) else ALL
    found |= dict.fromkeys(test_norms.OTHERS.keys() - set(ANY), ALL)
    for row in rows.elementwise().values():
        found[row.tx.name] = DIGITS if row.tx.name in rows.AT_POINTS else ALL
    found |= {row.make().name: ALL for row in SCHEDULES.values()}
    return {name: found[name] for name in sorted(found.keys() & factories().keys())}


def _keeps_something(tx):
    return bool(jax.tree.leaves(jax.eval_shape(tx.init, jnp.ones(2))))


def reasons():
    """Why the others are not."""
    found = rows.NOT_PROVEN | test_norms.NOT_PROVEN
    found |= dict.fromkeys(SEARCHES, "searches along a loss")
    found |= dict.fromkeys((*PARTS, *ANY), "has no formula of its own")
    known = proven()
    return {name: reason for name, reason in found.items() if name not in known}


def proven_json():
    """The file that the catalogue reads."""
    return json.dumps(proven(), indent=1) + "\n"


def markdown():
    """Counts for each family of optimizers and for the other rooms, and the reasons."""
    verdicts, table = proven(), collections.defaultdict(collections.Counter)
    kinds = ("optimizer", "transformation", "schedule")
    for name, made in factories().items():
        if made.is_ours and made.kind in kinds and not made.module.startswith("gdjax.compat"):
            family = ".".join(made.module.split(".")[1 : 3 if "optimizers" in made.module else 2])
            table[family][verdicts.get(name, "")] += 1
    columns = (ALL, FIRST, DIGITS, IDENTITIES, "")
    lines = ["| | rules | proven | first step | 40 digits | identities | not |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    total = sum(table.values(), collections.Counter())
    for family, counts in [*sorted(table.items()), ("all", total)]:
        cells = [counts.total(), *(counts[column] for column in columns)]
        lines.append(f"| {family} | {' | '.join(map(str, cells))} |")
    why = [f"- `{name}`: {reason}." for name, reason in sorted(reasons().items())]
    return "\n".join([*lines, "", "Not proven, because", "", *why]) + "\n"

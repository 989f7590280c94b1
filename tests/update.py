"""Rewrites the files that are derived from the code.

    python -m tests.update                    all of them
    python -m tests.update docs/race.md       only this one

`DERIVED` has a function for each derived part of a file: it takes the text of the file as it is
and returns it as it should be. `tests/docs/test_derived.py` compares the two. To add one, write the
function below the others; parts that other parts are made from come first.
"""

import argparse
import pathlib
from collections.abc import Callable, Sequence

__all__ = ["COMMAND", "DERIVED", "ROOT", "main"]

ROOT = pathlib.Path(__file__).parent.parent
COMMAND = "python -m tests.update"
DERIVED: dict[str, tuple[str, Callable[[str], str]]] = {}  # by name: a file, and its new text


def derived(path: str):
    """Registers a function of the text of a file that returns its new text."""

    def register(function):
        DERIVED[function.__name__] = path, function
        return function

    return register


def between(text: str, mark: str, part: str) -> str:
    """Replaces what stands between `<!-- mark -->` and `<!-- /mark -->`."""
    before, rest = text.split(f"<!-- {mark} -->")
    after = rest.split(f"<!-- /{mark} -->")[1]
    return f"{before}<!-- {mark} -->\n{part.strip()}\n<!-- /{mark} -->{after}"


@derived("gdjax/__init__.pyi")
def exports(_: str) -> str:
    """The public names, from the `__all__` of the files."""
    from .exports import exports_text

    return exports_text()


@derived("gdjax/states.pyi")
def states(_: str) -> str:
    """The classes of states."""
    from .exports import states_text

    return states_text()


@derived("gdjax/lab/oracles.json")
def oracles(_: str) -> str:
    """What each factory agrees with, from `AGREE` of the tests; `gdjax list` shows it."""
    from tests.oracles.agreements import oracles_json

    return oracles_json()


@derived("gdjax/lab/proven.json")
def proven(_: str) -> str:
    """How far each program is proven to be its formula, from the tables of tests/proof."""
    from tests.proof.verdicts import proven_json

    return proven_json()


@derived("docs/proven.md")
def proofs(page: str) -> str:
    """How many rules of each family are proven, and why the others are not."""
    from tests.proof.verdicts import markdown

    return between(page, "proven", markdown())


@derived("docs/catalogue.md")
def catalogue(page: str) -> str:
    """The tables of `gdjax list --markdown`."""
    from gdjax.lab.catalogue import markdown

    return between(page, "catalogue", markdown())


@derived("docs/catalogue.md")
def left_out(page: str) -> str:
    """Methods that are left out on purpose, from `docs/data/left_out.toml`."""
    from tests.docs.left_out import markdown

    return between(page, "left out", markdown())


@derived("docs/migration.md")
def arguments(page: str) -> str:
    """Arguments that differ from optax's, from the signatures."""
    from tests.compat.optax.arguments import markdown

    return between(page, "arguments", markdown())


@derived("docs/migration.md")
def differences(page: str) -> str:
    """What `compat.optax` does otherwise than optax, from the table of the fuzz."""
    from tests.compat.optax.fuzz.differences import markdown

    return between(page, "differences", markdown())


@derived("docs/race.md")
def race(page: str) -> str:
    """The tables of a race under equal budgets, from the runs in `docs/data`."""
    from gdjax.lab import charlm_configs, results

    rows = _raced()
    page = between(page, "race", results.markdown(results.cells(rows)))
    best = results.searched(charlm_configs.SPACES, rows)
    return between(page, "settings", results.markdown(best))


@derived("README.md")
def race_in_short(page: str) -> str:
    """The first table of docs/race.md."""
    from gdjax.lab import results

    return between(page, "race", results.markdown(results.cells(_raced())))


def _raced():
    from gdjax.lab import outcomes, trials

    runs = trials.load(ROOT / "docs" / "data" / "charlm_runs.jsonl")
    return outcomes.outcomes(runs, "adamw")


@derived("docs/workloads.md")
def workloads(page: str) -> str:
    """What the workloads are, and how optimizers did on them, from the runs in `docs/data`."""
    from gdjax.lab import results, score_tables, trials
    from gdjax.lab.workloads import WORKLOADS, workload

    problems = list(map(workload, WORKLOADS))
    page = between(page, "workloads", results.markdown(score_tables.described(problems)))
    runs = trials.load(ROOT / "docs" / "data" / "workload_runs.jsonl")
    rows = score_tables.of_runs(runs, {p.name: p.target for p in problems})
    return between(page, "scores", results.markdown(score_tables.cells(rows)))


@derived("docs/ladder.md")
def ladder(page: str) -> str:
    """The tables of the rungs that have been run, from the runs in `docs/data`."""
    from gdjax.lab import rungs, trials
    from gdjax.lab.ladder import BASE, RUNGS
    from gdjax.lab.results import markdown

    runs = trials.load(ROOT / "docs" / "data" / "ladder_runs.jsonl")
    page = between(page, "ladder", markdown(rungs.cells(runs, RUNGS, BASE.name)))
    return between(page, "search", markdown(rungs.settings(runs, BASE.name)))


@derived("docs/howto/mup.md")
def coordinates(page: str) -> str:
    """The coordinate check and the best rates by width, from their lines in `docs/data`."""
    from tests.docs.scripts import coordinate_check

    check, rates = coordinate_check.markdown(coordinate_check.kept())
    return between(between(page, "coordinates", check), "rates", rates)


@derived("docs/meshes.md")
def scaling(page: str) -> str:
    """The table of `python -m tests.programs.scaling --markdown`; a quarter of a minute."""
    from gdjax.programs.tables import markdown
    from tests.programs.scaling import table

    return between(page, "scaling", markdown(*table()))


@derived("docs/benchmarks.md")
def budgets(page: str) -> str:
    """What steps cost on chips, from `tests/programs/budgets.json`."""
    from tests.programs.budgets import markdown

    return between(page, "budgets", markdown())


@derived("docs/data/mutants.jsonl")
def results_of_mutants(_: str) -> str:
    """What noticed each mutant, without those that are not in the code any more."""
    from tests.mutation import tables

    return tables.tidy()


@derived("docs/mutants.md")
def mutants(page: str) -> str:
    """What noticed the mutants, from `docs/data/mutants.jsonl`; and those that change nothing."""
    from tests.mutation import tables

    return between(between(page, "mutants", tables.totals()), "unseen", tables.reasons())


@derived("README.md")
def speeds(page: str) -> str:
    """Steps beside optax's on three chips, from the page of benchmarks and the budgets."""
    from tests.programs.budgets import speeds as table

    return between(page, "speeds", table((ROOT / "docs" / "benchmarks.md").read_text("utf-8")))


@derived("colabs/1_descente_de_gradient_et_variantes.ipynb")
def french(_: str) -> str:
    """The French notebook, from the English one and `colabs/french`."""
    from . import french

    return french.notebook(french.ENGLISH.read_text("utf-8"), french.TEXTS.read_text("utf-8"))


def main(argv: Sequence[str] | None = None) -> None:
    """Rewrites the files given, all by default, and prints those that changed."""
    paths = sorted({path for path, _ in DERIVED.values()})
    parser = argparse.ArgumentParser(COMMAND, description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"of {', '.join(paths)}")
    given = parser.parse_args(argv).files
    if unknown := set(given) - set(paths):
        parser.error(f"FILE must be one of {', '.join(paths)}, got {', '.join(sorted(unknown))}")
    for name, (path, make) in DERIVED.items():
        if given and path not in given:
            continue
        file = ROOT / path
        text = file.read_text("utf-8")
        new = make(text)
        if new != text:
            file.write_text(new, "utf-8")
        print(f"{path}: {name} {'written' if new != text else 'is up to date'}")


if __name__ == "__main__":
    main()

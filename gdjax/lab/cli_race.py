"""The command `gdjax race`: optimizers × learning rates × seeds on a problem."""

from __future__ import annotations

__all__ = ["PROBLEMS", "SEMINAR", "load_problem", "options", "run"]

import argparse
import dataclasses
import hashlib
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdjax.lab.cli_output import Wrong, console, judged, progress

if TYPE_CHECKING:
    from gdjax.lab.problem import Problem

SEMINAR = ("sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw")
# As in gdjax.lab.problems, which would load JAX for a line of help.
PROBLEMS = ("parabola", "bowl", "quadratic", "rosenbrock", "digits", "digits_network", "charlm")


def options(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add = command.add_argument
    words = (
        "names, or quoted calls without a learning rate or with RATE in its place, as "
        f"'chain(clip(1.0), adam(RATE))'; by default {', '.join(SEMINAR)}"
    )
    add("optimizers", nargs="*", metavar="OPTIMIZER", help=words)
    words = (
        f"{', '.join(PROBLEMS)}, or your own as module:name, which imports the module and so runs "
        "its code; default: digits"
    )
    add("--problem", default="digits", help=words)
    words = (
        "LOW:HIGH:COUNT in equal ratios, a list as 0.1,0.3,1, or `tuned`: who needs fewer steps "
        "than adamw, on charlm; default: tuned there, elsewhere the range of the problem, widened "
        "for an optimizer until its best rate lies inside"
    )
    add("--rates", help=words)
    words = "values of another hyperparameter, as b2=0.9,0.99; several give all combinations"
    add("--sweep", action="append", default=[], metavar="NAME=VALUES", help=words)
    words = "that charlm is trained on; default: the sources of Python's standard library"
    add("--text", metavar="FILE", help=words)
    add("--seeds", type=int, default=3, metavar="N", help="how many; default: 3")
    add("--steps", type=int, metavar="N", help="of each run; default: the problem's")
    add("--out", default="race", metavar="DIR", help="where to write; default: race")
    add("--replace", action="store_true", help="replace the results of another race in DIR")
    add("--json", action="store_true", help="print the numbers as JSON in place of the table")


def run(arguments: argparse.Namespace) -> None:
    """Races, prints the table, writes pictures and numbers."""
    import matplotlib  # noqa: F401 - if it is missing, this is reported before anything is computed

    from gdjax.lab import charlm_configs
    from gdjax.run import progress as bars

    bars.add_cpu()
    if arguments.text is not None and arguments.problem != "charlm":
        raise Wrong(f"race: --text is for --problem charlm, got --problem {arguments.problem}.")
    if not arguments.out:
        raise Wrong("race: --out must be a folder, got ''. Write --out race.")
    if arguments.rates is None and arguments.problem in charlm_configs.PROBLEMS:
        arguments.rates = "tuned"
    _trials(arguments) if arguments.rates == "tuned" else _race(arguments)


def _race(arguments: argparse.Namespace) -> None:
    from gdjax.lab import report
    from gdjax.lab.charlm import charlm
    from gdjax.lab.folder import folder, keep_others, write
    from gdjax.lab.makers import read_sweep, swept
    from gdjax.lab.race import race

    repeats = lambda found: found["command"] == arguments.command
    with judged():
        if not arguments.replace:
            keep_others(arguments.out, report.FILES, repeats)
        problem: Any = charlm(arguments.text) if arguments.text else arguments.problem
        problem = load_problem(problem) if ":" in str(problem) else problem
        entered = swept(arguments.optimizers or SEMINAR, read_sweep(arguments.sweep))
    place = Path(arguments.out)
    arguments.kept = place / "unfinished.jsonl"
    with folder(place):
        with judged(), progress() as told:
            grid = (problem, arguments.rates, arguments.seeds, arguments.steps, told)
            results = race(entered, *grid, arguments.kept)
        old = (place / "results.json").exists()
        written = write(place.absolute(), report.files(results, arguments.command))
    if arguments.json:
        print(report.to_json(results, arguments.command), end="")
        return
    out = console()
    out.print(report.table(results))
    out.print("\n".join(report.notes(results)))
    _say_written(out, written, arguments.out, old)


def _trials(arguments: argparse.Namespace) -> None:
    from rich.table import Table

    from gdjax.lab import charlm_configs, results, trials
    from gdjax.lab.folder import folder, keep_others, write

    out, seeds, name = console(), arguments.seeds, arguments.problem
    if seeds < 1:
        raise Wrong(f"race: seeds must be a positive integer, got {seeds}.")
    if arguments.sweep:
        raise Wrong("race: --sweep needs --rates, as 1e-3:1e-1:5, got tuned rates.")
    place = Path(arguments.out)
    runs_file = place / "runs.jsonl"
    with judged():
        if not arguments.replace:  # all runs stay in runs.jsonl, so nothing is lost
            keep_others(place, results.FILES, lambda _: runs_file.exists())
    with folder(place):
        with judged(), progress() as told:
            problem = charlm_configs.problem(name, arguments.text)
            who = charlm_configs.contestants(name, arguments.optimizers, arguments.steps)
            arguments.kept = runs_file
            runs = trials.trials(problem, who, seeds, runs_file, told)
            made = results.files(problem, runs, who[0].name, arguments.command)
        old = (place / "results.json").exists()
        written = write(place.absolute(), made)
    if arguments.json:
        print(made["results.json"].decode(), end="")
        return
    head, *rows = results.cells(trials.outcomes(runs, who[0].name))
    table = Table(*head, title=f"{problem.name}: {problem.description}", title_justify="left")
    for row in rows:
        table.add_row(*row)
    out.print(table)
    out.print("\n".join(results.notes(seeds, who[0].name)))
    _say_written(out, written, arguments.out, old)


def _say_written(out: Any, written: list[Path], folder: str, old: bool) -> None:
    verb = "Replaced the results, wrote" if old else "Wrote"
    out.print(f"{verb} {', '.join(path.name for path in written)} to {folder}")


def load_problem(text: str) -> Problem:
    """The problem `name` of a Python module, `module:name`: a Problem, or a function that makes it.

    The folder from which the command is called is looked into as well. The module is imported, so
    its code runs: name only what you would run yourself.

    Raises:
        ValueError: There is no such module or name.
        TypeError: It is no problem.
    """
    from gdjax.core.rule import errors
    from gdjax.lab.problem import Problem

    module, _, name = text.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.split(".")[0]):
            raise
        must = "--problem must be a known name or module:name"
        hint = f"There is no module {module} in {os.getcwd()} or among those installed."
        errors.fail("race", must, text, instead=hint)
    finally:
        sys.path.remove(os.getcwd())
    if not hasattr(found, name):
        own = [n for n in vars(found) if not n.startswith("_")]
        must = f"--problem must name something in the module {module}"
        errors.fail("race", must, text, instead=errors.nearest(name, own))
    made = getattr(found, name)
    made = made() if callable(made) and not _takes_arguments(made) else made
    if not isinstance(made, Problem):
        hint = f"Write {name} = Problem.of(loss, params) there."
        errors.fail("race", f"{text} must be a Problem", made, instead=hint, kind=TypeError)
    source = Path(str(found.__file__)).read_bytes()
    return dataclasses.replace(made, digest=hashlib.sha256(source).hexdigest()[:16])


def _takes_arguments(function: Any) -> bool:
    import inspect

    parameters = inspect.signature(function).parameters.values()
    return any(p.default is p.empty and p.kind < p.VAR_POSITIONAL for p in parameters)

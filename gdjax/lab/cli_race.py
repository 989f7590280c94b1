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
TEXTS = ("charlm", "charlm_small")  # those with a text, and with search spaces
PROBLEMS = ("parabola", "bowl", "quadratic", "rosenbrock", "digits", "digits_network", *TEXTS)


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
        "LOW:HIGH:COUNT in equal ratios, or a list as 0.1,0.3,1; default: the range of the "
        "problem, widened for an optimizer until its best rate lies inside"
    )
    add("--rates", help=words)
    words = (
        "search so many settings of each optimizer in its ranges of rate, decay and betas, then "
        "race the best in steps and seconds to adamw's loss; on " + " and ".join(TEXTS)
    )
    add("--budget", type=int, metavar="N", help=words)
    words = "how many of these runs are one program; default: all, on a CPU one"
    add("--together", type=int, metavar="N", help=words)
    words = "values of another hyperparameter, as b2=0.9,0.99; several give all combinations"
    add("--sweep", action="append", default=[], metavar="NAME=VALUES", help=words)
    words = "that charlm is trained on; default: the sources of Python's standard library"
    add("--text", metavar="FILE", help=words)
    add("--seeds", type=int, metavar="N", help="how many; default: 3, with --budget 10")
    add("--steps", type=int, metavar="N", help="of each run; default: the problem's")
    add("--out", default="race", metavar="DIR", help="where to write; default: race")
    add("--replace", action="store_true", help="replace the results of another race in DIR")
    add("--json", action="store_true", help="print the numbers as JSON in place of the table")


def run(arguments: argparse.Namespace) -> None:
    """Races, prints the table, writes pictures and numbers."""
    import matplotlib  # noqa: F401 - if it is missing, this is reported before anything is computed

    from gdjax.run import progress as bars

    bars.add_cpu()
    if arguments.text is not None and arguments.problem not in TEXTS:
        texts = " or ".join(TEXTS)
        raise Wrong(f"race: --text is for --problem {texts}, got --problem {arguments.problem}.")
    if not arguments.out:
        raise Wrong("race: --out must be a folder, got ''. Write --out race.")
    if (budget := arguments.budget is not None) < (arguments.together is not None):
        raise Wrong("race: --together is for --budget N, got no budget.")
    if arguments.seeds is None:
        arguments.seeds = 10 if budget else 3
    _budget(arguments) if budget else _race(arguments)


def _race(arguments: argparse.Namespace) -> None:
    from gdjax.lab import charlm_configs, report
    from gdjax.lab.folder import folder, keep_others, write
    from gdjax.lab.makers import read_sweep, swept
    from gdjax.lab.race import race

    repeats = lambda found: found["command"] == arguments.command
    with judged():
        if not arguments.replace:
            keep_others(arguments.out, report.FILES, repeats)
        name = arguments.problem
        problem = load_problem(name) if ":" in name else name
        problem = charlm_configs.problem(name, arguments.text) if arguments.text else problem
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


def _budget(arguments: argparse.Namespace) -> None:
    from rich.table import Table

    from gdjax.lab import charlm_configs, outcomes, results
    from gdjax.lab.folder import folder, keep_others, write

    out = console()
    if arguments.sweep or arguments.rates is not None:
        given = "--sweep" if arguments.sweep else "--rates"
        raise Wrong(f"race: --budget searches rates and decays itself, got {given} too.")
    place = Path(arguments.out)
    runs_file = place / "runs.jsonl"
    with judged():
        if not arguments.replace:  # all runs stay in runs.jsonl, so nothing is lost
            keep_others(place, results.FILES, lambda _: runs_file.exists())
        spaces = charlm_configs.spaces(arguments.optimizers)
    base = next(iter(spaces))
    with folder(place):
        with judged(), progress() as told:
            problem = charlm_configs.problem(arguments.problem, arguments.text)
            arguments.kept = runs_file
            counts = (arguments.budget, arguments.seeds, runs_file, arguments.steps)
            runs = outcomes.tuned(problem, spaces, *counts, told, arguments.together)
            made = results.files(problem, spaces, runs, base, arguments.command)
        old = (place / "results.json").exists()
        written = write(place.absolute(), made)
    if arguments.json:
        print(made["results.json"].decode(), end="")
        return
    rows = outcomes.outcomes(runs, base)
    for lines, title in (
        (results.cells(rows), f"{problem.name}: {problem.description}"),
        (results.searched(spaces, rows), "The best setting of each, of the range of its search"),
    ):
        table = Table(*lines[0], title=title, title_justify="left")
        for row in lines[1:]:
            table.add_row(*row)
        out.print(table)
    out.print("\n".join(results.notes(runs, base)))
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

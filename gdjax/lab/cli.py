"""The command line: `gdjax race`, `list`, `show`, `plot`, `bench` and `programs`.

What a command needs is imported when it runs, so that help and lists come quickly and without
the `[lab]` extras' weight. Whatever is wrong with a call is one line on stderr and exit code 2.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import gdjax

if TYPE_CHECKING:
    from rich.console import Console

SEMINAR = ("sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw")
_EXAMPLES = """examples:
  gdjax race                                            the seminar's six on images of digits
  gdjax race adamw 'adamw(b2=0.99)' --rates 1e-4:1e-1:7 --seeds 5 --problem digits_network
  gdjax race --problem charlm --seeds 5                 who needs fewer steps than adamw; goes on
  gdjax list adam                                       what there is of this name
  gdjax show adamw                                      formula, arguments, parts, state
  gdjax bench                                           what steps cost, beside optax
  gdjax programs adamw muon --chip v5e:2x4              what they cost on a chip that is not here
  gdjax plot 'warmup_cosine_decay_schedule(0, 1e-3, 100, 1000)' --out schedule.png
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0, 2 for a call that is wrong, 130 if interrupted.

    Args:
        argv: The words after `gdjax`; those of the process by default.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if not (stream.encoding or "").lower().startswith("utf"):
            with contextlib.suppress(AttributeError):
                stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    arguments = argparse.Namespace()
    try:
        arguments = _parser().parse_args(words)
        arguments.command = shlex.join(["gdjax", *words])
        arguments.run(arguments)
        return 0
    except ImportError as error:
        told = str(error)
        if "gdjax[lab]" not in told:
            told = f'{error.name} is missing; run pip install "gdjax[lab]".'
    except (_Wrong, OSError) as error:
        told = str(error)
    except KeyboardInterrupt:
        kept = getattr(arguments, "kept", "nothing was written")
        print(f"gdjax: interrupted, {kept}.", file=sys.stderr)
        return 130
    print(f"gdjax: {' '.join(told.split())}", file=sys.stderr)
    return 2


class _Wrong(Exception):
    """Something in the call is wrong, as its one line says."""


@contextlib.contextmanager
def _judged() -> Iterator[None]:
    """Takes what the library says of its arguments as said of the call.

    Messages of the library are one line; a longer one is an error to look into, with its trace.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        if "\n" in str(error):
            raise
        raise _Wrong(str(error)) from error


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, as those of the commands are."""

    def error(self, message: str) -> NoReturn:
        raise _Wrong(f"{message}. {self.prog} --help says more.")


def _parser() -> argparse.ArgumentParser:
    import jax

    from gdjax.lab import cli_programs
    from gdjax.lab.problems import PROBLEMS

    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = _Parser("gdjax", description=gdjax.__doc__, epilog=_EXAMPLES, **layout)
    version = f"gdjax {gdjax.__version__} (jax {jax.__version__})"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(run: Callable[[Any], None], name: str, text: str, example: str) -> Any:
        words = {"description": text, "epilog": f"example:\n  {example}", **layout}
        sub = commands.add_parser(name, help=text, **words)
        sub.set_defaults(run=run)
        return sub

    text = "optimizers × learning rates × seeds on a problem: a table, two pictures, the numbers"
    sub = command(_race, "race", text, "gdjax race adam 'adam(b2=0.99)' --rates 1e-3:1:7")
    names = f"names, or quoted calls without a learning rate; by default {', '.join(SEMINAR)}"
    sub.add_argument("optimizers", nargs="*", metavar="OPTIMIZER", help=names)
    sub.add_argument("--problem", default="digits", help=f"{', '.join(PROBLEMS)}; default: digits")
    rates = (
        "LOW:HIGH:COUNT in equal ratios, a list as 0.1,0.3,1, or `tuned`: who needs fewer steps "
        "than adamw, on charlm; default: tuned there, elsewhere 1e-4:1:9"
    )
    sub.add_argument("--rates", help=rates)
    words = "that charlm is trained on; default: the sources of Python's standard library"
    sub.add_argument("--text", metavar="FILE", help=words)
    sub.add_argument("--seeds", type=int, default=3, metavar="N", help="how many; default: 3")
    sub.add_argument("--steps", type=int, metavar="N", help="of each run; default: the problem's")
    sub.add_argument("--out", default="race", metavar="DIR", help="where to write; default: race")

    sub = command(_list, "list", "all there is: name, what it does, reference", "gdjax list adam")
    words = "a name or a term, as EMA or 'trust ratio'; or a pattern for the name as 'scale_by_*'"
    sub.add_argument("pattern", nargs="?", metavar="PATTERN", help=words)
    words = "all as the tables of docs/catalogue.md"
    sub.add_argument("--markdown", action="store_true", help=words)

    text = "everything about one: formula, defaults, parts, state, reference"
    sub = command(_show, "show", text, "gdjax show adamw")
    sub.add_argument("name", metavar="NAME", help="as `gdjax list` tells it")

    text = "bytes, copies and clocks of steps beside those of optax"
    sub = command(_bench, "bench", text, "gdjax bench --markdown")
    sub.add_argument("--markdown", action="store_true", help="as the tables of docs/benchmarks.md")

    text = "what a step costs on a chip that is not here, as its compiler tells"
    example = "gdjax programs adamw muon --chip v5e:2x4 --model gpt2 --against optax"
    sub = command(_programs, "programs", text, example)
    cli_programs.options(sub)

    text = "a picture of schedules"
    sub = command(_plot, "plot", text, "gdjax plot 'cosine_decay_schedule(1e-3, 1000)'")
    sub.add_argument("schedules", nargs="+", metavar="SCHEDULE", help="a quoted call")
    steps = "the last step drawn; default: a tenth beyond the last step that a schedule names"
    sub.add_argument("--steps", type=int, metavar="N", help=steps)
    out = "where to write; default: schedule.png"
    sub.add_argument("--out", default="schedule.png", metavar="FILE", help=out)
    return parser


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 10_000  # a file or a pipe has no edge at which a table must be cut
    return console


def _race(arguments: argparse.Namespace) -> None:
    import matplotlib  # noqa: F401 - if it is missing, that is told before anything is computed

    from gdjax.lab import charlm_configs, report
    from gdjax.lab.charlm import charlm
    from gdjax.lab.race import race
    from gdjax.run import progress as bars

    bars.add_cpu()

    if arguments.text is not None and arguments.problem != "charlm":
        raise _Wrong(f"race: --text is for --problem charlm, got --problem {arguments.problem}.")
    rates = arguments.rates or (
        "tuned" if arguments.problem in charlm_configs.PROBLEMS else "1e-4:1:9"
    )
    if rates == "tuned":
        return _trials(arguments)
    console = _console()
    with _judged():
        problem = charlm(arguments.text) if arguments.text else arguments.problem
    grid = (problem, rates, arguments.seeds, arguments.steps)
    with report.folder(arguments.out) as place:
        with _judged(), _bar() as progress:
            results = race(arguments.optimizers or SEMINAR, *grid, progress)
        written = report.write(place, report.files(results, arguments.command))
    console.print(report.table(results))
    console.print("\n".join(report.notes(results)))
    console.print(f"Wrote {', '.join(p.name for p in written)} to {arguments.out}")


def _trials(arguments: argparse.Namespace) -> None:
    from rich.table import Table

    from gdjax.lab import charlm_configs, report, results, trials

    console, seeds, name = _console(), arguments.seeds, arguments.problem
    if seeds < 1:
        raise _Wrong(f"race: seeds must be a positive integer, got {seeds}.")
    with report.folder(arguments.out) as place:
        with _judged(), _bar() as progress:
            problem = charlm_configs.problem(name, arguments.text)
            who = charlm_configs.contestants(name, arguments.optimizers, arguments.steps)
            arguments.kept = f"what ended is in {arguments.out}; the same command goes on"
            runs = trials.trials(problem, who, seeds, place / "runs.jsonl", progress)
            made = results.files(problem, runs, who[0].name, arguments.command)
        written = report.write(place, made)
    head, *rows = results.cells(trials.outcomes(runs, who[0].name))
    table = Table(*head, title=f"{problem.name}: {problem.description}", title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print("\n".join(results.notes(seeds, who[0].name)))
    console.print(f"Wrote {', '.join(p.name for p in written)} to {arguments.out}")


def _list(arguments: argparse.Namespace) -> None:
    from rich import box
    from rich.table import Table

    from gdjax.core.rule import errors
    from gdjax.lab import catalogue, search

    found = search.search(arguments.pattern or "")
    if not found:
        hint = errors.nearest(arguments.pattern, [e.name for e in search.search("")])
        raise _Wrong(f"list: PATTERN must match something, got {arguments.pattern!r}. {hint}")
    console = _console()
    if arguments.markdown:
        print(catalogue.markdown())
        return
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    table.add_column("name", no_wrap=True, style="bold")
    for head in ("kind", "what it does", "reference", "agrees with"):
        table.add_column(head)
    for e in found:
        table.add_row(e.name, e.kind, e.summary, e.reference, ", ".join(e.oracles))
    console.print(table)


def _show(arguments: argparse.Namespace) -> None:
    from gdjax.lab import catalogue

    with _judged():
        print(catalogue.describe(arguments.name), end="")


def _bench(arguments: argparse.Namespace) -> None:
    import jax
    import optax
    from rich import box
    from rich.table import Table

    from gdjax.lab import bench

    where = jax.devices()[0].device_kind
    print(f"gdjax {gdjax.__version__}, optax {optax.__version__}, jax {jax.__version__}, {where}\n")
    for head, rows in bench.tables():
        if arguments.markdown:
            print(bench.markdown(head, rows), flush=True)
            continue
        table = Table(*head, box=box.SIMPLE_HEAD)
        for row in rows:
            table.add_row(*row)
        _console().print(table)


def _programs(arguments: argparse.Namespace) -> None:
    from gdjax.lab import cli_programs

    with _judged():
        cli_programs.run(arguments, _console())


def _plot(arguments: argparse.Namespace) -> None:
    from gdjax import plots
    from gdjax.core.data.schedule import Schedule
    from gdjax.core.rule import errors
    from gdjax.lab import catalogue, report

    path = Path(arguments.out)
    with _judged():
        drawn: list[Any] = [catalogue.read(text) for text in arguments.schedules]
        for text, made in zip(arguments.schedules, drawn):
            if not isinstance(made, Schedule):
                errors.fail("plot", "SCHEDULE must be a call that makes a schedule", repr(text))
        # A tenth more than what moves, so that it shows what comes after.
        steps = max(map(report.last_step, drawn)) * 11 // 10 or 1000
        steps = steps if arguments.steps is None else arguments.steps
        figure = plots.schedules(dict(zip(arguments.schedules, drawn)), steps)
        with report.folder(path.parent):
            plots.save(figure, path)
    print(f"Wrote {path}")


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar over the steps of a race on stderr; nothing where that is no terminal."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = _console(stderr=True)
    columns = (
        SpinnerColumn(),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("")
        yield lambda doing, done, total: bar.update(
            task, description=doing, completed=done, total=total
        )


if __name__ == "__main__":
    sys.exit(main())

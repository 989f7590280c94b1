"""The command line: `gdjax race`, `score`, `ladder`, `list`, `show`, `prove`, `plot` and others.

Everything that a command needs is imported when it runs, so that help and lists come quickly and
without JAX and the `[lab]` extras. Whatever is wrong with a call is one line on stderr and exit
code 2.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import contextlib
import importlib
import importlib.metadata
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import gdjax
from gdjax.lab import (
    cli_bench,
    cli_ladder,
    cli_list,
    cli_plot,
    cli_programs,
    cli_prove,
    cli_race,
    cli_score,
)
from gdjax.lab.cli_output import Wrong

_LAB = ("flint", "matplotlib", "rich", "tqdm", "sklearn")  # of the extra [lab]
_SHELLS = ("bash", "zsh", "tcsh")
_EXAMPLES = """examples:
  gdjax race                       six optimizers on images of digits
  gdjax race adamw 'adamw(b2=0.99)' --rates 1e-4:1e-1:7 --problem digits_network
  gdjax race 'chain(clip(1.0), adam(RATE))' --problem mymodule:problem
  gdjax race --problem charlm --budget 48     who needs fewer steps than adamw
  gdjax score adamw 'auto()'       on twelve workloads, with and without tuning
  gdjax ladder 1 3                 settings of a small model at larger ones
  gdjax list adam                  optimizers, schedules, ... of this name
  gdjax show adamw                 formula, arguments, parts, state
  gdjax prove adamw                that its program is its formula
  gdjax bench                      time and memory of steps, beside optax
  gdjax programs adamw muon --chip v5e:2x4      cost on a chip that is not here
  gdjax plot 'warmup_cosine_decay_schedule(0, 1e-3, 100, 1000)' --out rate.pdf
  gdjax --print-completion bash    completion for a shell; needs shtab
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
        parser = _parser()
        arguments = parser.parse_args(words or ["--help"])
        arguments.command = shlex.join(["gdjax", *words])
        arguments.run(arguments)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # `gdjax list | head`: who reads has enough
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ImportError as error:
        message = str(error)
        if "pip install" not in message:
            package = "gdjax[lab]" if (error.name or "").split(".")[0] in _LAB else error.name
            message = f'{error.name} is missing; run pip install "{package}".'
    except (Wrong, OSError) as error:
        message = str(error)
    except KeyboardInterrupt:
        print(f"gdjax: interrupted, {_kept(arguments)}.", file=sys.stderr)
        return 130
    print(f"gdjax: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _kept(arguments: argparse.Namespace) -> str:
    """What an interrupted command leaves."""
    file = getattr(arguments, "kept", None)
    if file is None or not file.exists():
        return "nothing was written"
    count = len(file.read_text("utf-8").splitlines())
    runs = "run that ended is" if count == 1 else "runs that ended are"
    return f"{count} {runs} in {file}; the same command goes on"


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, as those of the commands are."""

    def error(self, message: str) -> NoReturn:
        raise Wrong(f"{message}. {self.prog} --help says more.")


class _Version(argparse.Action):
    """Prints the versions of gdjax and jax, without loading jax."""

    def __call__(self, parser: Any, *_: Any) -> None:
        jax = importlib.metadata.version("jax")
        print(f"gdjax {gdjax.__version__} (jax {jax})")
        parser.exit()


class _Completion(argparse.Action):
    """Prints the completion of a shell, which shtab writes."""

    def __call__(self, parser: Any, _: Any, shell: Any, *__: Any) -> None:
        try:
            shtab = importlib.import_module("shtab")
        except ImportError as error:
            raise ImportError('completion needs shtab; run pip install "shtab".') from error
        print(shtab.complete(parser, shell=shell), end="")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    about = "Gradient transformations for JAX: race them, look them up, draw schedules."
    parser = _Parser("gdjax", description=about, epilog=_EXAMPLES, **layout)
    parser.add_argument("--version", action=_Version, nargs=0, help="print versions and exit")
    words = "print the completion of a shell and exit"
    parser.add_argument("--print-completion", action=_Completion, choices=_SHELLS, help=words)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str,
        text: str,
        example: str,
        options: Callable[[argparse.ArgumentParser], None],
        run: Callable[[argparse.Namespace], None],
    ) -> None:
        words = {"description": text, "epilog": f"example:\n  {example}", **layout}
        sub = commands.add_parser(name, help=text, **words)
        sub.set_defaults(run=run)
        options(sub)

    text = "optimizers × learning rates × seeds on a problem: table, pictures, numbers"
    example = "gdjax race adam 'adam(b2=0.99)' --rates 1e-3:1:7"
    command("race", text, example, cli_race.options, cli_race.run)
    text = "steps to targets fixed before, on twelve workloads"
    command("score", text, "gdjax score adamw 'auto()'", cli_score.options, cli_score.run)
    text = "settings that are found at one million parameters, used at larger sizes"
    command("ladder", text, "gdjax ladder 1 3 --budget 6", cli_ladder.options, cli_ladder.run)
    text = "all there is: name, what it does, reference"
    command("list", text, "gdjax list adam", cli_list.list_options, cli_list.list_all)
    text = "everything about one: formula, defaults, parts, state, reference"
    command("show", text, "gdjax show adamw", cli_list.show_options, cli_list.show)
    text = "that the program of a rule is the formula of its docstring"
    command("prove", text, "gdjax prove adamw", cli_prove.options, cli_prove.run)
    text = "bytes, copies and clocks of steps beside those of optax"
    command("bench", text, "gdjax bench --markdown", cli_bench.options, cli_bench.run)
    text = "what a step costs on a chip that is not here, from the chip's compiler"
    example = "gdjax programs adamw muon --chip v5e:2x4 --model gpt2 --against optax"
    command("programs", text, example, cli_programs.options, cli_programs.run)
    text = "a picture of schedules"
    example = "gdjax plot 'cosine_decay_schedule(1e-3, 1000)'"
    command("plot", text, example, cli_plot.options, cli_plot.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())

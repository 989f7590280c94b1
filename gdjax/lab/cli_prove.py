"""The command `gdjax prove`."""

from __future__ import annotations

__all__ = ["options", "run"]

import argparse

from gdjax.lab.cli_output import Wrong, judged


def options(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of `prove`."""
    words = "a name, or a call as 'adamw(weight_decay=0.1)'"
    command.add_argument("name", metavar="NAME", help=words)
    command.add_argument("--steps", type=int, default=2, help="how many are compared (2)")
    command.add_argument("--brief", action="store_true", help="do not print the traced program")


def run(arguments: argparse.Namespace) -> None:
    """Prints formula, program and verdict.

    Raises:
        Wrong: The program is not the formula, or there is none.
    """
    from gdjax import contract
    from gdjax.lab import catalogue

    with judged():
        tx = catalogue.example(arguments.name)
        proof = contract.prove(tx, steps=arguments.steps)
    print(f"{proof.name}\n\n{proof.formula}\n")
    if not arguments.brief:
        print(f"{proof.program}\n")
    if not proof:
        raise Wrong(f"prove: {proof.verdict}")
    print(proof.verdict)

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
    words = "of the parameter, as 2 or 2,2, where norms are in the formula; else one entry"
    command.add_argument("--shape", type=_shape, default=(), help=words)
    command.add_argument("--brief", action="store_true", help="do not print the traced program")


def _shape(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def run(arguments: argparse.Namespace) -> None:
    """Prints formula, program and verdict.

    Raises:
        Wrong: The program is not the formula, or there is none.
    """
    from gdjax import contract
    from gdjax.lab import catalogue

    with judged():
        tx = catalogue.example(arguments.name)
        if any(e.name == tx.name and e.proven == "by identities" for e in catalogue.entries()):
            raise Wrong(f"prove: {tx.name} is proven by identities of matrices, see tests/proof.")
        proof = contract.prove(tx, steps=arguments.steps, shape=arguments.shape)
    print(f"{proof.name}\n\n{proof.formula}\n")
    if not arguments.brief:
        print(f"{proof.program}\n")
    if not proof:
        raise Wrong(f"prove: {proof.verdict}")
    print(proof.verdict)

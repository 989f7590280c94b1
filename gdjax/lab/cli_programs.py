"""The command `gdjax programs`: cost of steps on a chip, without the device."""

from __future__ import annotations

__all__ = ["options", "run"]

import argparse
import json
from typing import Any

from gdjax.lab.cli_output import console, judged


def options(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add = command.add_argument
    add("optimizers", nargs="+", metavar="OPTIMIZER", help="names, or quoted calls")
    words = "cpu, h200, or a TPU with its grid as v5e:1, v5e:2x4, v5p:4x4x4; default: cpu"
    add("--chip", default="cpu", help=words)
    words = "gpt2, llama, stacked_llama, resnet50 or small; default: gpt2"
    add("--model", default="gpt2", metavar="MODEL", help=words)
    words = "axes of the mesh by which parameters are split; default: data"
    add("--split", default="data", metavar="AXES", help=words)
    words = "Explicit mesh axes instead of Auto ones"
    add("--explicit", action="store_true", help=words)
    add("--against", choices=["optax"], metavar="optax", help="the same of optax beside each")
    add("--markdown", action="store_true", help="the table for a page")
    add("--json", action="store_true", help="the numbers, a line for each")


def run(arguments: argparse.Namespace) -> None:
    """Compiles what was asked for, and prints what it costs."""
    with judged():
        _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    """Compiles what was asked for, and prints what it costs.

    Raises:
        ValueError: A name, a call or the chip is wrong, or the compiler of the chip is missing.
    """
    import jax
    from jax._src import xla_bridge
    from jax.sharding import PartitionSpec

    from gdjax import programs
    from gdjax.core.rule import errors
    from gdjax.lab import catalogue

    models = programs.models.MODELS
    if arguments.model not in models:
        hint = errors.nearest(arguments.model, models)
        must = f"--model must be one of {', '.join(models)}"
        errors.fail("programs", must, arguments.model, instead=hint)
    if not xla_bridge.backends_are_initialized():
        jax.config.update("jax_platforms", "cpu")  # the chip need not be here, and is not asked for
    params = models[arguments.model]()
    spec = PartitionSpec(*arguments.split.split(","))
    found = []
    for text in arguments.optimizers:
        tx = catalogue.example(text)
        named = {text: tx}
        if arguments.against:
            named[f"optax: {text}"] = _of_optax(tx)
        for name, made in named.items():
            how = {"explicit": arguments.explicit, "name": name}
            try:
                found.append(programs.report(made, params, arguments.chip, spec, **how))
            except RuntimeError as error:
                raise ValueError(str(error)) from error
    if arguments.json:
        print("\n".join(json.dumps(one.as_dict()) for one in found))
    elif arguments.markdown:
        print(programs.table(found, markdown=True))
    else:
        console().print(programs.table(found))


def _of_optax(tx: Any) -> Any:
    """What optax makes of the same call."""
    import optax

    from gdjax.core.rule import errors

    make = getattr(optax, tx.name, None) or getattr(optax.contrib, tx.name, None)
    if make is None:
        errors.fail("programs", "optax must have it too for --against optax", tx.name)
    return make(**tx.given)

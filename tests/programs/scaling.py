"""Scaling estimates of training on many devices: memory and communication of each device.

    python -m tests.programs.scaling [adamw muon ...] [--parameters 1e9 1e12] [--markdown]

N parameters on D = F·T devices: F shares of the data, T parts of each matrix (tensor parallelism;
otherwise T is 1). Weights take w bytes, gradients g (2 each, bfloat16), and the state s, which
includes float32 weights and is counted by `jax.eval_shape(tx.init, ...)`.

                 bytes on each device    bytes each device sends in a step, around a ring
    replicated   N·(w + g + s)           2·g·N·(D−1)/D                 all-reduce of gradients
    ZeRO-1       N·(w + g + s/D)         (g + w)·N·(D−1)/D             reduce-scatter, all-gather
    FSDP         N·(w + g + s)/D         (g + 2w)·N·(D−1)/D            weights forward and backward
    FSDP + TP    N·(w + g + s)/D         (g + 2w)·N/T·(F−1)/F          and four all-reduces a layer
                                         + 4·2·(T−1)/T·w·L·d·t         of activations [t, d]

A link of a ring carries the bytes that one device sends. Matrices that are distributed over devices
(Muon, SOAP; M numbers of 4 bytes) are sent and returned: 2·4·M/D·(D−1)/D; if replicated they return
to all devices, 4·M·(D−1)/D. These are the bytes that must move if the devices keep their state;
`tests.programs.collectives` reads the bytes of compiled programs. Activations and gathered weights
come on top of the bytes on a device.
"""

from __future__ import annotations

__all__ = ["OPTIMIZERS", "PLACEMENTS", "Model", "Plan", "model", "plan", "table"]

import argparse
import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gdjax as gd
from tests.programs.collectives import transformer
from tests.programs.printing import print_table

OPTIMIZERS = {
    "adamw": gd.adamw(1e-3),
    "8-bit adamw": gd.store(gd.adamw(1e-3), "8bit"),
    "adafactor": gd.adafactor(1e-3),
    "muon": gd.muon(1e-3),
    "soap": gd.soap(1e-3),
}
PLACEMENTS = ("replicated", "ZeRO-1", "FSDP", "FSDP + TP")
WEIGHT = GRADIENT = 2  # bytes
WHOLE = 4  # bytes of a number in a matrix that goes to its owner


class Model(NamedTuple):
    """The sizes of a transformer."""

    layers: int  # L
    width: int  # d
    words: int = 65536

    def shapes(self, layers: int) -> dict[str, Any]:
        """The shapes of a number of its layers, and of its embedding."""
        shapes = transformer(layers, self.width, self.words)
        is_shape = lambda x: isinstance(x, tuple)
        one = lambda shape: jax.ShapeDtypeStruct(shape, jnp.bfloat16)
        return jax.tree.map(one, shapes, is_leaf=is_shape)

    def total(self, count: Any) -> int:
        """What `count` gives for the whole, from one layer and from two: layers are alike."""
        first, second = (count(self.shapes(layers)) for layers in (1, 2))
        return first + (self.layers - 1) * (second - first)

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return self.total(lambda shapes: sum(x.size for x in jax.tree.leaves(shapes)))


class Plan(NamedTuple):
    """Memory and communication of each device."""

    held: float  # bytes of weights, gradients and state
    sent: float  # bytes in a step


def model(parameters: float) -> Model:
    """A transformer of about a number of parameters, 128 times as wide as deep.

    >>> model(1e9)
    Model(layers=16, width=2048, words=65536)
    """
    layers = 1
    while Model(layers + 1, 128 * (layers + 1)).parameters <= parameters:
        layers += 1
    return Model(layers, 128 * layers)


def plan(
    tx: Any, of: Model, placement: str, devices: int, tensor: int = 8, tokens: int = 4096
) -> Plan:
    """Bytes on each device, and bytes that it sends in a step.

    Args:
        tx: The optimizer.
        of: The model.
        placement: One of `PLACEMENTS`.
        devices: D, the number of devices.
        tensor: T, the devices over which matrices are split under FSDP + TP.
        tokens: Tokens on each device in a step; a group that shares matrices has t = T·tokens.
    """
    n, state = of.parameters, state_bytes(tx, of)
    ring = lambda devices: (devices - 1) / devices
    weights = (WEIGHT + GRADIENT) * n
    dealt = 2 * WHOLE * _dealt(tx, of) / devices * ring(devices)
    if placement == "replicated":
        dealt = WHOLE * _dealt(tx, of) * ring(devices)
        return Plan(weights + state, 2 * GRADIENT * n * ring(devices) + dealt)
    if placement == "ZeRO-1":
        return Plan(weights + state / devices, (GRADIENT + WEIGHT) * n * ring(devices) + dealt)
    held, sent = (weights + state) / devices, (GRADIENT + 2 * WEIGHT) * n
    if placement == "FSDP":
        return Plan(held, sent * ring(devices) + dealt)
    activations = 4 * 2 * ring(tensor) * WEIGHT * of.layers * of.width * tokens * tensor
    return Plan(held, sent / tensor * ring(devices // tensor) + activations + dealt)


def state_bytes(tx: Any, of: Model) -> int:
    """Bytes of state including float32 weights, by `jax.eval_shape`."""
    wide = gd.with_master_weights(tx)
    return of.total(lambda shapes: gd.state.nbytes(jax.eval_shape(wide.init, shapes)))


def _dealt(tx: Any, of: Model) -> int:
    """Numbers in matrices that a rule must see whole.

    Embeddings are not among Muon's, nor matrices among SOAP's whose sides are both too long for it.
    """
    by_muon = tx.made_by(gd.muon)
    if not by_muon and not tx.made_by(gd.soap):
        return 0
    limit = math.inf if by_muon else tx.arguments["max_precond_dim"]
    matrix = lambda x: x.ndim == 2 and min(x.shape) <= limit
    numbers = of.total(lambda shapes: sum(x.size for x in filter(matrix, jax.tree.leaves(shapes))))
    return numbers - (of.words * of.width if by_muon else 0)


def table(
    optimizers: Sequence[str] = tuple(OPTIMIZERS),
    parameters: Sequence[float] = (1e9, 1e10, 1e11, 1e12),
) -> tuple[list[str], list[list[str]]]:
    """Head and rows: GB on each device, and GB sent by each device in a step."""
    head = ["parameters, devices", "optimizer", "state, bytes each"]
    head += [f"GB, {placement}" for placement in PLACEMENTS[:-1]]  # the last as the one before
    head += [f"GB sent, {placement}" for placement in PLACEMENTS]
    rows = []
    for size in parameters:
        of, devices = model(size), 2 ** max(3, round(math.log2(size / 1.25e8)))
        for name in optimizers:
            tx = OPTIMIZERS[name]
            plans = [plan(tx, of, placement, devices) for placement in PLACEMENTS]
            each = f"{state_bytes(tx, of) / of.parameters:.2f}"
            numbers = [p.held for p in plans[:-1]] + [p.sent for p in plans]
            first = f"{of.parameters / 1e9:,.1f}e9, {devices}"
            rows.append([first, name, each, *(_short(x / 1e9) for x in numbers)])
    return head, rows


def _short(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table."""
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(
        "python -m tests.programs.scaling", description=__doc__, **layout
    )
    text = f"of {', '.join(OPTIMIZERS)}; default: all"
    parser.add_argument("optimizers", nargs="*", metavar="OPTIMIZER", help=text)
    sizes = {"type": float, "nargs": "+", "default": [1e9, 1e10, 1e11, 1e12]}
    parser.add_argument("--parameters", **sizes, help="default: 1e9 1e10 1e11 1e12")
    parser.add_argument("--markdown", action="store_true", help="as the table of docs/meshes.md")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.optimizers) - set(OPTIMIZERS):
        parser.error(f"OPTIMIZER must be one of {', '.join(OPTIMIZERS)}, got {unknown.pop()!r}.")
    head, rows = table(arguments.optimizers or tuple(OPTIMIZERS), arguments.parameters)
    print_table(head, rows, arguments.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())

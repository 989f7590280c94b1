"""Costs of one step, compiled for a chip."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gdjax import sharding
from gdjax.core.data.compare import show
from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.transformation import GradientTransformation, apply_updates, name_of
from gdjax.core.rule import errors
from gdjax.programs import tables
from gdjax.programs.chips import Chip, devices
from gdjax.programs.collective_bytes import Traffic, collectives
from gdjax.programs.instructions import counts, moved

__all__ = ["Report", "report", "table"]


@dataclasses.dataclass(frozen=True)
class Report:
    """Costs of one step on each device.

    Attributes:
        name: The transformation.
        chip: The chip, with the number of devices.
        parameters: The number of parameters, on all devices together.
        bytes: Bytes read from and written to main memory in a step: on a CPU by the compiler's
            cost analysis, elsewhere the operands and results of kernels.
        temporary: Bytes of buffers that are neither arguments nor results.
        kernels: Fusions, products and calls; of a conditional those of both branches.
        copies: Copies of arrays.
        collectives: The number of each kind, and the bytes that a device sends.
        peak: Bytes of arguments, results and temporaries together; donated buffers count once.
        fits: Whether the peak is less than the chip's memory; None if that is unknown.
        seconds: The compilation time here.
    """

    name: str
    chip: str
    parameters: int
    bytes: float
    temporary: int
    kernels: int
    copies: int
    collectives: dict[str, Traffic]
    peak: int
    fits: bool | None
    seconds: float

    @property
    def bytes_a_parameter(self) -> float:
        """Bytes read and written for each parameter that the device holds or computes."""
        return self.bytes / self.parameters

    @property
    def temporary_a_parameter(self) -> float:
        """Temporary bytes for each parameter."""
        return self.temporary / self.parameters

    def as_dict(self) -> dict[str, Any]:
        """The numbers as a dict for JSON."""
        return dataclasses.asdict(self) | {
            "collectives": {kind: traffic._asdict() for kind, traffic in self.collectives.items()}
        }

    def cells(self) -> list[str]:
        """The row of a table."""
        sent = sum(traffic.bytes for traffic in self.collectives.values())
        kinds = ", ".join(f"{traffic.count} {kind}" for kind, traffic in self.collectives.items())
        fits = {True: "yes", False: "no", None: "–"}[self.fits]
        return [
            self.name,
            f"{self.bytes_a_parameter:.1f}",
            f"{self.temporary_a_parameter:.2f}",
            str(self.kernels),
            str(self.copies),
            f"{kinds or '–'}" + (f", {sent / 1e6:.1f} MB" if kinds else ""),
            f"{self.peak / 1e9:.2f}",
            fits,
            f"{self.seconds:.1f}",
        ]

    def __str__(self) -> str:
        """The costs, one on each line."""
        return "\n".join(f"{head:>22}  {cell}" for head, cell in zip(HEAD, self.cells()))


HEAD = [
    "optimizer",
    "bytes a parameter",
    "temporary",
    "kernels",
    "copies",
    "collectives",
    "peak GB a device",
    "fits",
    "compiled in s",
]


def report(
    tx: Any,
    params: Any,
    chip: str = "cpu",
    shardings: Any = None,
    *,
    mesh: dict[str, int] | None = None,
    explicit: bool = False,
    name: str = "",
) -> Report:
    """Compiles one donated step for a chip, without the device, and counts its costs.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> found = gd.programs.report(gd.sgd(0.1), {"w": jnp.ones((64, 64))}, mesh={"data": 1})
    >>> round(found.bytes_a_parameter, 1), found.temporary, found.copies
    (12.0, 0, 0)

    Args:
        tx: A transformation of gdjax (by its `step`) or of another library (by `update` and
            `apply_updates`).
        params: Arrays, or abstract values as from `gdjax.programs.models`.
        chip: `"cpu"`, `"h200"`, `"v5e:1"` for one chip, `"v5e:2x4"`, `"v5p:4x4x4"` for several.
        shardings: A `PartitionSpec`, or a tree of them like the parameters, for parameters,
            gradients and state; None for replicated. An array with fewer axes than its spec, or
            that is not divisible by it, is replicated.
        mesh: Axes of the mesh and their lengths; by default one axis, `data`, of all devices.
        explicit: Whether the axes of the mesh are Explicit or Auto.
        name: The name in tables.

    Raises:
        RuntimeError: The compiler of the chip is missing, or in use by another process.
        ValueError: Unknown chip, or the mesh has another number of devices.
    """
    check_transformation("programs.report", "tx", tx, "Write report(tx, params).")
    for leaf in jax.tree.leaves(params):
        if not hasattr(leaf, "shape"):
            must = "params must be arrays or abstract values"
            errors.fail("programs.report", must, show(leaf), kind=TypeError)
    known, found = devices(chip)
    axes = mesh or {"data": len(found)}
    if math.prod(axes.values()) > len(found):
        must = f"mesh must have at most {len(found)} devices"
        errors.fail("programs.report", must, axes)
    grid = np.asarray(found[: math.prod(axes.values())]).reshape(tuple(axes.values()))
    kinds = (AxisType.Explicit if explicit else AxisType.Auto,) * len(axes)
    built = Mesh(grid, tuple(axes), axis_types=kinds)
    placed = _placed(params, shardings, built)
    begun = time.perf_counter()
    program = _compiled(tx, placed, built, known)
    seconds = time.perf_counter() - begun
    text, memory = program.as_text(), program.memory_analysis()
    told = program.cost_analysis() or {}
    told = told[0] if isinstance(told, list) else told
    kernels, copies = counts(text)
    peak = memory.argument_size_in_bytes + memory.output_size_in_bytes
    peak += memory.temp_size_in_bytes - memory.alias_size_in_bytes
    return Report(
        name=name or name_of(tx),
        chip=f"{chip} × {grid.size}" if grid.size > 1 else chip,
        parameters=sum(math.prod(x.shape) for x in jax.tree.leaves(placed)),
        bytes=told["bytes accessed"] if known.platform == "cpu" else moved(text),
        temporary=memory.temp_size_in_bytes,
        kernels=kernels,
        copies=copies,
        collectives=collectives(text),
        peak=peak,
        fits=peak < known.memory if known.memory else None,
        seconds=seconds,
    )


def _placed(params: Any, shardings: Any, mesh: Mesh) -> Any:
    """Abstract parameters with their shardings."""
    one = shardings is None or isinstance(shardings, PartitionSpec)

    def place(x: Any, spec: Any) -> Any:
        spec = tuple(spec or ())
        split = [
            math.prod(mesh.shape[a] for a in ((s,) if isinstance(s, str) else s or ()))
            for s in spec
        ]
        fits = len(spec) <= len(x.shape) and all(n % k == 0 for n, k in zip(x.shape, split))
        where = NamedSharding(mesh, PartitionSpec(*spec) if fits else PartitionSpec())
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

    if one:
        return jax.tree.map(lambda x: place(x, shardings), params)
    return jax.tree.map(place, params, shardings)


def _compiled(tx: Any, params: Any, mesh: Mesh, chip: Chip) -> Any:
    ours = isinstance(tx, GradientTransformation)

    def step(params: Any, state: Any, grads: Any) -> Any:
        if ours:
            return tx.step(grads, state, params)
        updates, state = tx.update(grads, state, params)
        return apply_updates(params, updates), state

    with jax.set_mesh(mesh):
        state = jax.eval_shape(tx.init, params)
        state = _with(state, sharding.state(tx, params) if ours else _alike(state, params, mesh))
        traced = jax.jit(step, donate_argnums=(0, 1)).trace(params, state, params)
        lowered = traced.lower(lowering_platforms=(chip.platform,))
        return lowered.compile(compiler_options=dict(chip.options) or None)


def _with(state: Any, where: Any) -> Any:
    place = lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at)
    return jax.tree.map(place, state, where)


def _alike(state: Any, params: Any, mesh: Mesh) -> Any:
    """Shardings of another library's state: arrays with the shape of a parameter are like it."""
    by_shape = {x.shape: x.sharding for x in jax.tree.leaves(params)}
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda x: by_shape.get(x.shape, whole), state)


def table(reports: Sequence[Report], markdown: bool = False) -> Any:
    """Table of reports: for rich, or in Markdown.

    Args:
        reports: Reports of one chip.
        markdown: Whether to return Markdown instead of a table of rich.
    """
    rows = [found.cells() for found in reports]
    if markdown:
        return tables.markdown(HEAD, rows).rstrip()
    from rich import box
    from rich.table import Table

    made = Table(*HEAD, box=box.SIMPLE_HEAD, title=f"a step on {reports[0].chip}")
    for row in rows:
        made.add_row(*row)
    return made

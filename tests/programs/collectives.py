"""Communication of optimizer steps on a mesh, from compiled programs, against optax.

    python -m tests.programs.collectives [adamw muon ...] [--markdown]

Each program is one step of an optimizer for a small transformer, compiled for eight devices (or
eight virtual CPU devices in a process of its own); nothing is run. Placements: replicated and
ZeRO-1 get per-device gradients that are not yet summed, as in data-parallel training; FSDP and 2-D
get summed gradients, placed like the parameters; stacked is FSDP of layers stacked in one array,
for a scan over them. The axes of the mesh are Explicit for gdjax and Auto for optax, whose Muon
fails on Explicit axes. XLA on CPU has no reduce-scatter of its own: an all-reduce with a slice
counts as one.
"""

from __future__ import annotations

__all__ = ["OPTIMIZERS", "PLACEMENTS", "Step", "by_shapes", "step", "table", "transformer"]

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import gdjax as gd
from gdjax.programs.collective_bytes import KINDS, Traffic, collectives
from gdjax.state.names import words
from tests.programs.printing import print_table

DEVICES = 8
RATE = 1e-3
OPTIMIZERS = ("adamw", "adafactor", "muon", "soap")
PLACEMENTS = {
    "replicated": ((DEVICES,), ("data",)),
    "ZeRO-1": ((DEVICES,), ("data",)),
    "FSDP": ((DEVICES,), ("data",)),
    "2-D": ((DEVICES // 2, 2), ("data", "model")),
    "stacked": ((DEVICES,), ("data",)),
}
_STACKED = {r"layers/(qkv|proj|up|down)": "n in out", "embedding": None}
_ALL = {"embedding": "in out", "layers/norm.": "n in"}


class Step(NamedTuple):
    """Communication of one step, and the bytes of state on each device."""

    sent: dict[str, Traffic]
    state_bytes: int  # on each device

    @property
    def bytes(self) -> int:
        """The bytes that each device sends."""
        return sum(one.bytes for one in self.sent.values())


def transformer(
    layers: int = 8, width: int = 256, words: int = 4096, stacked: bool = False
) -> dict[str, Any]:
    """The shapes of a small transformer, by name; separate or stacked layers."""
    layer = {
        "qkv": (width, 3 * width),
        "proj": (width, width),
        "up": (width, 4 * width),
        "down": (4 * width, width),
        "norm1": (width,),
        "norm2": (width,),
    }
    embedding = {"embedding": (words, width)}
    if stacked:
        return embedding | {"layers": {name: (layers, *shape) for name, shape in layer.items()}}
    return embedding | {f"layer{i}": dict(layer) for i in range(layers)}


def step(
    name: str, placement: str, library: str = "gdjax", axis_type: str | None = None, **sizes: Any
) -> Step | None:
    """Compiles a step of an optimizer on eight devices; None if the library lacks it.

    Args:
        name: One of `OPTIMIZERS`.
        placement: One of `PLACEMENTS`.
        library: gdjax or optax.
        axis_type: Auto or Explicit, the type of the mesh axes. By default Explicit for gdjax, as
            from `jax.make_mesh`, and Auto for optax, whose Muon needs it.
        **sizes: layers, width and words of the transformer.
    """
    tx = _optimizer(library, name, placement == "stacked")
    if tx is None:
        return None
    axes, names = PLACEMENTS[placement]
    axis_type = axis_type or ("Explicit" if library == "gdjax" else "Auto")
    kinds = (jax.sharding.AxisType[axis_type],) * len(axes)
    mesh = jax.make_mesh(axes, names, axis_types=kinds, devices=jax.devices()[:DEVICES])
    with jax.set_mesh(mesh):
        params = _params(placement, mesh, **sizes)
        grads = params
        if placement in ("replicated", "ZeRO-1"):
            at = NamedSharding(mesh, PartitionSpec("data"))
            stacked = lambda p: jax.ShapeDtypeStruct((DEVICES, *p.shape), p.dtype, sharding=at)
            grads = jax.tree.map(stacked, params)
        if library == "gdjax":
            if placement == "ZeRO-1":
                tx = gd.sharding.zero(tx)
            elif axis_type == "Auto":
                tx = gd.sharding.placed(tx, jax.tree.map(lambda p: p.sharding, params))
            placed = gd.sharding.state(tx, params)
        else:
            placed = by_shapes(tx, params, mesh, split=placement == "ZeRO-1")
        arrays = lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at)
        state = jax.tree.map(arrays, jax.eval_shape(tx.init, params), placed)
        into = jax.tree.map(lambda p: p.sharding, params), placed
        function = (_ours if library == "gdjax" else _theirs)(tx, placement)
        jitted = jax.jit(function, donate_argnums=(0, 1), out_shardings=into)
        text: Any = jitted.lower(params, state, grads).compile().as_text()
    return Step(collectives(text), sum(map(_shard_bytes, jax.tree.leaves(state))))


def _optimizer(library: str, name: str, stacked: bool) -> Any:
    if library == "gdjax":
        made = getattr(gd, name, None)
        axes = gd.matrix_axes(_STACKED | (_ALL if name == "soap" else {}))
        about = {"matrix_axes": axes} if stacked and name in ("muon", "soap") else {}
        return None if made is None else made(RATE, **about)
    import optax

    if name == "muon":  # as ours: what is called embedding is left to AdamW
        numbers = optax.contrib.MuonDimensionNumbers(-2, -1)
        matrices = lambda params: jax.tree_util.tree_map_with_path(
            lambda path, p: numbers if p.ndim == 2 + stacked and len(path) > 1 else None, params
        )
        return optax.contrib.muon(RATE, muon_weight_dimension_numbers=matrices)
    made = getattr(optax, name, None) or getattr(optax.contrib, name, None)
    return None if made is None else made(RATE)


def _params(placement: str, mesh: Any, **sizes: int) -> Any:
    def leaf(path: Any, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
        spec: tuple[Any, ...] = ()
        if placement == "FSDP" or len(path) == 1 and placement == "stacked":
            spec = ("data",)
        elif placement == "stacked":
            spec = (None, "data")
        elif placement == "2-D" and len(shape) == 2:
            inputs = str(path[-1].key) in ("proj", "down")  # sums over what the others split
            spec = ("model", "data") if inputs else ("data", "model")
        at = NamedSharding(mesh, PartitionSpec(*spec))
        return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=at)

    shapes = transformer(**sizes, stacked=placement == "stacked")
    return jax.tree_util.tree_map_with_path(leaf, shapes, is_leaf=lambda x: isinstance(x, tuple))


def by_shapes(tx: Any, params: Any, mesh: Any, split: bool = False) -> Any:
    """Shardings of a state by shape: an array with the shape of a parameter is placed like it.

    Args:
        tx: A transformation of any library.
        params: Shapes of parameters, with their shardings.
        mesh: Their mesh.
        split: Whether to split all over the first axis that the devices divide, instead.
    """
    found = jax.tree_util.tree_leaves_with_path(params)
    by_path = {words(path): p for path, p in found}

    def leaf(path: Any, x: Any) -> NamedSharding:
        names = words(path)
        ends = (by_path.get(names[i:]) for i in range(len(names)))
        owner = next((p for p in ends if p is not None and p.shape == x.shape), None)
        if owner is None:
            return NamedSharding(mesh, PartitionSpec())
        if not split:
            return owner.sharding
        axis = next((i for i, n in enumerate(x.shape) if n % DEVICES == 0), None)
        spec = () if axis is None else (*(None,) * axis, "data")
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree_util.tree_map_with_path(leaf, jax.eval_shape(tx.init, params))


def _ours(tx: Any, placement: str) -> Callable[..., Any]:
    def function(params: Any, state: Any, grads: Any) -> Any:
        if placement == "ZeRO-1":
            grads = gd.sharding.reduce_scatter(grads)
        elif placement == "replicated":
            grads = jax.tree.map(lambda g: jnp.mean(g, 0), grads)
        return tx.step(grads, state, params)

    return function


def _theirs(tx: Any, placement: str) -> Callable[..., Any]:
    import optax

    def function(params: Any, state: Any, grads: Any) -> Any:
        if placement in ("replicated", "ZeRO-1"):
            grads = jax.tree.map(lambda g: jnp.mean(g, 0), grads)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return function


def _shard_bytes(x: Any) -> int:
    return int(np.prod(x.sharding.shard_shape(x.shape), dtype=int)) * x.dtype.itemsize


def table(
    optimizers: Sequence[str] = OPTIMIZERS, **sizes: Any
) -> tuple[list[str], list[list[str]]]:
    """Head and rows: gdjax / optax, if optax has the optimizer."""
    head = ["8 devices, gdjax / optax", *KINDS, "MB sent", "MB of state"]
    rows = []
    for name in optimizers:
        for placement in PLACEMENTS:
            both = [step(name, placement, library, **sizes) for library in ("gdjax", "optax")]
            found = [one for one in both if one is not None]
            if both[0] is None:
                continue
            none = Traffic(0, 0)
            counts = [[str(f.sent.get(kind, none).count) for f in found] for kind in KINDS]
            numbers = [[f"{f.bytes / 1e6:.2f}" for f in found]]
            numbers += [[f"{f.state_bytes / 1e6:.2f}" for f in found]]
            rows.append([f"{name}, {placement}", *map(" / ".join, counts + numbers)])
    return head, rows


def main(argv: list[str] | None = None) -> int:
    """Prints the table; in a new process if there are fewer than eight devices."""
    parser = argparse.ArgumentParser("python -m tests.programs.collectives", description=__doc__)
    names = f"of {', '.join(OPTIMIZERS)}; default: all"
    parser.add_argument("optimizers", nargs="*", metavar="OPTIMIZER", help=names)
    parser.add_argument("--markdown", action="store_true", help="as the table of docs/meshes.md")
    for name, size in (("layers", 8), ("width", 256), ("words", 4096)):
        parser.add_argument(f"--{name}", type=int, default=size, help="of the transformer")
    arguments = parser.parse_args(argv)
    if jax.device_count() < DEVICES:
        flag = f"--xla_force_host_platform_device_count={DEVICES}"
        flags = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
        env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        given = sys.argv[1:] if argv is None else argv
        again = [sys.executable, "-m", "tests.programs.collectives", *given]
        return subprocess.run(again, env=env, check=False).returncode
    sizes = {name: getattr(arguments, name) for name in ("layers", "width", "words")}
    head, rows = table(arguments.optimizers or OPTIMIZERS, **sizes)
    print_table(head, rows, arguments.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())

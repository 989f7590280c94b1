"""Stacks of matrices distributed over the devices of a mesh, for any sharding of the stacks.

The mesh is the one set by `jax.set_mesh`, or else the one of Explicit arrays. Where JAX knows the
sharding of an array (Explicit axes), a stack goes to its owners by one all-to-all, and returns by
one. Where only the compiler knows it (Auto axes), a stack is replicated, each device computes its
share of it, and the results are replicated too; fewer matrices than devices are not padded, the
results of their owners are summed with the zeros of the others. With `gdjax.sharding.placed` JAX
knows the sharding there. Inside `shard_map` nothing is distributed: each device applies the rule
to its own matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec, get_abstract_mesh

from gdjax.core.mesh.closure_convert import closure_convert


def _names(mesh: Any, *kinds: AxisType) -> tuple[str, ...]:
    """The axes of a mesh that have one of these types."""
    if mesh.empty:
        return ()
    return tuple(n for n, kind in zip(mesh.axis_names, mesh.axis_types) if kind in kinds)


def mesh_of(*arrays: Any) -> Any:
    """The mesh that is set; if none is, the mesh of the first Explicit array."""
    mesh = get_abstract_mesh()
    if not mesh.empty:
        return mesh
    on = (jax.typeof(x).sharding.mesh for x in arrays if isinstance(x, jax.Array))
    return next((own for own in on if _names(own, AxisType.Explicit)), mesh)


def spec_of(x: Any) -> tuple[tuple[str, ...], ...] | None:
    """The mesh axes over which each axis of an array is split; None if JAX does not know them."""
    if not isinstance(x, jax.Array) or not _names(mesh_of(x), AxisType.Explicit):
        return None
    spec = jax.typeof(x).sharding.spec
    split = [() if s is None else (s,) if isinstance(s, str) else tuple(s) for s in spec]
    return (*split, *[()] * (x.ndim - len(split)))


def reshard(x: Any, where: Sequence[tuple[str, ...]] | None) -> Any:
    """The array, split over these mesh axes; unchanged for None."""
    if where is None or spec_of(x) == tuple(where):
        return x
    return jax.sharding.reshard(x, placed(x, where))


def placed(x: Any, where: Sequence[tuple[str, ...]]) -> NamedSharding:
    """The sharding of an array that is split over these axes of the mesh of `x`."""
    return NamedSharding(mesh_of(x), PartitionSpec(*(names or None for names in where)))


def reshard_like(x: Any, other: Any) -> Any:
    """The array, sharded like another of its shape."""
    return reshard(x, spec_of(other))


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    """The array in another shape.

    Axes of both shapes stay split, and so does the first of several axes that become one, whose
    parts are contiguous then.
    """
    if x.shape == tuple(shape):
        return x
    where = spec_of(x)
    if where is None or not any(where):
        return x.reshape(shape)
    kept, old, new = [False] * x.ndim, 0, 0  # whether the split of an axis is one of the new shape
    spec: list[tuple[str, ...]] = [()] * len(shape)
    before = after = 1
    while old < x.ndim and new < len(shape):
        if before == after and x.shape[old] == shape[new]:
            kept[old], spec[new] = True, where[old]
            old, new = old + 1, new + 1
            continue
        if before == after:  # several axes become one, or one becomes several, from here on
            parts = math.prod(mesh_of(x).shape[name] for name in where[old])
            if x.shape[old] % parts == 0 and shape[new] % parts == 0:
                kept[old], spec[new] = True, where[old]
        if before * x.shape[old] <= after * shape[new]:
            before, old = before * x.shape[old], old + 1
        else:
            after, new = after * shape[new], new + 1
        if before == after:
            before = after = 1
    x = reshard(x, [names if keep else () for names, keep in zip(where, kept)])
    return jax.lax.reshape(x, shape, out_sharding=placed(x, spec))


def distribute(rule: Callable[..., Any], stacks: list[Any], count: int) -> list[Any]:
    """Applies a rule for stacks [count, ...]; each device computes its share of the matrices.

    The first result is sharded like the first stack, and so on. Stacks are padded with zeros if
    the matrices cannot be shared evenly.
    """
    mesh = mesh_of(*stacks)
    explicit, auto = _names(mesh, AxisType.Explicit), _names(mesh, AxisType.Auto)
    names = explicit or auto
    owners = math.prod(mesh.shape[name] for name in names)
    if not names:
        return rule(*stacks)
    if owners == 1 or count == 1:  # nothing to share: every device computes it
        results = [replicate(x) for x in rule(*map(replicate, stacks))]
        return [reshard_like(y, x) for x, y in zip(stacks, results)]
    if not explicit and count < owners:
        return _by_few(rule, stacks, count, names, mesh)
    missing = -count % owners
    stacks = [_at_home(x, () if missing else names) for x in stacks]
    if missing:
        fill = lambda x: jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1))
        stacks = [fill(x) for x in stacks]
    by = _by_place if explicit else _by_compiler
    results = by(rule, stacks, names, mesh)
    return [x[:count] for x in results] if missing else results


def _at_home(stack: Any, names: tuple[str, ...]) -> Any:
    """The stack, with matrices split over as many of these axes, in the order of owners, as fit."""
    if (where := spec_of(stack)) is None:
        return stack
    lead, *sides = where
    return reshard(stack, (lead if lead == names[: len(lead)] else (), *sides))


def replicate(x: Any) -> Any:
    """The array, replicated on all devices of the mesh."""
    if mesh_of(x).empty or not hasattr(x, "shape"):
        return x
    if spec_of(x) is not None:
        return reshard(x, [()] * x.ndim)
    return jax.lax.with_sharding_constraint(x, PartitionSpec())


def _on_each(share: Callable[..., Any], names: Any, mesh: Any, into: Any, out: Any) -> Any:
    """The function on each device, with the specs of its arguments and of its results."""
    return jax.shard_map(
        share, mesh=mesh, in_specs=into, out_specs=out, axis_names={*names}, check_vma=False
    )


def on_shards(rule: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    """Applies a rule to shards of arrays, each device to those that it has; nothing is sent.

    The first result is sharded like the first array, and so on. It needs Explicit axes.
    """
    mesh = mesh_of(*arrays)
    specs = [placed(x, spec_of(x) or ()).spec for x in arrays]
    values, closed = closure_convert(rule)
    share = lambda values, *shards: closed(values)(*shards)
    run = _on_each(share, _names(mesh, AxisType.Explicit), mesh, (PartitionSpec(), *specs), specs)
    return run(values, *arrays)


def _by_compiler(rule: Callable[..., Any], stacks: list[Any], names: Any, mesh: Any) -> list[Any]:
    shares = _on_each(rule, names, mesh, PartitionSpec(names), PartitionSpec(names))
    # Replicated before and after: else the compiler moves parts of matrices one by one.
    return [replicate(x) for x in shares(*map(replicate, stacks))]


def _by_few(
    rule: Callable[..., Any], stacks: list[Any], count: int, names: Any, mesh: Any
) -> list[Any]:
    """Fewer matrices than devices: a stack that is padded would be many times as large."""

    def share(*stacks: Any) -> list[Any]:
        owner = jax.lax.axis_index(names)
        at = jnp.minimum(owner, count - 1)  # the devices that are left over repeat the last one
        results = rule(*(jax.lax.dynamic_slice_in_dim(x, at, 1) for x in stacks))
        mine = jnp.arange(count) == owner
        spread = (jnp.where(mine.reshape(-1, *[1] * (x.ndim - 1)), x, 0) for x in results)
        return [jax.lax.psum(x, names) for x in spread]

    run = _on_each(share, names, mesh, PartitionSpec(), PartitionSpec())
    return run(*map(replicate, stacks))


def _by_place(rule: Callable[..., Any], stacks: list[Any], names: Any, mesh: Any) -> list[Any]:
    routes = [_Route(x, names, mesh.shape) for x in stacks]
    values, closed = closure_convert(rule)

    def share(values: list[Any], *parts: Any) -> list[Any]:
        mine = [route.to_owners(part) for route, part in zip(routes, parts)]
        return [route.back(x) for route, x in zip(routes, closed(values)(*mine))]

    specs = [route.spec for route in routes]
    kept = len(jax.eval_shape(rule, *(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in stacks)))
    run = _on_each(share, names, mesh, (PartitionSpec(), *specs), specs[:kept])
    return run(values, *stacks)


class _Route:
    """The route of one stack to its owners and back, from the view of one device.

    Matrices are numbered like their owners: [one axis for each name, matrices of one owner]. They
    need not move along axes over which the stack is split already.
    """

    def __init__(self, stack: Any, names: tuple[str, ...], shape: Any) -> None:
        home, *sides = spec_of(stack) or ((),) * stack.ndim
        self.names = names = names[len(home) :]
        self.spec = PartitionSpec(home or None, *(side or None for side in sides))
        self.split = tuple(name for name in names if any(name in side for side in sides))
        self.free = tuple(name for name in names if name not in self.split)
        self.sizes = {name: shape[name] for name in names}
        self.shares = math.prod(self.sizes[name] for name in self.split)
        self.parts = [[self.sizes[name] for name in side] for side in sides]
        # An owner gets [an axis for each name of split, matrices, sides in parts]; in this order
        # the parts of a side are adjacent.
        self.order = [len(self.split)]
        for i, side in enumerate(sides):
            self.order += [*map(self.split.index, side), len(self.split) + 1 + i]

    def to_owners(self, part: Any) -> Any:
        """[matrices, sides in parts] to [matrices of one owner, sides]."""
        sides = part.shape[1:]
        part = part.reshape(*self.sizes.values(), -1, *sides)
        for i, name in reversed([*enumerate(self.names)]):
            if name in self.free:  # all devices have it: each takes its share
                part = jax.lax.dynamic_index_in_dim(part, jax.lax.axis_index(name), i, False)
        if not self.split:
            return part
        part = part.reshape(self.shares, -1, *sides)
        part = jax.lax.all_to_all(part, self.split, 0, 0)
        part = part.reshape(*(self.sizes[name] for name in self.split), *part.shape[1:])
        whole = [math.prod(parts) * n for parts, n in zip(self.parts, sides)]
        return part.transpose(self.order).reshape(-1, *whole)

    def back(self, mine: Any) -> Any:
        """[matrices of one owner, sides] to [matrices, sides in parts]."""
        count, *whole = mine.shape
        sides = [n // math.prod(parts) for parts, n in zip(self.parts, whole)]
        if self.split:
            pairs = zip(self.parts, sides)
            mine = mine.reshape(count, *(n for parts, side in pairs for n in (*parts, side)))
            mine = mine.transpose(np.argsort(self.order)).reshape(self.shares, count, *sides)
            mine = jax.lax.all_to_all(mine, self.split, 0, 0)
        if self.free:
            mine = jax.lax.all_gather(mine, self.free)
        found = self.free + self.split
        mine = mine.reshape(*(self.sizes[name] for name in found), count, *sides)
        order = [found.index(name) for name in self.names]
        return mine.transpose(*order, *range(len(order), mine.ndim)).reshape(-1, *sides)

"""Splitting of arrays over one axis of the mesh: reduce-scatter and all-gather.

The mesh is the one that `jax.set_mesh` sets. On Explicit axes, JAX knows how an array is sharded;
on Auto axes only the compiler does, and one axis of the array is constrained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec, get_abstract_mesh, reshard

from gdjax.core.rule import errors, tree

__all__ = ["OPEN", "Spec", "Split", "along", "devices", "names_of", "put", "reduce_scatter"]

Spec = tuple[Any, ...]  # for each axis of an array what it is split over
OPEN = PartitionSpec.UNCONSTRAINED  # left to the compiler


def devices(axis: str, where: str) -> int:
    """The number of devices along an axis of the mesh; 1 without a mesh or such an axis.

    Raises:
        ValueError: Called inside of a `shard_map` over this axis.
    """
    mesh = get_abstract_mesh()
    if mesh.empty or axis not in mesh.axis_names:
        return 1
    if _kind(axis) == AxisType.Manual:
        must = "the arrays must be global"
        hint = f"Call it outside of the shard_map over {axis!r}."
        errors.fail(where, must, "the shards of one device", instead=hint)
    return mesh.shape[axis]


def _kind(axis: str) -> AxisType:
    mesh = get_abstract_mesh()
    return mesh.axis_types[mesh.axis_names.index(axis)]


def along(shape: Sequence[int], spec: Spec, axis: str, n: int) -> Spec | None:
    """The spec that splits the first free axis of an array that n divides over `axis`.

    None if there is no such axis, or if the array is split over `axis` already.
    """
    free = [i for i, size in enumerate(shape) if size and size % n == 0 and spec[i] in (None, OPEN)]
    if axis in names_of(spec) or not free:
        return None
    return (*spec[: free[0]], axis, *spec[free[0] + 1 :])


def names_of(spec: Spec) -> list[Any]:
    """The mesh axes over which an array is split."""
    return [name for part in spec for name in (part if isinstance(part, tuple) else (part,))]


def known(x: Any, axis: str) -> Spec:
    """The known sharding of an array on Explicit axes."""
    if _kind(axis) == AxisType.Auto:
        return (OPEN,) * np.ndim(x)
    spec = tuple(jax.typeof(x).sharding.spec)
    return (*spec, *(None,) * (np.ndim(x) - len(spec)))


class Split(NamedTuple):
    """The split of the leaves of a tree over an axis of the mesh."""

    axis: str
    specs: list[Spec]  # for each leaf, those that are None too
    axes: list[int | None]  # the axis that is split, None if it stays as it is

    @classmethod
    def of(cls, params: Any, axis: str, n: int) -> Split:
        """The split of parameters; only arrays are split."""
        found: list[Spec] = []
        axes: list[int | None] = []
        for p in jax.tree.leaves(params, is_leaf=tree.is_none):
            takes_part = tree.differentiable(p) and hasattr(p, "shape")
            spec = known(p, axis) if takes_part else (None,) * np.ndim(p)
            split = along(p.shape, spec, axis, n) if takes_part else None
            found.append(split or spec)
            axes.append(None if split is None else split.index(axis))
        return cls(axis, found, axes)

    def parts(self, value: Any) -> Any:
        """The tree with split leaves, in slices."""
        leaves, treedef = jax.tree.flatten(value, is_leaf=tree.is_none)
        if value is None:
            return None
        one = lambda x, spec, k: x if x is None or k is None else put(x, spec, self.axis)
        return treedef.unflatten(map(one, leaves, self.specs, self.axes))

    def whole(self, value: Any) -> Any:
        """The tree with whole leaves on all devices: an all-gather of each split leaf."""
        leaves, treedef = jax.tree.flatten(value, is_leaf=tree.is_none)
        split = [i for i, x in enumerate(leaves) if x is not None and self.axes[i] is not None]
        axes, before = [self.axes[i] for i in split], [self.specs[i] for i in split]
        after = [tuple(None if part == self.axis else part for part in spec) for spec in before]

        def gather(*parts: jax.Array) -> list[jax.Array]:
            pairs = zip(parts, axes)
            return [jax.lax.all_gather(x, self.axis, axis=k, tiled=True) for x, k in pairs]

        parts = [put(leaves[i], self.specs[i], self.axis) for i in split]
        for i, x in zip(split, _on_each(gather, parts, self.axis, before, after)):
            leaves[i] = x
        return treedef.unflatten(leaves)


def put(x: Any, spec: Spec, axis: str) -> Any:
    """An array with this sharding, on a mesh with Explicit or Auto axes."""
    into = jax.lax.with_sharding_constraint if _kind(axis) == AxisType.Auto else reshard
    return into(x, PartitionSpec(*spec))


def reduce_scatter(grads: Any, axis: str = "data") -> Any:
    """Reduce-scatter of per-device gradients: their mean, of which each device keeps a slice.

    The slices are those of `zero`. A reduce-scatter sends half as many bytes as an all-reduce.
    Leaves that cannot be split are replicated.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> loss = lambda w, x: jnp.mean((x @ w) ** 2)
    >>> @jax.jit
    ... def step(w, state, batch):  # batch: [devices, examples, ...]
    ...     grads = jax.vmap(jax.grad(loss), (None, 0))(w, batch)
    ...     return tx.step(gd.sharding.reduce_scatter(grads), state, w)
    >>> tx, w = gd.sharding.zero(gd.sgd(0.5)), jnp.ones(2)
    >>> step(w, tx.init(w), jnp.array([[[1.0, 0.0]], [[0.0, 3.0]]]))[0]
    Array([ 0.5, -3.5], dtype=float32)

    Args:
        grads: A tree of stacked gradients [n, ...], an equal number for each device.
        axis: The axis of the mesh set by `jax.set_mesh` over which they are split. Without a mesh
            the result is the mean.

    Raises:
        ValueError: The number of devices does not divide the leading axis, or it is called inside
            of a `shard_map` over `axis`.
    """
    n = devices(axis, "reduce_scatter")
    if n == 1:
        return tree.map(lambda g: jnp.mean(g, 0), grads)
    leaves, treedef = jax.tree.flatten(grads, is_leaf=tree.is_none)
    taken = [i for i, g in enumerate(leaves) if tree.differentiable(g)]
    before: list[Spec] = []
    after: list[Spec] = []
    axes: list[int | None] = []
    for i in taken:
        shape = np.shape(leaves[i])
        if not shape or shape[0] % n:
            must = f"gradients must have a leading axis that {n} divides, for {axis!r}"
            errors.fail("reduce_scatter", must, shape)
        spec = known(leaves[i], axis)[1:]
        split = along(shape[1:], spec, axis, n)
        before.append((axis, *spec))
        after.append(split or spec)
        axes.append(None if split is None else split.index(axis))

    def scatter(*parts: jax.Array) -> list[jax.Array]:
        return [_sum(x, axis, k) for x, k in zip(parts, axes)]

    # Divided first: then no sum leaves the range.
    parts = [put(leaves[i] / leaves[i].shape[0], spec, axis) for i, spec in zip(taken, before)]
    for i, x in zip(taken, _on_each(scatter, parts, axis, before, after)):
        leaves[i] = x
    return treedef.unflatten(leaves)


def _sum(x: jax.Array, axis: str, k: int | None) -> jax.Array:
    x = jnp.sum(x, 0)
    if k is None:
        return jax.lax.psum(x, axis)
    return jax.lax.psum_scatter(x, axis, scatter_dimension=k, tiled=True)


def _on_each(
    function: Callable[..., Any],
    arrays: Sequence[jax.Array],
    axis: str,
    before: Sequence[Spec],
    after: Sequence[Spec],
) -> Sequence[jax.Array]:
    """Applies a function of the parts of one device."""
    if not arrays:
        return []
    mesh = get_abstract_mesh()
    kinds = zip(mesh.axis_names, mesh.axis_types)
    named = {axis} | {name for name, kind in kinds if kind == _kind(axis) == AxisType.Explicit}
    spec = lambda names: PartitionSpec(*(None if part is OPEN else part for part in names))
    ins, outs = tuple(map(spec, before)), list(map(spec, after))
    run = jax.shard_map(function, in_specs=ins, out_specs=outs, axis_names=named, check_vma=False)
    return jax.jit(run)(*arrays)  # outside of a program shard_map cannot leave axes out

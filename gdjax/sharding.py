"""Where the state of a transformation lives on a mesh of devices."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gdjax.core import errors
from gdjax.core.codes import is_stored
from gdjax.state.names import named_leaves, parameter_of, words

__all__ = ["state"]


def state(tx: Any, params: Any, mesh: Mesh | None = None) -> Any:
    """A tree of `NamedSharding` like the state: each array is placed as its parameter is.

    An array of state keeps those axes of its parameter that it has: moments all of them, a factor
    of rows or columns its one, a memory of several steps those behind its own. Which these are is
    found from shapes: the parameter is made a little longer along each axis, and the array that
    grows with it follows that axis. Codes of few bits are placed as the numbers they stand for,
    their scales where whole blocks lie. Counts and other scalars are on all devices.

        init = jax.jit(tx.init, out_shardings=gd.sharding.state(tx, params))

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> along = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data", None))
    >>> params = {"w": jax.ShapeDtypeStruct((256, 128), jnp.float32, sharding=along)}
    >>> placed = gd.sharding.state(gd.adafactor(1e-3), params)
    >>> [gd.state.find(placed, name)["w"].spec for name in ("v_row", "v_col")] == [
    ...     jax.sharding.PartitionSpec(None), jax.sharding.PartitionSpec("data")]
    True

    Args:
        tx: The transformation.
        params: Its parameters, arrays or `jax.ShapeDtypeStruct`, placed by `NamedSharding`.
        mesh: Of the parameters; None if one of them is placed on it.

    Raises:
        ValueError: No parameter is placed on a mesh, or two are placed on different ones.
    """
    by_path = {words(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    placed = {path: getattr(leaf, "sharding", None) for path, leaf in by_path.items()}
    meshes = {at.mesh for at in placed.values() if isinstance(at, NamedSharding)}
    meshes |= set() if mesh is None else {mesh}
    if len(meshes) != 1:
        must = "the parameters must be placed on one mesh by NamedSharding"
        hint = "Write jax.device_put(params, shardings), or give the mesh."
        errors.fail("sharding.state", must, f"{len(meshes)} meshes", instead=hint)
    one: Any = next(iter(meshes))
    specs = {path: _spec(placed[path], np.ndim(leaf)) for path, leaf in by_path.items()}

    abstract = jax.eval_shape(tx.init, _longer(params, 0))
    longer = jax.tree.leaves(jax.eval_shape(tx.init, _longer(params, 1)), is_leaf=is_stored)
    leaves = []
    for (name, leaf), grown in zip(named_leaves(tx, abstract), longer):
        owner = parameter_of(name, leaf, by_path)
        spec = () if owner is None else specs[owner]
        if is_stored(leaf):
            leaves.append(_of_stored(leaf, spec, one))
        else:
            kept = [] if owner is None else _axes(leaf.shape, grown.shape)
            leaves.append(_at(one, [None if axis is None else spec[axis] for axis in kept]))
    return jax.tree.structure(abstract, is_leaf=is_stored).unflatten(leaves)


def _spec(at: Any, ndim: int) -> tuple[Any, ...]:
    spec = tuple(at.spec) if isinstance(at, NamedSharding) else ()
    return spec + (None,) * (ndim - len(spec))


def _at(mesh: Mesh, spec: Any) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(*spec))


def _longer(params: Any, by: int) -> Any:
    """The shapes of the parameters with axis i longer by i + 1 where that is asked for."""

    def grown(p: Any) -> Any:
        shape = tuple(n + by * (i + 1) for i, n in enumerate(np.shape(p)))
        return jax.ShapeDtypeStruct(shape, jnp.result_type(p))

    return jax.tree.map(grown, params)


def _axes(shape: tuple[int, ...], grown: tuple[int, ...]) -> list[int | None]:
    """For each axis of an array of state the axis of its parameter that it follows, or None."""
    if len(shape) != len(grown):
        return [None] * len(shape)
    return [m - n - 1 if m > n else None for n, m in zip(shape, grown)]


def _of_stored(leaf: Any, spec: Any, mesh: Mesh) -> Any:
    """Codes as the numbers; scales along those axes whose shards have whole blocks."""
    codes, scale = jax.tree.leaves(leaf)
    spec = tuple(spec) or (None,) * len(codes.shape)
    kept = []
    for n, blocks, names in zip(codes.shape, scale.shape, spec):
        parts = _size(mesh, names)
        whole = n % parts == 0 and blocks % parts == 0 and (n // parts) * blocks % n == 0
        kept.append(names if whole else None)
    placed = _at(mesh, spec), _at(mesh, kept)
    return jax.tree.structure(leaf).unflatten(placed)


def _size(mesh: Mesh, names: Any) -> int:
    """How many shards an axis has that is split over these names."""
    several = names if isinstance(names, tuple) else () if names is None else (names,)
    return int(np.prod([mesh.shape[name] for name in several]))

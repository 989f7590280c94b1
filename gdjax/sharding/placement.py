"""Shardings of the state of a transformation on a mesh of devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.walk import walk
from gdjax.core.lowbit.quantized import is_quantized
from gdjax.core.mesh import memory
from gdjax.core.rule import errors, tree
from gdjax.core.rule.roles import Role
from gdjax.core.rule.tree import words
from gdjax.sharding.split import OPEN, Spec, along, names_of
from gdjax.state.names import named_leaves, parameter_of

__all__ = ["state", "state_specs"]


def state(tx: Any, params: Any, mesh: Mesh | None = None) -> Any:
    """Shardings of an optimizer state: each array is placed like its parameter.

    The result is a tree of `NamedSharding` like the state. An array of the state keeps the sharding
    of the axes that it shares with its parameter: a moment has all of them, a factor of rows or
    columns one, a memory of several steps all behind its own. The role of the field declares the
    axes (`gdjax.core.rule.roles`). Without a role they are found from shapes: an array that grows
    when an axis of the parameter grows follows this axis, entry by entry or block by block. An
    array that follows an axis twice is split once. Square matrices of stacked layers are placed on
    the devices that use them, if the devices divide them evenly. Quantized codes are placed like
    the numbers that they encode, and their scales with whole blocks. Counts and other scalars are
    replicated. Under `zero` the placement of a parameter is that of its slices.

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
        mesh: The mesh of the parameters; None if at least one of them is placed on it.

    Raises:
        ValueError: No parameter is placed on a mesh, or two are placed on different meshes.
    """
    check_transformation("sharding.state", "tx", tx, "Write sharding.state(tx, params).")
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
    program, abstract = jax.make_jaxpr(tx.init, return_shape=True)(_shapes(params))
    found = _places(tx, abstract, params, specs, one)
    at = [
        NamedSharding(one, PartitionSpec(*spec or ()), memory_kind=memory.kind(aval))
        for spec, aval in zip(found, program.out_avals)
    ]
    return jax.tree.structure(abstract).unflatten(at)


def state_specs(tx: Any, params: Any, where: Sequence[Spec], mesh: Any) -> list[Spec | None]:
    """The spec of each array of a state, None for arrays that belong to no parameter.

    Args:
        tx: The transformation.
        params: Its parameters.
        where: The spec of each of their leaves, None leaves included.
        mesh: The mesh of these specs.
    """
    paths = [words(path) for path, _ in jax.tree_util.tree_leaves_with_path(params, tree.is_none)]
    abstract = jax.eval_shape(tx.init, _shapes(params))
    return _places(tx, abstract, params, dict(zip(paths, where)), mesh)


def _spec(at: Any, ndim: int) -> Spec:
    spec = tuple(at.spec) if isinstance(at, NamedSharding) else ()
    return spec + (None,) * (ndim - len(spec))


def _places(
    tx: Any, state: Any, params: Any, specs: dict[tuple[str, ...], Spec], mesh: Any
) -> list[Spec | None]:
    by_path = {words(path): p for path, p in jax.tree_util.tree_leaves_with_path(params)}
    shared = _shared(tx, jax.tree.unflatten(*_numbered(state)))
    followed = _Followed(tx, params)
    places: list[Spec | None] = []
    for i, (name, leaf) in enumerate(named_leaves(tx, state)):
        owner = parameter_of(name, leaf, by_path)
        if owner is None:
            places += [None] * len(jax.tree.leaves(leaf))
            continue
        shape, spec = np.shape(by_path[owner]), specs[owner]
        if (axis := shared.get(i)) is not None:
            spec = _slices(shape, spec, axis, mesh)
        if is_quantized(leaf):
            places += _of_stored(leaf, spec, mesh)
        else:
            names = _by_role(name.role, leaf.shape, shape, spec)
            if names is None:
                kept = followed.axes(str(name), leaf.shape, shape)
                names = [None if k is None else spec[k] for k in kept]
                if kept[:1] != [None] and followed.squares(str(name), leaf.shape, shape):
                    every = tuple(mesh.axis_names)
                    if leaf.shape[0] % _size(mesh, every) == 0:
                        names = [every, *[None] * (len(kept) - 1)]
            fits = [n % _size(mesh, one) == 0 for n, one in zip(leaf.shape, names)]
            places.append(tuple(one if fit else None for one, fit in zip(names, fits)))
    return places


def _by_role(
    role: Role | None, shape: tuple[int, ...], of: tuple[int, ...], spec: Spec
) -> list[Any] | None:
    """The spec of an array of state by its role; None if the role does not declare its axes."""
    if role is not None and role.like_params and shape == of:
        return list(spec)
    if role is None or role.over is None:
        return None
    over = (role.over(of) if callable(role.over) else role.over) % len(of)
    names = [None if k == over else name for k, name in enumerate(spec)]
    if len(shape) == len(of) and shape[over] == 1:
        return names
    del names[over]
    return names if shape == of[:over] + of[over + 1 :] else None


def _numbered(state: Any) -> tuple[Any, range]:
    leaves, treedef = jax.tree.flatten(state, is_leaf=is_quantized)
    return treedef, range(len(leaves))


def _shared(tx: Any, state: Any) -> dict[int, str]:
    """The indices of the arrays of a state that are split over devices, and their axes."""
    found: dict[int, str] = {}
    for visit in walk(tx, state):
        for axis in (child.split for child in visit.children if child.split is not None):
            found |= dict.fromkeys(jax.tree.leaves(visit.state), axis)
    return found


def _slices(shape: tuple[int, ...], spec: Spec, axis: str, mesh: Any) -> Spec:
    """The split of a parameter by `zero`, from its known sharding: unknown on Auto axes."""
    if axis not in mesh.axis_names:
        return spec
    auto = mesh.axis_types[mesh.axis_names.index(axis)] == AxisType.Auto
    if axis in names_of(spec):
        return spec
    split = along(shape, (None,) * len(shape) if auto else spec, axis, mesh.shape[axis])
    return tuple(axis if new == axis else old for old, new in zip(spec, split or spec))


def _shapes(params: Any, grow: Callable[[tuple[int, ...]], Any] = tuple) -> Any:
    """Abstract parameters, with other shapes if given."""

    def one(p: Any) -> Any:
        return jax.ShapeDtypeStruct(tuple(grow(np.shape(p))), jnp.result_type(p))

    return jax.tree.map(one, params)


def _a_little(shape: tuple[int, ...]) -> list[int]:
    return [n + i + 1 for i, n in enumerate(shape)]


def _a_little_less(shape: tuple[int, ...]) -> list[int]:
    """A slightly shorter axis, for blocks that one axis fills."""
    return [max(n - i - 1, 1) for i, n in enumerate(shape)]


def _many_times(shape: tuple[int, ...]) -> list[int]:
    """A multiple of an axis, for rules that split axes. The longer of two axes stays the longer."""
    rank = np.argsort(np.argsort(shape, kind="stable"))
    return [n * (2, 3, 5, 7, 11, 13, 17, 19)[k % 8] for n, k in zip(shape, rank)]


def _follows(n: int, m: int, of: tuple[int, ...], longer: list[int], axis: int) -> bool:
    """Whether a length n is that of an axis, or its number of blocks, and m when the axis grows."""
    if n == of[axis]:
        return m == longer[axis] != n
    whole = n > 0 and of[axis] > 0 and of[axis] % n == 0 and longer[axis] % of[axis] == 0
    return whole and m // n == longer[axis] // of[axis] > 1 and m % n == 0


class _Followed:
    """The axes of a parameter that the arrays of a state follow: those with which they grow."""

    def __init__(self, tx: Any, params: Any) -> None:
        self.tx, self.params = tx, params
        self.known: dict[Any, dict[str, tuple[int, ...]]] = {}

    def axes(self, name: str, shape: tuple[int, ...], of: tuple[int, ...]) -> list[int | None]:
        """For each axis of an array of the state: the axis of its parameter, or None."""
        kept: list[int | None] = [None] * len(shape)
        for way in (_a_little, _a_little_less, _many_times) if shape else ():
            if any(k is not None for k in kept):
                break
            longer, grown = way(of), self._grown(way).get(name, ())
            if len(grown) != len(shape):
                continue
            for i, (n, m) in enumerate(zip(shape, grown)):
                found = (
                    k for k in range(len(of)) if k not in kept and _follows(n, m, of, longer, k)
                )
                kept[i] = next(found, None)
        return kept

    def squares(self, name: str, shape: tuple[int, ...], of: tuple[int, ...]) -> bool:
        """Whether it is a stack of square matrices of one whole axis."""
        grown, longer = self._grown(_a_little).get(name, ()), _a_little(of)
        if len(shape) != len(grown) or len(shape) < 3:
            return False
        sides = (shape[-2:], grown[-2:])
        return any(sides == ((n, n), (m, m)) and m != n for n, m in zip(of, longer))

    def _grown(self, way: Callable[[tuple[int, ...]], Any]) -> dict[str, tuple[int, ...]]:
        """The shapes of the arrays of a state, by name; none if parameters cannot be so long."""
        if way in self.known:
            return self.known[way]
        self.known[way] = {}
        try:
            state = jax.eval_shape(self.tx.init, _shapes(self.params, way))
        except (TypeError, ValueError, OverflowError):  # axes that are taken apart, and the like
            return {}
        self.known[way] = {str(name): leaf.shape for name, leaf in named_leaves(self.tx, state)}
        return self.known[way]


def _of_stored(leaf: Any, spec: Spec, mesh: Any) -> list[Spec]:
    """Specs of quantized arrays: codes like the numbers, scales on axes with whole blocks."""
    if leaf.scale is None:
        return [spec]
    sides = (1,) * (len(leaf.shape) - len(leaf.kind.block)) + leaf.kind.block
    shards = (_size(mesh, names) for names in spec)
    whole = [n % (side * k) == 0 for n, side, k in zip(leaf.shape, sides, shards)]
    kept = [names if keep else None for names, keep in zip(spec, whole)]
    return [spec, tuple(kept[: leaf.scale.ndim])]


def _size(mesh: Any, names: Any) -> int:
    """The number of shards of an axis that is split over these mesh axes."""
    several = names if isinstance(names, tuple) else () if names in (None, OPEN) else (names,)
    return int(np.prod([mesh.shape[name] for name in several]))

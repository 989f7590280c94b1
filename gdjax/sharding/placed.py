"""Shardings of the parameters on Auto axes of a mesh, given to a transformation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec, get_abstract_mesh

from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_step, call_update, transformation
from gdjax.core.rule import tree
from gdjax.sharding.placement import state_specs

__all__ = ["placed"]


@transformation(kind="wrapper")
def placed(inner: Any, specs: Any):
    """Shardings of the parameters for a transformation on a mesh with Auto axes.

    On Auto axes only the compiler knows the shardings, and rules for whole matrices gather them on
    all devices. With this wrapper, matrices of equal shape are distributed over the devices by one
    all-to-all and return by another. On Explicit axes, or without a mesh set by `jax.set_mesh`, it
    does nothing.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> from jax.sharding import PartitionSpec
    >>> tx = gd.sharding.placed(gd.muon(0.1), {"w": PartitionSpec("data"), "b": PartitionSpec()})
    >>> params = {"w": jnp.eye(8), "b": jnp.ones(8)}
    >>> with jax.set_mesh(jax.make_mesh((1,), ("data",))):
    ...     params, state = tx.step(params, tx.init(params), params)

    Args:
        inner: The transformation.
        specs: A tree of `PartitionSpec` or `NamedSharding` like the parameters, or one for all.
    """

    def told(call: Any, *values: Any) -> Any:
        """Calls `update` or `step` of the inner transformation with all shardings known."""
        mesh = get_abstract_mesh()
        if mesh.empty or AxisType.Auto not in mesh.axis_types:
            return call(inner, *values)
        updates, state, params, extra = values
        like = updates if params is None else params
        leaves, treedef = jax.tree.flatten(like, is_leaf=tree.is_none)
        several = not isinstance(specs, (PartitionSpec, NamedSharding))
        given = treedef.flatten_up_to(specs) if several else [specs] * len(leaves)
        full = [_full(spec, jnp.ndim(x)) for spec, x in zip(given, leaves)]
        of_state = iter(state_specs(inner, like, full, mesh))

        at = treedef.unflatten([PartitionSpec(*spec) for spec in full])
        place = lambda x, spec: None if x is None else spec
        places = [
            jax.tree.map(place, updates, at, is_leaf=tree.is_none),
            jax.tree.map(lambda x: PartitionSpec(*next(of_state) or ()), state),
            jax.tree.map(place, params, at, is_leaf=tree.is_none) if params is not None else None,
            jax.tree.map(lambda x: PartitionSpec(), extra),
        ]
        flat, whole = jax.tree.flatten(values)
        known = jax.tree.leaves(places, is_leaf=lambda x: isinstance(x, PartitionSpec))
        moves = [isinstance(x, jax.Array) for x in flat]  # functions stay where they are

        def explicit(*arrays: jax.Array) -> Any:
            left = iter(arrays)
            again = [next(left) if move else x for x, move in zip(flat, moves)]
            return call(inner, *whole.unflatten(again))

        arrays = [x for x, move in zip(flat, moves) if move]
        in_sharding = tuple(spec for spec, move in zip(known, moves) if move)
        return jax.sharding.explicit_axes(explicit, in_sharding=in_sharding)(*arrays)

    def update(updates, state, params=None, **extra):
        return told(call_update, updates, state, params, extra)

    def step(updates, state, params, **extra):
        return told(call_step, updates, state, params, extra)

    init = lambda params: inner.init(params)
    return Rule(init, update, step, children=(Child("inner", inner, at=()),))


def _full(spec: Any, ndim: int) -> tuple[Any, ...]:
    """The mesh axes over which each axis of an array is sharded."""
    said = () if spec is None else tuple(getattr(spec, "spec", spec))
    return (*said, *(None,) * (ndim - len(said)))

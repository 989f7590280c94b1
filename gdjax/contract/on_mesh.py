"""Promise for meshes: sharded and unsharded parameters get the same updates, from sharded state."""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gdjax.contract.subject import Subject, example_grads, promise
from gdjax.sharding import state as state_on_mesh

__all__ = ["agrees_when_sharded"]


@promise
def agrees_when_sharded(subject: Subject) -> None:
    """Sharded or not, the updates are the same, and state keeps the sharding of `sharding.state`.

    On a mesh of all devices with Explicit axes; trivial on a single device.
    """
    agrees_on(subject, AxisType.Explicit)


def agrees_on(subject: Subject, kind: AxisType) -> None:
    """The promise on a mesh with axes of one type."""
    if (n := len(jax.devices())) == 1:
        return
    params = {
        "w": jnp.linspace(-1.0, 1.0, 4 * n).reshape(n, 4),
        "u": jnp.linspace(1.0, -0.5, 4 * n).reshape(n, 4),
        "b": jnp.linspace(-1.0, 1.0, n),
        "gain": jnp.asarray(2.0),
    }
    first, second = (example_grads(params, i) for i in range(2))
    # The second step: now there is something in the state.
    _, state = subject.update(first, subject.tx.init(params), params)
    expected = subject.update(second, state, params)

    mesh = jax.make_mesh((n,), ("data",), axis_types=(kind,))
    along = lambda x: NamedSharding(mesh, PartitionSpec(*["data"][: np.ndim(x)]))
    with jax.set_mesh(mesh):
        params, second = jax.device_put((params, second), jax.tree.map(along, (params, second)))
        placed = state_on_mesh(subject.tx, params)
        updates, after = jax.jit(subject.update)(second, jax.device_put(state, placed), params)
    chex.assert_trees_all_close((updates, after), expected, rtol=1e-5, atol=1e-6)
    _lie_at(after, placed)
    if kind == AxisType.Explicit:  # elsewhere the compiler places what is not kept
        _lie_at(updates, jax.tree.map(along, updates))


def _lie_at(arrays: Any, places: Any) -> None:
    for (path, x), at in zip(jax.tree.leaves_with_path(arrays), jax.tree.leaves(places)):
        assert x.sharding.is_equivalent_to(at, x.ndim), (jax.tree_util.keystr(path), x.sharding, at)

"""Matrix rules under `jax.set_mesh`, on Auto axes as on Explicit ones: every one can be traced."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import gdjax as gd
from tests.helpers import first, mesh_of

SHAPES = {"a": (16, 8), "b": (16, 8), "c": (8, 24)}
MAKE = [
    gd.muon,
    gd.soap,
    gd.shampoo,
    gd.kron,
    gd.kl_shampoo,
    gd.normuon,
    gd.soap_muon,
    gd.dion2,
    gd.muown,
    gd.namo,
    gd.dion3,
    gd.aurora,
    gd.scion,
    gd.adafactor,
    gd.came,
    gd.galore,
]


@pytest.mark.parametrize("make", first(5, MAKE), ids=lambda make: make.__name__)
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=lambda kind: kind.name)
def test_a_step_is_traced(make, kind):
    tx, mesh = make(1e-3), mesh_of(kind)
    with jax.set_mesh(mesh):
        at = NamedSharding(mesh, P("data"))
        params = {k: jax.ShapeDtypeStruct(s, jnp.float32, sharding=at) for k, s in SHAPES.items()}
        state = jax.eval_shape(tx.init, params)
        after, _ = jax.eval_shape(tx.step, params, state, params)
    assert jax.tree.map(jnp.shape, after) == SHAPES

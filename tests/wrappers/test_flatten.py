"""Parameters as one vector, and as real and imaginary parts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import gdjax as gd
from tests.cases import Row
from tests.helpers import close, mesh_of
from tests.references import Agree, recorded
from tests.wrappers.shared import GRADS, PARAMS

SGD = gd.sgd(0.1, momentum=0.9)
ADAMW = gd.adamw(0.1, b2=0.99, weight_decay=0.01)
ROWS = [
    Row(gd.flatten(SGD)),
    Row(gd.flatten(ADAMW), label="flatten-adamw"),
    Row(gd.split_real_and_imaginary(SGD)),
    Row(gd.split_real_and_imaginary(ADAMW), label="split_real_and_imaginary-adamw"),
]

AGREE = {
    "optax-flatten": Agree(
        gd.flatten(gd.adam(0.05, eps=1e-3)), recorded("wrappers", "optax/flatten")
    ),
}

# Another form of the same numbers.
PLAIN = {"split_real_and_imaginary"}


def test_flatten_is_one_vector():
    params = {**PARAMS, "half": jnp.ones(2, jnp.bfloat16), "n": jnp.arange(2)}
    grads = {**GRADS, "half": jnp.ones(2, jnp.bfloat16), "n": None, "gain": None}
    inner = gd.chain(gd.trace(0.9), gd.clip_by_global_norm(0.1), gd.scale(-1.0))
    tx = gd.flatten(inner)
    state = tx.init(params)
    assert gd.state.find(state, "trace").shape == (12,)
    updates, state = tx.update(grads, state, params)
    assert updates["n"] is None and updates["gain"] is None
    expected, _ = inner.update(grads, inner.init(params), params)
    close(updates, expected, rtol=1e-6)
    assert updates["half"].dtype == jnp.float32


def test_complex_parameters_in_two_parts():
    params = {"z": jnp.asarray([1.0 + 2.0j]), "x": jnp.ones(1)}
    grads = {"z": jnp.asarray([3.0 - 0.1j]), "x": jnp.ones(1)}
    tx = gd.split_real_and_imaginary(gd.adam(0.1))
    updates, state = tx.update(grads, tx.init(params), params)
    np.testing.assert_allclose(updates["z"], [-0.1 + 0.1j], rtol=1e-5)
    np.testing.assert_allclose(updates["x"], [-0.1], rtol=1e-5)
    assert gd.state.find(state, "mu")["z"].real.dtype == jnp.float32
    evaluated = gd.state.eval_params(tx, state, params)
    close(evaluated, params)


@pytest.mark.parametrize("make", [gd.muon, gd.scion, gd.normuon])
def test_matrices_that_would_be_none_are_answered(make):
    """A vector has no sides: `flatten(muon)` was AdamW, without a word."""
    params = {"hidden": jnp.ones((3, 2)), "b": jnp.ones(2)}
    with pytest.raises(ValueError, match="flatten: what is inside must take vectors, got "):
        gd.flatten(make(1e-2)).init(params)
    gd.flatten(gd.adamw(1e-2)).init(params)


def test_the_vector_of_no_parameters_is_empty():
    tx = gd.flatten(gd.adam(0.1))
    state = tx.init({})
    assert [x.shape for x in (gd.state.find(state, "mu"), gd.state.find(state, "nu"))] == [(0,)] * 2
    assert tx.update({}, state, {})[0] == {}


def test_parameters_that_are_split_over_devices_are_gathered():
    mesh = mesh_of("Explicit")
    with jax.set_mesh(mesh):
        x = {"w": jax.device_put(jnp.ones(16), NamedSharding(mesh, PartitionSpec("data")))}
        tx = gd.flatten(gd.chain(gd.clip_by_global_norm(2.0), gd.sgd(1.0)))
        u, _ = tx.update(x, tx.init(x), x)
    np.testing.assert_allclose(u["w"], -0.5)
    assert jax.typeof(u["w"]).sharding.spec == PartitionSpec("data")

"""Layers in a stack are as layers apart: no rule looks at all of a stack."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.helpers import normal, wave

STACKED = {
    "normalize": lambda axes: gd.chain(
        gd.normalize_matrices("rows", matrix_axes=axes), gd.sgd(0.1)
    ),
    "neurons": lambda axes: gd.chain(gd.scale_by_neurons(matrix_axes=axes), gd.sgd(0.1)),
    "hyperball": lambda axes: gd.hyperball(0.1, matrix_axes=axes),
    "brake": lambda axes: gd.chain(gd.sgd(0.1), gd.radial_brake(matrix_axes=axes)),
    "floor": lambda axes: gd.chain(gd.update_floor(2.0, matrix_axes=axes), gd.sgd(0.1)),
    "lmo": lambda axes: gd.chain(gd.scale_by_lmo("columns", matrix_axes=axes), gd.sgd(0.1)),
    "uniform": lambda axes: gd.chain(gd.orthogonalize_uniformly(matrix_axes=axes), gd.sgd(0.1)),
    "dion2": lambda axes: gd.chain(gd.scale_by_dion2(0.5, matrix_axes=axes), gd.sgd(0.1)),
    "namo": lambda axes: gd.chain(gd.scale_by_namo(matrix_axes=axes), gd.sgd(0.1)),
    "normalized": lambda axes: gd.weight_normalized(gd.sgd(0.1), gd.adam(0.1), matrix_axes=axes),
    "dion3": lambda axes: gd.chain(gd.scale_by_dion3(0.5, matrix_axes=axes), gd.sgd(0.1)),
}


@pytest.mark.parametrize("name", STACKED)
def test_stacked_matrices_are_separate_matrices(name, x64):
    """Of sizes that differ, so that what looked at all of a stack would be seen."""
    sizes = jnp.array([1.0, 10.0])[None, :, None]
    stack = sizes * jnp.linspace(-1.0, 2.0, 24).reshape(3, 2, 4)
    together = STACKED[name]("in n out")
    grads = 0.1 * sizes[:, ::-1] * wave(stack)
    updates, _ = together.update(grads, together.init(stack), stack)
    for i in range(2):
        alone = STACKED[name](None)
        one, _ = alone.update(grads[:, i], alone.init(stack[:, i]), stack[:, i])
        np.testing.assert_allclose(updates[:, i], one, rtol=1e-12)


@pytest.mark.parametrize("make", [gd.soap, gd.shampoo], ids=["soap", "shampoo"])
def test_stacked_layers_are_separate_layers(make, x64):
    stacked = make(0.1, matrix_axes="n in out")
    alone = make(0.1)
    stack = jnp.zeros((2, 3, 4))
    state, states = stacked.init(stack), [alone.init(stack[0])] * 2
    for seed in range(3):
        g = jnp.asarray(normal(2, 3, 4, seed=seed))
        u, state = stacked.update(g, state, stack)
        for k in range(2):
            v, states[k] = alone.update(g[k], states[k], stack[k])
            np.testing.assert_allclose(u[k], v, atol=1e-12)

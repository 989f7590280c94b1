"""Trees of users that no promise has: arrays of no entries, gradients that are missing."""

import jax
import jax.numpy as jnp
import pytest

from tests import cases

PARAMS = {
    "w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3),
    "without": jnp.ones((2, 3)),
    "rows": jnp.ones((0, 3)),
    "columns": jnp.ones((3, 0)),
    "vector": jnp.ones(0),
}
GRADS = {k: None if k == "without" else jnp.cos(p) for k, p in PARAMS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("row", cases.first().values(), ids=str)
def test_they_pass(row):
    subject = row.subject
    state = jax.eval_shape(subject.tx.init, PARAMS)
    updates, after = jax.eval_shape(subject.update, GRADS, state, PARAMS)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert all(updates[k].shape == g.shape for k, g in GRADS.items() if g is not None)

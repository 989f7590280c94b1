"""What the rules that find their own rate have in common."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd

LEARNERS = {
    "prodigy": (gd.prodigy(estim_lr0=1e-3), "estim_lr"),
    "dadapt_adamw": (gd.dadapt_adamw(estim_lr0=1e-3), "estim_lr"),
    "dog": (gd.dog(init_step=("distance", 1e-3), eps=0.0), "max_dist"),
    "dowg": (gd.dowg(1.0, 1e-3, eps=0.0), "estim_sq_dist"),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_zero_gradients_teach_nothing(name):
    """d stays, nothing moves, and what comes after is as if they had not been."""
    tx, d = LEARNERS[name]
    params = {"w": jnp.array([1.0, -2.0])}
    zeros, state = {"w": jnp.zeros(2)}, tx.init(params)
    for _ in range(3):
        updates, state = tx.update(zeros, state, params)
        np.testing.assert_array_equal(updates["w"], 0)
    assert gd.state.find(state, d) == jnp.float32(1e-3)
    grads = {"w": jnp.array([1.0, 1.0])}
    for _ in range(20):
        params, state = tx.step(grads, state, params)
    assert gd.state.find(state, d) > 1e-3 and np.isfinite(params["w"]).all()


@pytest.mark.parametrize("grads_in", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("tx", [*(tx for tx, _ in LEARNERS.values()), gd.mechanize(gd.sgd(0.1))])
def test_scalars_are_as_wide_as_the_widest_parameters(tx, grads_in, x64):
    params = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(2, jnp.float64)}
    state = tx.init(params)
    grads = jax.tree.map(lambda p: jnp.ones_like(p, dtype=grads_in), params)
    _, after = jax.eval_shape(tx.update, grads, state, params)
    kinds = jax.tree.map(lambda x: x.dtype, state)
    assert kinds == jax.tree.map(lambda x: x.dtype, after)
    floats = [x for x in jax.tree.leaves(kinds) if x in (jnp.float32, jnp.float64)]
    assert floats.count(jnp.dtype(jnp.float64)) > floats.count(jnp.dtype(jnp.float32))

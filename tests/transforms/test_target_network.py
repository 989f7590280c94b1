"""Slow copies of parameters."""

import jax
import jax.numpy as jnp

import gdjax as gd


def test_slow_copies():
    new = {"w": jnp.asarray([4.0]), "n": jnp.asarray(3)}
    old = {"w": jnp.asarray([0.0], jnp.bfloat16), "n": jnp.asarray(1)}
    slow = gd.incremental_update(new, old, 0.25)
    assert slow["w"] == 1.0 and slow["w"].dtype == jnp.bfloat16 and slow["n"] == 3
    for step, expected in ((0, 4.0), (1, 0.0), (2, 0.0), (3, 4.0)):
        copy = jax.jit(gd.periodic_update)(new, old, jnp.asarray(step), 3)
        assert copy["w"] == expected and copy["w"].dtype == jnp.bfloat16
    assert gd.incremental_update(4.0, 2.0, 0.25) == 2.5
    assert gd.incremental_update(1.0, 0.0, 0.5) == 0.5 and gd.periodic_update(1.0, 0.0, 4, 2) == 1.0

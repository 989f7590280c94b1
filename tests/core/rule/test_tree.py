"""Functions of trees."""

from __future__ import annotations

import jax.numpy as jnp


def test_vdot_is_real_wide_and_over_all_leaves():
    from gdjax.core.rule import tree

    a = {"z": jnp.asarray([1.0 + 2.0j]), "h": jnp.full((300,), 1.0, jnp.bfloat16), "n": 3}
    assert tree.vdot(a, a) == 305.0 and tree.vdot({}, {}) == 0

"""Functions of trees."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.rule import tree


def test_vdot_is_real_wide_and_over_all_leaves():
    a = {"z": jnp.asarray([1.0 + 2.0j]), "h": jnp.full((300,), 1.0, jnp.bfloat16), "n": 3}
    assert tree.vdot(a, a) == 305.0 and tree.vdot({}, {}) == 0


def test_vdot_passes_over_what_one_of_the_two_lacks():
    a, b = {"x": jnp.ones(2), "y": jnp.ones(3)}, {"x": jnp.ones(2), "y": None}
    assert tree.vdot(a, b) == tree.vdot(b, a) == 2


def test_the_scalar_of_bfloat16_and_float16_is_float32():
    """NumPy has no dtype for both."""
    mixed = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.float16)}
    assert tree.scalar_like(mixed).dtype == tree.norm(mixed).dtype == jnp.float32


def test_a_rule_is_traced_once_for_each_shape_and_dtype():
    """However many leaves there are; each has its own numbers."""
    traced = []

    def leaf(g, m):
        traced.append((g.shape, g.dtype))
        return g + m, 2.0 * m

    params = {f"w{i}": jnp.full((2, 3), float(i)) for i in range(5)} | {"b": jnp.ones(3)}
    program = jax.jit(lambda g, m: tree.evolve(leaf, (g, m)))
    total, doubled = program(params, params)
    assert len(traced) == len(set(traced)) == 2
    for name, p in params.items():
        np.testing.assert_array_equal(total[name], 2 * p)
        np.testing.assert_array_equal(doubled[name], 2 * p)

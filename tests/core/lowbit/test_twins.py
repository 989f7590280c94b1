"""Results that are formed a second time, by arithmetic alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.lowbit.twins import with_twins
from tests.core.lowbit.stored import normal

LARGE = normal((64, 64))


def traced(make, which):
    """Results and twins, and how often each primitive is in the program."""
    program = jax.make_jaxpr(lambda: with_twins(make, which))()
    names = [equation.primitive.name for equation in program.eqns]
    return jax.jit(lambda: with_twins(make, which))(), names


def test_a_twin_is_the_same_number_formed_again():
    def make():
        a = jnp.sin(LARGE)  # no arithmetic, for this
        scaled = jax.jit(lambda x: 3 * x)(a) + LARGE * jnp.sum(LARGE)
        return {"kept": a, "scaled": scaled, "name": None}

    (made, (twin,)), names = traced(make, lambda made: [made["scaled"]])
    np.testing.assert_array_equal(twin, made["scaled"])
    np.testing.assert_allclose(made["kept"], jnp.sin(LARGE), rtol=1e-6)
    assert made["name"] is None
    count = {name: names.count(name) for name in ("sin", "reduce_sum", "add")}
    assert count == {"sin": 1, "reduce_sum": 1, "add": 2}
    assert names.count("optimization_barrier") == 2  # of the sine and the array; none of the sum


def test_what_is_no_arithmetic_is_not_formed_again():
    small = normal((4,))
    make = lambda: (jnp.tanh(small) + 1, LARGE @ LARGE, 2.0)
    (made, twins), names = traced(make, lambda made: list(made))
    for one, twin in zip(made, twins, strict=True):
        np.testing.assert_array_equal(one, twin)
    assert names.count("tanh") == names.count("dot_general") == 1


@pytest.mark.parametrize("entries, times", [(1023, 1), (1024, 2)])
def test_arrays_from_1024_entries_on_are_formed_again(entries, times):
    x = normal((entries,))
    _, names = traced(lambda: x + 1, lambda made: [made])
    assert names.count("add") == times
    assert names.count("optimization_barrier") == times - 1


def test_derivatives_and_batches_go_through():
    make = lambda x: with_twins(lambda: x * x + jnp.sum(x), lambda made: [made])
    both = lambda x: jnp.sum(make(x)[0]) + jnp.sum(make(x)[1][0])
    expected = 2 * (2 * LARGE + LARGE.size)
    np.testing.assert_allclose(jax.grad(both)(LARGE), expected, rtol=1e-5)
    stack = jnp.stack([LARGE, 2 * LARGE])
    np.testing.assert_allclose(
        jax.vmap(lambda x: make(x)[1][0])(stack), stack**2 + stack.sum((1, 2), keepdims=True), 1e-5
    )

"""Primitives of arrays of exact numbers, against JAX's own on floats."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.linalg import solve_triangular

from gdjax.proof.number import Unsupported
from tests.proof.exact import Exact

X = np.array([[3, -1, 2], [0, 5, 2], [7, 1, -4]])
FUNCTIONS = {
    "take": lambda x: jnp.take(x, jnp.array([2, 0]), axis=1),
    "take_along_axis": lambda x: jnp.take_along_axis(x, jnp.array([[2, 0]]), -1),
    "take of integers": lambda x: jnp.take(jnp.argsort(x[0]), 1).astype(x.dtype),
    "scatter": lambda x: jnp.zeros_like(x).at[jnp.array([2, 0])].set(x[:2]),
    "dynamic_slice": lambda x: jax.lax.dynamic_slice(x, (1, 0), (2, 2)),
    "dynamic_update_slice": lambda x: jax.lax.dynamic_update_slice(x, x[:1, :2], (2, 1)),
    "pad": lambda x: jnp.pad(x, ((0, 1), (2, 0))),
    "rev": lambda x: x[::-1, ::-1],
    "stack": lambda x: jnp.stack([x, 2 * x], 1),
    "sort": lambda x: jnp.sort(x, 0),
    "argsort": lambda x: jnp.argsort(x, -1, stable=True).astype(x.dtype),
    "top_k": lambda x: jnp.stack([y.astype(x.dtype) for y in jax.lax.top_k(x, 2)]),
    "argmax": lambda x: jnp.argmax(x, 0).astype(x.dtype),
    "solve upper": lambda x: solve_triangular(jnp.triu(x) + 9 * jnp.eye(3), x),
    "solve lower": lambda x: solve_triangular(jnp.tril(x) + 9 * jnp.eye(3), x, lower=True),
    "solve transposed": lambda x: solve_triangular(jnp.triu(x) + 9 * jnp.eye(3), x, trans=1),
    "solve from the right": lambda x: jax.lax.linalg.triangular_solve(
        jnp.tril(x) + 9 * jnp.eye(3), x, lower=True
    ),
    "floor": lambda x: jnp.floor(x / 3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_as_jax(name):
    exact = Exact()
    got = exact.run(FUNCTIONS[name], exact.array(X))
    values = np.vectorize(lambda x: float(x.rational()))(got)
    np.testing.assert_allclose(
        values, FUNCTIONS[name](jnp.asarray(X, jnp.float32)), rtol=1e-6, atol=1e-6
    )


def test_symbols_move():
    exact = Exact(others="x y")
    got = exact.run(lambda x: x[jnp.array([1, 0])], exact.array("x y"))
    assert list(got) == exact["y x"]


def test_nothing_from_outside():
    exact = Exact()
    with pytest.raises(Unsupported, match="beyond the ends"):
        exact.run(lambda x: jnp.take(x, jnp.array([5])), exact.array([1, 2]))

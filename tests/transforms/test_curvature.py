"""Hutchinson's estimate of the diagonal of the Hessian."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from gdjax.core.rule import tree
from tests.cases import Row


def bowl(params: Any) -> Any:
    """A loss of any tree: what `sophia` asks the curvature of."""

    return tree.norm(params) ** 2


# The estimate of a sum of squares is the same in all steps of the contract's parabola, and no
# direction of descent.
ROWS = [
    Row(gd.hutchinson_estimator_diag_hessian(3), extra={"obj_fn": bowl}, descends=False),
]

# In expectation the Hessian's diagonal: compared below.
PLAIN = {"hutchinson_estimator_diag_hessian"}


def test_hutchinson_is_unbiased_and_exact_on_diagonals():
    a = np.random.default_rng(0).standard_normal((5, 5))
    a = jnp.asarray(a + a.T, jnp.float32)
    tx, x = gd.hutchinson_estimator_diag_hessian(1), jnp.arange(5.0)

    def body(state, _):
        estimate, state = tx.update(x, state, x, obj_fn=lambda p: 0.5 * p @ a @ p)
        return state, estimate

    _, estimates = jax.lax.scan(body, tx.init(x), length=4000)
    assert np.ptp(np.asarray(estimates), axis=0).min() > 0.1
    np.testing.assert_allclose(estimates.mean(0), jnp.diag(a), atol=0.15)
    exact, _ = tx.update(x, tx.init(x), x, obj_fn=lambda p: jnp.sum(p**4))
    np.testing.assert_allclose(exact, 12 * x**2, rtol=1e-6)

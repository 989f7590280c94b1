"""NaNs set to zero, and parameters kept nonnegative."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, recorded
from tests.wrappers.shared import NAN, ONE


# Functions with a name, so that they pickle.
def towards_zero(g: Any, p: Any) -> Any:
    return g if p is None else g + 0.1 * p


ROWS = [
    Row(gd.zero_nans()),
    Row(gd.chain(gd.sgd(0.1), gd.keep_params_nonnegative()), label="nonnegative-sgd"),
    Row(gd.keep_params_nonnegative(), descends=False),  # of finished updates: see the row above
    Row(gd.stateless_with_tree_map(towards_zero)),
]

AGREE = {
    "optax-nonnegative": Agree(
        gd.chain(gd.sgd(0.3), gd.keep_params_nonnegative()),
        recorded("wrappers", "optax/keep_params_nonnegative"),
    ),
}

# Entry by entry, as their names say.
PLAIN = {"stateless_with_tree_map", "zero_nans"}


def test_zero_nans_notes_where():
    tx = gd.zero_nans()
    state = tx.init({"a": ONE, "b": ONE, "c": ONE})
    updates, state = tx.update({"a": NAN, "b": jnp.inf * ONE, "c": None}, state)
    np.testing.assert_array_equal(updates["a"], [0.0, 1.0])
    assert jnp.isinf(updates["b"]).all()
    assert [bool(x) for x in jax.tree.leaves(state.found_nan)] == [True, False, False]
    updates, state = tx.update({"a": ONE, "b": ONE, "c": NAN}, state)
    assert [bool(x) for x in jax.tree.leaves(state.found_nan)] == [False, False, True]


def test_keep_params_nonnegative():
    tx = gd.keep_params_nonnegative()
    params = jnp.asarray([1.0, 1.0, -1.0])
    after, _ = tx.step(jnp.asarray([-2.0, -0.5, -0.5]), tx.init(params), params)
    np.testing.assert_array_equal(after, [0.0, 0.5, 0.0])
    z = jnp.asarray([1j])
    with pytest.raises(TypeError, match="must be real"):
        tx.update(z, tx.init(z), z)
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(ONE, tx.init(ONE))


def test_a_function_of_one_array():
    tx = gd.stateless_with_tree_map(lambda g, p: g if p is None else g * p)
    assert tx.update(3.0 * jnp.ones([]), tx.init(None))[0] == 3.0
    assert tx.update(3.0 * jnp.ones([]), tx.init(None), jnp.asarray(2.0))[0] == 6.0
    with pytest.raises(TypeError, match="f must be callable"):
        gd.stateless_with_tree_map(3)

"""Steps that are not finite left out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import close, mesh_of
from tests.wrappers.shared import NAN, ONE, go

SGD = gd.sgd(0.1, momentum=0.9)
ADAMW = gd.adamw(0.1, b2=0.99, weight_decay=0.01)

ROWS = [
    Row(gd.apply_if_finite(SGD)),
    Row(gd.apply_if_finite(ADAMW, 2), label="apply_if_finite-adamw"),
]

# It decides whether a step is taken.
PLAIN = {"apply_if_finite"}


def test_a_step_that_is_not_finite_leaves_everything():
    inner = gd.adamw(0.1)
    clean, kept = go(inner, [ONE, 2 * ONE], ONE)
    tx = gd.apply_if_finite(inner)
    path, state = go(tx, [ONE, NAN, jnp.inf * ONE, 2 * ONE], ONE)
    close(path, [clean[0], clean[0], clean[0], clean[1]])
    close(state.inner_state, kept)
    assert int(state.total_notfinite) == 2 and int(state.notfinite_count) == 0
    assert bool(state.last_finite)


def test_nothing_but_being_told_lets_a_nan_in():
    path, state = go(gd.apply_if_finite(gd.sgd(0.1)), [NAN] * 9, ONE)
    assert jnp.all(path[-1] == 1) and int(state.notfinite_count) == 9
    path, _ = go(gd.apply_if_finite(gd.sgd(0.1), 2), [NAN] * 3, ONE)
    assert [bool(jnp.isnan(p).any()) for p in path] == [False, False, True]
    with pytest.raises(ValueError, match="max_consecutive must be 0 or more, or None, got -1"):
        gd.apply_if_finite(gd.sgd(0.1), -1)


def test_all_finite():
    assert gd.all_finite({"w": ONE, "n": jnp.arange(2), "none": None}) and gd.all_finite({})
    assert not gd.all_finite({"w": ONE, "v": NAN}) and not gd.all_finite(1j * jnp.inf)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16, jnp.complex64])
def test_all_finite_sees_one_number_in_many(dtype):
    x = jnp.full(1000, float(jnp.finfo(dtype).max)).astype(dtype)  # whose sum is not finite
    for program in (gd.all_finite, jax.jit(gd.all_finite)):
        assert program(x)
        for bad in (jnp.nan, jnp.inf, -jnp.inf):
            assert not program(x.at[717].set(bad))
    if dtype == jnp.complex64:
        assert not gd.all_finite(x.at[5].set(complex(0, jnp.nan)))


def test_guards_over_devices():
    """Of a gradient that is split over devices one number is enough, wherever it is."""
    mesh = mesh_of("Auto")
    along = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    for at in (0, 9, 15):
        x = jax.device_put(jnp.ones(16).at[at].set(jnp.nan), along)
        assert not jax.jit(gd.all_finite)(x)

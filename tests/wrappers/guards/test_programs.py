"""Compiled programs of guarded steps: in place, without copies."""

import functools

import jax
import pytest

import gdjax as gd
from gdjax.lab import bench

SIZE = 128


@functools.cache
def ours(name, by_update=False):
    tx = {
        "accumulate": gd.accumulate(gd.adam(1e-3), 4),
        "weighted": gd.accumulate(gd.adam(1e-3), 4, use_grad_mean=False),
        "apply_if_finite": gd.apply_if_finite(gd.adam(1e-3)),
        "skip_spikes": gd.skip_spikes(gd.adam(1e-3), None, window=8),
        "loss_scale": gd.loss_scale(gd.adam(1e-3)),
    }[name]
    return bench.cost(tx, bench.large_tree(SIZE), by_update)


# Two leaves of 128 × 128: scalars and rings are 0.05 bytes for each parameter, an array 4 or more.
@pytest.mark.parametrize(
    "name", ["accumulate", "weighted", "apply_if_finite", "skip_spikes", "loss_scale"]
)
def test_a_guarded_step_is_in_place(name):
    found = ours(name)
    assert found.temporary < 0.1 and found.copies == 0


def test_accumulation_by_update_is_in_place_too():
    import optax

    found = ours("accumulate", by_update=True)
    assert found.temporary < 0.1 and found.copies == 0
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = bench.cost(optax.MultiSteps(optax.adam(1e-3), 4), bench.large_tree(SIZE))
    assert theirs.temporary > 11 and theirs.copies > 0


def test_the_tables_have_them():
    assert {"accumulate(adam, 4)", "apply_if_finite(adam)"} <= set(bench.wrapped())

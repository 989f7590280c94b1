"""What compiled programs cost, read from the programs: noise cannot touch it."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest

import gdjax as gd
from gdjax.lab import bench

# Rules that work entry by entry, with a greatest number of bytes moved for each parameter.
ELEMENTWISE = {
    "sgd": 12,
    "momentum": 24,
    "signum": 24,
    "adagrad": 28,
    "rmsprop": 28,
    "lion": 28,
    "adam": 40,
    "adamw": 40,
    "adamax": 40,
    "adamaxw": 40,
    "yogi": 40,
    "radam": 40,
    "laprop": 40,
    "nadam": 44,
    "nadamw": 44,
    "madgrad": 44,
    "adopt": 44,
    "adabelief": 44,
    "simplified_ademamix": 44,
    "adadelta": 48,
    "rprop": 48,
    "amsgrad": 52,
    "ademamix": 56,
    "adan": 80,
    "sign_sgd": 12,
    "scale_by_learning_rate": 12,
}
# Their step is made of a state as it was before, so XLA on CPU copies it; no more than optax's.
READ_THE_OLD_STATE = {
    "acprop": 52,
    "optimistic_gradient_descent": 32,
    "optimistic_adam": 68,
    "optimistic_adam_v2": 68,
}
IN_BLOCKS = {"novograd": 32, "lars": 36, "fromage": 44, "lamb": 80, "adafactor": 36, "sm3": 45}
IN_BLOCKS |= {"adam_mini": 29, "stable_adamw": 64, "came": 65}
KNOWN = ELEMENTWISE | READ_THE_OLD_STATE | IN_BLOCKS
SIZE = 256


@functools.cache
def cost(name):
    return bench.cost(getattr(gd, name)(1e-3), bench.large_tree(SIZE))


def of_optax(name):
    return getattr(optax, name, None) or getattr(optax.contrib, name, None)


def optax_cost(tx):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return bench.cost(tx, bench.large_tree(SIZE))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_steps_are_in_place(name):
    """No buffer beside arguments and results, no copy: each state is read and written once."""
    found = cost(name)
    assert found.bytes < ELEMENTWISE[name] + 0.1
    assert found.temporary < 0.01 and found.copies == 0


@pytest.mark.parametrize("name", KNOWN)
def test_bytes_that_a_step_moves(name):
    assert cost(name).bytes < KNOWN[name] + 0.1


@pytest.mark.parametrize("name", [name for name in KNOWN if of_optax(name)])
def test_no_more_bytes_than_optax(name):
    assert cost(name).bytes <= optax_cost(of_optax(name)(1e-3)).bytes + 0.1


def test_a_clip_is_one_reading_and_one_scalar():
    ours, theirs = bench.pairs()["clip + adamw + schedule + mask"]
    found = bench.cost(ours, bench.large_tree(SIZE))
    assert found.bytes < 44.1 and found.temporary < 0.01 and found.copies == 0
    assert optax_cost(theirs).bytes > 59


def test_the_table_of_matrices():
    with jax.numpy_dtype_promotion("standard"):  # optax's Muon needs it
        head, rows = bench.matrices(layers=2, width=64, repeats=2)
    assert [row[0] for row in rows] == ["muon", "muon, Gram form"]
    for row in rows:
        assert len(row) == len(head) and all(float(x) >= 0 for x in row[1:])


def test_muon_needs_less_memory_than_in_optax():
    tx = gd.muon(1e-3), optax.contrib.muon(1e-3)
    params = {f"layer{i}": jnp.eye(64, 128) for i in range(6)}
    with jax.numpy_dtype_promotion("standard"):
        ours, theirs = (bench.cost(one, params) for one in tx)
    assert ours.temporary < 0.5 * theirs.temporary

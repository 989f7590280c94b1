"""`store` over the whole catalogue: each optimizer keeps something in few bits, or says why not."""

import ast
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from gdjax.core.lowbit.quantized import Quantized, is_quantized
from gdjax.core.rule.numerics import zero_count
from gdjax.core.rule.roles import (
    Count,
    LastGradient,
    MatrixMean,
    Mean,
    MeanSquare,
    PerParam,
    SlowMean,
    SumOfSquares,
)
from tests import cases
from tests.helpers import first

FIRST = cases.first()
# The paths of the contract's example, in a size that is worth storing.
PARAMS = {"dense": {"kernel": jnp.ones((64, 96))}, "gain": jnp.asarray(2.0)}

# Those of the optimizers whose state has no mean of gradients or of squares, and what it has.
NOTHING = {
    "adagrad": "sum_of_squares (sum of squares)",
    "cocob": "init_particles, cumulative_gradients, scale",
    "dog": "init_params (per parameter)",
    "dowg": "init_params (per parameter)",
    "fromage": "nothing for each parameter",
    "lbfgs": "params, updates, grad (per parameter), diff_params_memory, diff_updates_memor",
    "madgrad": "grad_sum_sq (sum of squares), s (slow mean), x0 (per parameter)",
    "noisy_sgd": "nothing for each parameter",
    "optimistic_gradient_descent": "previous_gradient (last gradient)",
    "polyak_sgd": "nothing for each parameter",
    "rprop": "step_sizes (per parameter), prev_updates (last gradient)",
    "schedule_free_sgd": "z (per parameter)",
    "sgd": "nothing for each parameter",
    "sign_sgd": "nothing for each parameter",
}


def size(tx, params=PARAMS):
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(tx.init, params)))


@pytest.mark.parametrize("row", [r for r in FIRST.values() if r.tx.name != "store"], ids=str)
def test_each_factory_stores_or_says_that_nothing_can_be(row):
    tx = row.tx
    try:
        state = jax.eval_shape(gd.store(tx).init, PARAMS)
    except ValueError as error:
        message = str(error)
        assert message.startswith(f"store: the state of {tx.name} must have a mean of"), message
        if found := re.search(r"Write store\((\w+)\(\.\.\.\), (\{.*?\})\) to store", message):
            assert found[1] == tx.name  # what the message says to write is smaller
            assert size(gd.store(tx, ast.literal_eval(found[2]))) < size(tx)
        else:
            assert message.endswith("Leave store out.")
        assert NOTHING.get(tx.name, "") in message
        return
    assert tx.name not in NOTHING
    stored = [x for x in jax.tree.leaves(state, is_leaf=is_quantized) if is_quantized(x)]
    large = [x for x in jax.tree.leaves(jax.eval_shape(tx.init, PARAMS)) if x.size >= 4096]
    if large:  # else it is for the small parameter alone
        assert stored and size(gd.store(tx)) < size(tx)


def test_the_list_of_those_that_store_nothing_is_of_optimizers():
    assert set(NOTHING) <= set(FIRST)


# steps

SEED = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(SEED.standard_normal(shape), jnp.float32)


START = {"w1": 0.1 * normal(64, 96), "w2": 0.1 * normal(96, 64), "b": 0.1 * normal(64)}
BATCHES, TEACHER = normal(20, 128, 64), 0.2 * normal(64, 64)


def loss(params, x):
    y = jnp.tanh(x @ params["w1"]) @ params["w2"] + params["b"][None]
    return jnp.mean((y - jnp.sin(x @ TEACHER)) ** 2)


def trained(tx):
    def body(carry, x):
        params, state = carry
        return tx.step(jax.grad(loss)(params, x), state, params), None

    carry, _ = jax.jit(lambda: jax.lax.scan(body, (START, tx.init(START)), BATCHES))()
    return carry


def flat(params):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)])


# Measured after 20 steps, as a share of the way gone: AdamW 0.018, Muon 0.055, both long stored.
# Squares in SOAP's eigenbasis lie further apart within a block; an orthogonal factor (Dion2, Muon)
# makes its small singular values as large as the others, and with them their error.
SHARES = {
    "kron": (gd.kron(1e-2), 0.013),
    "shampoo": (gd.shampoo(1e-2), 0.012),
    "kl_shampoo": (gd.kl_shampoo(1e-2), 0.015),
    "galore": (gd.galore(1e-2, rank=16), 0.017),
    "soap": (gd.soap(1e-2), 0.049),
    "dion2": (gd.dion2(1e-2), 0.054),
    "soap_muon": (gd.soap_muon(1e-2), 0.098),
}


@pytest.mark.parametrize("name", first(1, reversed(SHARES)))
def test_twenty_steps_in_8_bits_end_close_to_those_in_32(name):
    tx, measured = SHARES[name]
    (exact, wide), (stored, state) = trained(tx), trained(gd.store(tx, "8bit", min_size=64))
    share = np.linalg.norm(flat(stored) - flat(exact)) / np.linalg.norm(flat(exact) - flat(START))
    assert 0 < share < 1.5 * measured
    data = BATCHES.reshape(-1, 64)
    assert abs(loss(stored, data) - loss(exact, data)) < 2e-3 * loss(START, data)
    # what is stored are the moments alone: bases and statistics keep their digits
    leaves = [x for x in jax.tree.leaves(state, is_leaf=is_quantized) if is_quantized(x)]
    assert {x.shape for x in leaves} <= {(64, 96), (96, 64), (64,), (64, 1), (16, 96), (16, 64)}
    nbytes = lambda tree: sum(x.nbytes for x in jax.tree.leaves(tree))
    assert nbytes(state) < nbytes(wide)


# users' states


class HeavyState(NamedTuple):
    count: Count
    velocity: Mean  # of the gradients
    energy: MeanSquare  # of the gradients
    last: LastGradient
    start: PerParam


@gd.transformation
def heavy():
    def init(params):
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)
        return HeavyState(zero_count(), zeros(), zeros(), zeros(), zeros())

    def update(updates, state, params=None, **extra):
        velocity = jax.tree.map(lambda v, g: 0.9 * v + 0.1 * g, state.velocity, updates)
        energy = jax.tree.map(lambda v, g: 0.9 * v + 0.1 * g * g, state.energy, updates)
        after = state._replace(velocity=velocity, energy=energy, last=updates)
        return velocity, after

    return init, update


def test_a_users_state_is_stored_by_its_roles():
    params = {"w": normal(64, 64)}
    tx = gd.store(gd.chain(heavy(), gd.scale(-0.1)))
    _, state = tx.update(params, tx.init(params), params)
    found = {name: gd.state.find(state, name)["w"] for name in HeavyState._fields[1:]}
    assert {name for name, x in found.items() if isinstance(x, Quantized)} == {"velocity", "energy"}
    assert not found["velocity"].kind.square and found["energy"].kind.square
    exact, _ = heavy().update(params, heavy().init(params), params)
    np.testing.assert_allclose(found["velocity"].value(), exact["w"], atol=4e-3)
    named = gd.store(heavy(), {"last": "bf16", "energy": "8bit-companded"}).init(params).inner_state
    assert named.last["w"].codes.dtype == jnp.bfloat16 and named.energy["w"].kind.square
    assert named.velocity["w"].dtype == jnp.float32


def with_state(kind):
    """A transformation whose state is of a class with one field."""

    @gd.transformation
    def sample():
        init = lambda params: kind(jax.tree.map(jnp.zeros_like, params))
        return init, lambda updates, state, params=None, **extra: (updates, state)

    return sample()


ROLES = {
    "mean": (Mean, True, True),
    "mean_square": (MeanSquare, True, True),
    "matrix": (MatrixMean, True, True),
    "union": (Mean | None, True, True),
    "slow": (SlowMean, False, True),
    "sum": (SumOfSquares, False, True),
    "last": (LastGradient, False, False),
    "exact": (PerParam, False, False),
    "none": (Any, False, False),
}


@pytest.mark.parametrize("name", ROLES)
def test_what_a_role_allows(name):
    hint, unasked, named_for_8_bits = ROLES[name]

    class OneState(NamedTuple):
        field: hint

    tx, params = with_state(OneState), jnp.ones((64, 64))
    is_kept = lambda format: is_quantized(gd.store(tx, format).init(params).inner_state.field)
    assert is_kept({"field": "bf16"})
    if unasked:
        assert is_kept("8bit")
    else:
        with pytest.raises(ValueError, match="the state of sample must have a mean"):
            is_kept("8bit")
    if named_for_8_bits:
        assert is_kept({"field": "8bit"})
    else:
        must = "'field' must be declared as a mean or a sum to be kept in 8 bits"
        with pytest.raises(ValueError, match=must):
            is_kept({"field": "8bit"})


def test_errors_say_which_field_has_no_role():
    class SilentState(NamedTuple):
        velocity: Any

    hint = r"no role of velocity of SilentState. Annotate them by gdjax.core.rule.roles"
    with pytest.raises(ValueError, match=hint):
        gd.store(with_state(SilentState)).init(jnp.ones(3))
    with pytest.raises(ValueError, match="no role of count, mu, nu of ScaleByAdamState"):
        gd.store(optax.adam(1e-3)).init(jnp.ones(3))
    state = gd.store(optax.adam(1e-3), {"mu": "bf16"}).init(jnp.ones((64, 64)))
    assert is_quantized(gd.state.find(state, "mu"))


@pytest.mark.parametrize("word", ("moments", "squares"))
def test_declarations_of_before_are_answered(word):
    class OldState(NamedTuple):
        velocity: Any

    setattr(OldState, word, ("velocity",))
    role = {"moments": "Mean", "squares": "MeanSquare"}[word]
    with pytest.raises(ValueError, match=rf"got {word} = .* in OldState. Write {role} for"):
        gd.store(with_state(OldState)).init(jnp.ones(3))


def test_parameters_in_the_form_of_a_state_are_none():
    """A field of the parameters has the name of a field of the state."""

    class Params(NamedTuple):
        mu: Any
        x0: Any

    params = Params(normal(64, 64), normal(64, 64))
    state = gd.store(gd.lookahead(gd.adam(0.1), 2, 0.5), {"mu": "8bit"}).init(params)
    assert is_quantized(gd.state.find(state, "nu").mu) is False
    assert not is_quantized(state.inner_state.slow.mu)
    with pytest.raises(ValueError, match="a format must be for a field of the state, got x0"):
        gd.store(gd.adam(0.1), {"x0": "bf16"}).init(params)

"""Promises on a transformation as data: its hyperparameters are leaves and may change."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gdjax import state as states
from gdjax.contract.subject import Subject, example_params, moving_numbers, promise, run
from gdjax.core.data.build import build
from gdjax.core.data.hyperparams import is_number
from gdjax.core.data.recipe import Recipe
from gdjax.core.data.spec import spec

__all__ = ["follows_schedules", "is_a_pytree", "is_data", "numbers_are_leaves", "tells_its_numbers"]


@promise
def is_data(subject: Subject) -> None:
    """It unpacks, prints, compares, hashes, is edited, copied, pickled, and goes through JSON."""
    tx = subject.tx
    init, update = tx
    assert init == tx.init and update == tx.update and hash(update) is not None
    assert repr(tx).startswith(f"{tx.name}(") and repr(tx) == repr(tx.replace())
    assert tx == tx.replace() and hash(tx) == hash(tx.replace()) and tx != object()
    assert not tx != tx.replace()  # a tuple has a != of its own
    assert copy.copy(tx) == tx
    if subject.serializable:
        assert pickle.loads(pickle.dumps(tx)) == tx and copy.deepcopy(tx) == tx
        assert build(json.loads(json.dumps(spec(tx))), functions_in(tx)) == tx
    for name in tx.numbers:
        if isinstance(value := tx.arguments[name], float):
            other = value * 0.5 + 0.3125
            edited = tx.replace(**{name: other})
            assert edited.arguments[name] == other and edited != tx, name


def functions_in(value: Any) -> list[Any]:
    """The functions among the arguments of a transformation, which `build` must be given."""
    if isinstance(value, Recipe):
        value = value.given
    if isinstance(value, (dict, list, tuple)):
        parts = value.values() if isinstance(value, dict) else value
        return [function for part in parts for function in functions_in(part)]
    return [value] if callable(value) else []


@promise
def is_a_pytree(subject: Subject) -> None:
    """Its leaves are the given hyperparameters; it can be unflattened with any other leaves."""
    leaves, treedef = jax.tree.flatten(subject.tx)
    assert all(map(is_number, leaves)), leaves
    assert treedef.unflatten(leaves) == subject.tx
    assert len(jax.tree.leaves_with_path(subject.tx)) == len(leaves)
    for strange in (None, object(), jax.ShapeDtypeStruct((), jnp.float32)):
        treedef.unflatten([strange] * len(leaves))


@promise
def tells_its_numbers(subject: Subject) -> None:
    """`state.hyperparams` returns each hyperparameter by its name, eagerly and under `jit`."""
    tx = subject.tx
    state = tx.init(example_params())
    told = states.hyperparams(tx, state)
    for name in tx.numbers:
        if is_number(value := tx.arguments[name]):
            np.testing.assert_allclose(told[name], value, rtol=1e-6)
    chex.assert_trees_all_close(jax.jit(lambda s: states.hyperparams(tx, s))(state), told)


@promise
def follows_schedules(subject: Subject) -> None:
    """Every hyperparameter may be a schedule; constant ones change nothing, others are reported."""
    moving = moving_numbers(subject.tx)
    if not moving:
        return
    constants = {name: lambda step, value=value: value for name, value in moving.items()}
    constant = subject.tx.replace(**constants)
    updates, state = jax.jit(lambda: run(subject, tx=constant))()
    expected, inner = run(subject)
    chex.assert_trees_all_close(updates, expected, rtol=2e-5, atol=1e-7)
    chex.assert_trees_all_close(state.inner_state, inner, rtol=2e-5, atol=1e-7)

    def ramp(value: float) -> Any:
        return lambda step: value * (0.5 + 0.125 * step.astype(float))

    ramps = subject.tx.replace(**{name: ramp(value) for name, value in moving.items()})
    told = jax.jit(lambda: states.hyperparams(ramps, run(subject, tx=ramps)[1]))()
    for name, value in moving.items():  # after three steps: the value of step 2
        np.testing.assert_allclose(told[name], value * 0.75, rtol=1e-6)


@promise
def numbers_are_leaves(subject: Subject) -> None:
    """Changed hyperparameters need no new tracing under `jit`; `vmap` over them equals the loop."""
    traces, params, moving = [], example_params(), moving_numbers(subject.tx)
    if not moving:
        return

    @jax.jit
    def end(tx: Any) -> Any:
        traces.append(None)
        return run(subject, 2, params, tx)

    # One number after another is changed; 0.9 of one lies in every interval that begins at 0.
    variants = [{**moving, name: 0.9 * value} for name, value in moving.items()]
    looped = [end(subject.tx.replace(**numbers))[0] for numbers in variants]
    assert len(traces) == 1, f"traced {len(traces)} times"
    stacked = {name: jnp.asarray([numbers[name] for numbers in variants]) for name in moving}
    mapped = jax.vmap(lambda numbers: end(subject.tx.replace(**numbers))[0])(stacked)
    for i, one in enumerate(looped):
        part = jax.tree.map(lambda x, i=i: x[i], mapped)
        chex.assert_trees_all_close(part, one, rtol=2e-5, atol=1e-7)

"""Promises on the state: constant structure and dtypes, jit, scan, checkpoints, donation."""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gdjax import state as states
from gdjax.contract.subject import (
    FLOATS,
    Subject,
    avals,
    example_grads,
    example_params,
    finite,
    promise,
    run,
)
from gdjax.core.engine.transformation import apply_updates

__all__ = [
    "agrees_with_jit",
    "keeps_its_state",
    "saves_and_restores",
    "scans",
    "survives_donation",
]


@promise
def keeps_its_state(subject: Subject) -> None:
    """`update` keeps structure, shapes and dtypes of the state, in nine pairings of dtypes."""
    for of_params in FLOATS:
        params = example_params(of_params)
        state = subject.tx.init(params)
        for of_grads in FLOATS:
            grads = jax.tree.map(lambda g, to=of_grads: g.astype(to), example_grads(params))
            updates, after = jax.eval_shape(subject.update, grads, state, params)
            assert avals(after) == avals(state), (of_params, of_grads)
            assert jax.tree.structure(updates) == jax.tree.structure(grads)
            moved = jax.eval_shape(apply_updates, params, updates)
            assert avals(moved) == avals(params), (of_params, of_grads)


@promise
def agrees_with_jit(subject: Subject) -> None:
    """Eager and compiled `update` and `step` agree; compiled, they are traced once."""
    params, traces = example_params(), []

    @jax.jit
    def update(updates: Any, state: Any, params: Any) -> Any:
        traces.append(None)
        return subject.update(updates, state, params)

    eager = compiled = subject.tx.init(params)
    for i in range(3):
        grads = example_grads(params, i)
        stepped, by_step = subject.step(grads, eager, params)
        ours, eager = subject.update(grads, eager, params)
        theirs, compiled = update(grads, compiled, params)
        chex.assert_trees_all_close((ours, eager), (theirs, compiled), rtol=1e-6, atol=1e-7)
        chex.assert_trees_all_close(by_step, eager, rtol=1e-6, atol=1e-7)
        chex.assert_trees_all_close(stepped, apply_updates(params, ours), rtol=1e-6, atol=1e-7)
    assert len(traces) == 1


@promise
def scans(subject: Subject) -> None:
    """A scan over steps equals the loop."""
    params = example_params()
    grads = [example_grads(params, i) for i in range(3)]
    stacked = jax.tree.map(lambda *gs: jnp.stack(gs), *grads)

    def body(state: Any, g: Any) -> Any:
        updates, state = subject.update(g, state, params)
        return state, updates

    state, updates = jax.lax.scan(body, subject.tx.init(params), stacked)
    last = jax.tree.map(lambda u: u[-1], updates)
    chex.assert_trees_all_close((last, state), run(subject), rtol=1e-6, atol=1e-7)


@promise
def saves_and_restores(subject: Subject) -> None:
    """A state that is saved and restored as NumPy arrays continues bit for bit."""
    params = example_params()
    _, state = run(subject, 2)
    saved = jax.tree.map(np.array, states.to_dict(subject.tx, state))
    restored, report = states.from_dict(subject.tx, params, saved)
    assert not report.new and not report.dropped and not report.changed, report
    grads = example_grads(params, 2)
    chex.assert_trees_all_equal(
        subject.update(grads, restored, params), subject.update(grads, state, params)
    )


@promise
def survives_donation(subject: Subject) -> None:
    """No leaf of a state shares its buffer with parameters or another leaf, eagerly or compiled."""
    for init in (subject.tx.init, jax.jit(subject.tx.init)):
        params = example_params()
        leaves = jax.tree.leaves((init(params), params))
        pointers = [x.unsafe_buffer_pointer() for x in leaves]
        assert len(set(pointers)) == len(pointers), "buffers are shared"

    def step(params: Any, state: Any, grads: Any) -> Any:
        return subject.step(grads, state, params)

    # In the order of the results: JAX pairs buffers by shape, in whatever memory they are.
    step = jax.jit(step, donate_argnums=(0, 1))
    state = subject.tx.init(params)
    for i in range(2):
        params, state = step(params, state, example_grads(params, i))
    assert finite(params)

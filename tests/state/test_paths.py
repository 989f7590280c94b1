"""Keys may hold slashes, as Haiku's do: paths that read alike stay apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd

PARAMS = {"a/b": {"c": jnp.zeros(())}, "a": {"b/c": jnp.zeros(())}}
GRADS = {"a/b": {"c": jnp.ones(())}, "a": {"b/c": 5 * jnp.ones(())}}
APART = ["a/b~1c", "a~1b/c"]  # as JAX orders them


def test_states_are_restored():
    tx = gd.trace(0.9)
    _, state = tx.update(GRADS, tx.init(PARAMS))
    saved = gd.state.to_dict(tx, state)
    assert list(saved)[1:] == [f"trace/trace/{path}" for path in APART]
    restored, _ = gd.state.from_dict(tx, PARAMS, saved)
    jax.tree.map(np.testing.assert_array_equal, restored, state)


def test_parts_of_a_state_are_found():
    tx = gd.chain(**{"a/b": gd.trace(0.1), "a": gd.chain(b=gd.trace(0.2))})
    found = gd.state.find_all(tx.init(jnp.zeros(2)), "TraceState")
    assert sorted(found) == ["a/b", "a~1b"]


def test_hyperparameters_are_told_and_set():
    tx = gd.chain(**{"a/b": gd.sgd(gd.live(0.1)), "a": gd.chain(b=gd.sgd(gd.live(0.2)))})
    state = tx.init(PARAMS)
    names = [f"{path}/learning_rate" for path in ("a~1b", "a/b")]
    told = gd.state.hyperparams(tx, state)
    assert {k: pytest.approx(float(v)) for k, v in told.items()} == dict(zip(names, (0.1, 0.2)))
    state = gd.state.set_hyperparams(tx, state, {names[1]: 0.5})
    told = gd.state.hyperparams(tx, state)
    assert [float(told[name]) for name in names] == pytest.approx([0.1, 0.5])


def test_a_row_of_groups_is_for_one_of_them():
    with pytest.raises(ValueError, match="Did you mean.*a/b~1c"):
        gd.groups(gd.sgd(0.1), ("a/b/c", gd.frozen)).init(PARAMS)
    tx = gd.groups(gd.sgd(0.1), (APART[1], gd.frozen))
    moved, _ = tx.step(GRADS, tx.init(PARAMS), PARAMS)
    assert moved["a/b"]["c"] == 0 and moved["a"]["b/c"] == -0.5
    lines = {line.path: line for line in gd.explain(tx, PARAMS).lines}
    assert [lines[path].trained for path in APART] == [True, False]


def test_the_end_of_a_name_is_enough_where_one_alone_has_it():
    tx = gd.chain(clip=gd.clip(1.0), opt=gd.chain(gd.sgd(gd.live(0.1)), gd.trace(gd.live(0.9))))
    state = gd.state.set_hyperparams(tx, tx.init(PARAMS), learning_rate=0.5, decay=0.5)
    told = gd.state.hyperparams(tx, state)
    assert [float(v) for k, v in told.items() if k.startswith("opt")] == [0.5, 0.5]
    two = gd.chain(a=gd.sgd(gd.live(0.1)), b=gd.sgd(gd.live(0.2)))
    with pytest.raises(KeyError, match="Write one of a/learning_rate, b/learning_rate"):
        gd.state.set_hyperparams(two, two.init(PARAMS), learning_rate=0.5)

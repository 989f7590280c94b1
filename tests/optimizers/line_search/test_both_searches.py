"""What both line searches promise: no step where none is good, functions with arguments, leaves."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.optimizers.line_search.lines import SEARCHES, one_search


@pytest.mark.parametrize("name", SEARCHES)
class TestBoth:
    def test_no_length_no_step(self, name):
        """|x| falls at the start as the gradient says, but at no length that is tried."""
        function = lambda x: jnp.where(x == 0, -x, jnp.abs(x) + 1.0)
        tx = SEARCHES[name]
        move, state = one_search(tx, function)
        assert move == 0 and state.value == 0 and state.grad == -1
        assert state.info.decrease_error > 1 and 0 < state.learning_rate < 0.3
        _, later = tx.update(
            jnp.ones([]),
            state,
            jnp.zeros([]),
            value=state.value,
            grad=state.grad,
            value_fn=function,
        )
        assert later.learning_rate < 0.5 * state.learning_rate  # it goes on from there

    @pytest.mark.parametrize("direction", [-1.0, 0.0])
    def test_uphill_and_nowhere(self, name, direction):
        move, state = one_search(SEARCHES[name], lambda x: -x, at=0.5, direction=direction)
        assert move == 0 and state.value == -0.5 and state.grad == -1
        assert state.info.num_linesearch_steps == 0 and state.learning_rate == 1
        assert state.info.decrease_error == -direction

    def test_lengths_too_small_begin_again(self, name):
        found = [one_search(SEARCHES[name], lambda x: (x - 1) ** 2, start=s) for s in (1e-37, 1.0)]
        assert found[0][1].learning_rate == found[1][1].learning_rate > 0.1

    def test_nothing_was_searched_at_first(self, name):
        state = SEARCHES[name].init(jnp.ones([]))
        assert state.learning_rate == 1 and state.value == jnp.inf and state.grad == 0
        assert not any(state.info)

    def test_nan_stays_where_it_is(self, name):
        move, _ = one_search(SEARCHES[name], lambda x: jnp.nan * x)
        assert move == 0

    def test_arguments_of_the_function(self, name):
        fit = lambda params, x, y: jnp.sum((params * x - y) ** 2)
        tx, w = gd.chain(gd.sgd(1.0), SEARCHES[name]), jnp.array([1.0, 2.0, 3.0])
        x, y = jnp.array([3.0, 2.0, 1.0]), jnp.zeros(3)

        @jax.jit
        def step(w, state, x, y):
            value, grad = jax.value_and_grad(fit)(w, x, y)
            extra = {"value": value, "grad": grad, "value_fn": fit, "x": x, "y": y}
            return tx.step(grad, state, w, **extra, unknown=1.0)

        state, start = tx.init(w), fit(w, x, y)
        for _ in range(5):
            w, state = step(w, state, x, y)
        assert fit(w, x, y) < 10 < start and step._cache_size() == 1

    def test_needs(self, name):
        tx, x = SEARCHES[name], jnp.ones(2)
        with pytest.raises(TypeError, match="needs the extra argument 'value'"):
            tx.update(x, tx.init(x), x)
        with pytest.raises(ValueError, match="needs the parameters"):
            tx.update(x, tx.init(x), value=1.0, grad=x, value_fn=jnp.sum)
        with pytest.raises(TypeError, match="value_fn must be the loss as a function"):
            tx.update(x, tx.init(x), x, value=1.0, grad=x, value_fn=x)

    def test_prints(self, name, capsys):
        one_search(SEARCHES[name].replace(verbose=True), lambda x: (x - 1) ** 2)
        jax.effects_barrier()
        assert "learning rate 1.0, loss 1.0 to 0.0" in capsys.readouterr().out

    def test_what_has_no_gradient(self, name):
        """None, integers and keys stay; a leaf without an update stays and keeps its gradient."""
        params = {"a": jnp.ones(2), "b": jnp.ones(2), "n": jnp.arange(2), "none": None}
        function = lambda p: jnp.sum((p["a"] * p["b"]) ** 2) + 0.0 * p["n"][1].astype(float)
        tx = SEARCHES[name]
        grads = {**jax.tree.map(jnp.ones_like, params), "n": None}
        updates = {"a": -grads["a"], "b": None, "n": None, "none": None}
        extra = {"value": 2.0, "grad": grads, "value_fn": function}
        updates, state = tx.update(updates, tx.init(params), params, **extra)
        assert updates["b"] is None and np.all(updates["a"] < 0)
        assert state.grad["n"] is None and state.grad["b"].shape == (2,)

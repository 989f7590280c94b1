"""Value and gradient from the state of a line search."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.optimizers.line_search.value_and_grad import Line, start
from tests.optimizers.line_search.lines import SEARCHES, valley


class TestFromState:
    @pytest.mark.parametrize("name", SEARCHES)
    def test_is_value_and_grad(self, name):
        calls = []

        def counted(x):
            jax.debug.callback(lambda: calls.append(None))
            return valley(x)

        tx = gd.chain(gd.sgd(1e-3), SEARCHES[name])
        from_state = gd.value_and_grad_from_state(counted)

        @jax.jit
        def step(x, state):
            value, grad = from_state(x, state=state)
            out = tx.step(grad, state, x, value=value, grad=grad, value_fn=valley)
            return *out, value, grad

        x = jnp.array([-1.2, 1.0])
        state = tx.init(x)
        for _ in range(4):
            expected = jax.value_and_grad(valley)(x)
            x, state, *found = step(x, state)
            for a, b in zip(found, expected):
                np.testing.assert_allclose(a, b, rtol=1e-5)
        jax.effects_barrier()
        assert len(calls) == 1  # before the first step

    def test_complex(self):
        function = lambda z: jnp.sum(jnp.abs(z - 1j) ** 2)
        tx, z = gd.lbfgs(), jnp.ones(2, complex)
        value_and_grad = gd.value_and_grad_from_state(function)
        state = tx.init(z)
        for _ in range(2):
            value, grad = value_and_grad(z, state=state)
            expected = jax.value_and_grad(function)(z)
            np.testing.assert_allclose(value, expected[0], atol=1e-6)
            np.testing.assert_allclose(grad, expected[1], atol=1e-6)
            up = grad.conj()
            z, state = tx.step(up, state, z, value=value, grad=up, value_fn=function)

    def test_says_what_is_wrong(self):
        value_and_grad, x = gd.value_and_grad_from_state(valley), jnp.ones(2)
        with pytest.raises(KeyError, match="must hold one line search, got 0"):
            value_and_grad(x, state=gd.sgd(0.1).init(x))
        with pytest.raises(ValueError, match="store_grad=True"):
            value_and_grad(x, state=gd.scale_by_backtracking_linesearch(3).init(x))


@pytest.mark.parametrize(
    "function", [lambda x: jnp.inf * x, lambda x: jnp.sqrt(x)], ids=["infinite", "steep"]
)
def test_where_a_value_or_its_slope_is_not_finite(function):
    line = Line("a search", jnp.asarray(1.0), jnp.zeros([]), function, {})
    value, slope, _ = line.value_and_slope(0.0)
    assert value == jnp.inf and slope == 0


@pytest.mark.parametrize(("last", "first"), [(0.0, 1.0), (1e-37, 1.0), (0.5, 0.5)])
def test_a_search_starts_from_the_last_step_size_or_from_1(last, first):
    line = Line("a search", jnp.asarray(1.0), jnp.zeros([]), lambda x: x, {})
    assert start(line, jnp.asarray(last)) == np.float32(first)

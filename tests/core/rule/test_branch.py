"""What is computed every few steps: a branch of the program, under `jax.vmap` too."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.rule.branch import refresh_if


def doubled(flag, x):
    return refresh_if(flag, lambda: 2 * x, x)


FLAGS = np.array([[True, False, False], [False, False, True]])
X = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3)
# Which of the two axes the flag has, what that makes of `doubled`, and the flags.
BATCHES = {
    "none": ((None, None), True),
    "one": ((0, None), FLAGS[:, 0]),
    "the other": ((None, 0), FLAGS[0]),
    "both": ((0, 0), FLAGS),
}


@pytest.mark.parametrize("batch", BATCHES)
def test_elements_of_a_batch_are_refreshed_each_by_its_flag(batch):
    """The condition stays one, and has the derivatives of a select."""
    (outer, inner), flags = BATCHES[batch]
    f = jax.vmap(jax.vmap(doubled, (inner, 0)), (outer, 0))
    shape = (len(X) if outer == 0 else 1, X.shape[1] if inner == 0 else 1)
    factors = np.broadcast_to(np.where(np.reshape(flags, shape), 2.0, 1.0), X.shape)
    np.testing.assert_array_equal(f(flags, X), factors * X)
    np.testing.assert_array_equal(jax.jit(f)(flags, X), factors * X)
    slopes = jax.grad(lambda x: jnp.sum(f(flags, x) ** 2))(X)
    np.testing.assert_allclose(slopes, 2 * factors**2 * X)
    assert str(jax.make_jaxpr(f)(flags, X)).count("cond[") == 1


def test_without_a_batch_nothing_is_selected():
    def powers(flag, x):
        return refresh_if(flag, lambda: jax.lax.fori_loop(0, 3, lambda i, y: y @ y, x), x)

    arguments = jnp.ones([2], bool), jnp.ones((2, 5, 5))
    text = lambda f, *args: jax.jit(f).lower(*args).compile().as_text()
    alone, batch = text(powers, *(x[0] for x in arguments)), text(jax.vmap(powers), *arguments)
    assert "conditional(" in alone and " select(" not in alone
    assert "conditional(" in batch and " select(" in batch

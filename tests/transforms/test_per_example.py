"""Gradients of single examples, clipped and added up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd


def test_per_example_clipping():
    grads = {"a": jnp.asarray([[3.0, 0.0], [0.3, 0.0]]), "b": jnp.asarray([4.0, 0.4])}
    total, clipped = gd.per_example_global_norm_clip(grads, 1.0)
    np.testing.assert_allclose(total["a"], [0.9, 0.0], rtol=1e-6)
    np.testing.assert_allclose(total["b"], 1.2, rtol=1e-6)
    assert int(clipped) == 1
    total, clipped = gd.per_example_layer_norm_clip(grads, 3.0, uniform=False)
    np.testing.assert_allclose(total["a"], [2.0 * 1.5**0.5 + 0.3, 0.0], rtol=1e-6)
    np.testing.assert_allclose(total["b"], 3.0 / 3**0.5 + 0.4, rtol=1e-6)
    assert jax.tree.map(int, clipped) == {"a": 1, "b": 1}
    with pytest.raises(ValueError, match="first axis"):
        gd.per_example_global_norm_clip({"a": jnp.ones((2, 3)), "b": jnp.ones(3)}, 1.0)


@pytest.mark.parametrize("uniform", [True, False])
def test_integers_have_no_share_of_the_norm(uniform):
    grads = {"a": jnp.asarray([[3.0, 0.0], [0.3, 0.0]]), "b": jnp.asarray([4.0, 0.4])}
    expected, _ = gd.per_example_layer_norm_clip(grads, 3.0, uniform)
    more = grads | {"n": jnp.arange(2)}
    total, _ = gd.per_example_layer_norm_clip(more, 3.0, uniform)
    assert total["n"] is None
    for name in grads:
        np.testing.assert_array_equal(total[name], expected[name])


def test_each_array_of_an_example_has_an_equal_share():
    grads = {"a": jnp.array([[3.0, 4.0], [0.3, 0.4]]), "b": jnp.array([[6.0, 8.0], [0.3, 0.4]])}
    total, clipped = gd.per_example_layer_norm_clip(grads, 2.0**0.5)
    for name in grads:
        np.testing.assert_allclose(total[name], [0.9, 1.2], rtol=1e-5)
        assert clipped[name] == 1

"""What is special about Adafactor, SM3 and their kin: memory, bytes moved, decay by the rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd

from .row import real


def test_bytes_that_adafactor_moves():
    """Two sums of squares, two root mean squares, and the step: less than 36 a parameter."""
    params = {"a": jnp.ones((128, 1024)), "b": jnp.ones((512, 256))}
    tx = gd.adafactor(1e-3, weight_decay_rate=0.1)
    step = lambda p, s, g: tx.step(g, s, p)
    program = jax.jit(step).lower(params, tx.init(params), params).compile()
    size = sum(p.size for p in params.values())
    assert program.cost_analysis()["bytes accessed"] / size < 36


@pytest.mark.parametrize("momentum", [None, 0.9])
def test_decay_of_adafactor_follows_the_rate(momentum):
    """At zero gradients the weights shrink by 1 − ηλ, whatever η is in a step."""
    tx = gd.adafactor(lambda t: 0.1 / (1.0 + real(t)), momentum=momentum, weight_decay_rate=0.5)
    params = jnp.asarray([1.0, -2.0])
    state = tx.init(params)
    for t in range(3):
        after, state = tx.step(jnp.zeros(2), state, params)
        np.testing.assert_allclose(after, params * (1 - 0.05 / (1 + t)), rtol=1e-6)
        params = after


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [((2, 3), (2,), (3,)), ((3, 2), (2,), (3,)), ((4, 2, 3), (2, 3), (4, 2)), ((5,), None, None)],
)
def test_factors_have_the_shapes_of_optax(shape, rows, columns):
    state = gd.scale_by_factored_rms(min_dim_size_to_factor=2).init(jnp.ones(shape))
    got = [None if x is None else x.shape for x in state[1:]]
    assert got == [rows, columns, shape if rows is None else None]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4)])
def test_sm3_has_an_accumulator_for_each_axis(shape):
    tx = gd.sm3(0.1, momentum=0.0)
    params = jnp.ones(shape)
    state = tx.init(params)
    assert [m.shape for m in state[0].mu] == ([(n,) for n in shape] or [()])
    for t in (1, 2):  # equal gradients: the bound is the sum itself
        updates, state = tx.update(jnp.full(shape, 2.0), state)
        np.testing.assert_allclose(updates, np.full(shape, -0.1 / t**0.5), rtol=1e-6)


def test_muon_makes_singular_values_one():
    g = jax.random.normal(jax.random.key(0), (3, 20, 10))
    tx = gd.scale_by_muon("dion", matrix_axes="n in out")
    updates, _ = tx.update(g, tx.init(g))
    values = jnp.linalg.svd(updates, compute_uv=False)
    assert float(jnp.abs(values - 1).max()) < 0.15
    with pytest.raises(ValueError, match="matrix_axes"):
        gd.scale_by_muon().update(g, gd.scale_by_muon().init(g))


def test_galore_of_full_rank_and_linear_base_is_the_base():
    g = jax.random.normal(jax.random.key(0), (4, 6))
    tx = gd.scale_by_galore(4, inner=gd.scale(2.0))
    for x in (g, g.T):
        np.testing.assert_allclose(tx.update(x, tx.init(x))[0], 2 * x, rtol=2e-5, atol=1e-6)


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


def test_each_array_of_an_example_has_an_equal_share():
    grads = {"a": jnp.array([[3.0, 4.0], [0.3, 0.4]]), "b": jnp.array([[6.0, 8.0], [0.3, 0.4]])}
    total, clipped = gd.per_example_layer_norm_clip(grads, 2.0**0.5)
    for name in grads:
        np.testing.assert_allclose(total[name], [0.9, 1.2], rtol=1e-5)
        assert clipped[name] == 1


def test_sm3_adds_up_where_a_traced_decay_is_one():
    g = jnp.array([[1.0, 2.0], [3.0, 4.0]])

    def first(b2):
        tx = gd.scale_by_sm3(0.0, b2)
        return tx.update(g, tx.init(g))[0]

    for b2 in (1.0, 0.9):
        np.testing.assert_allclose(jax.jit(first)(b2), first(b2), rtol=1e-6)

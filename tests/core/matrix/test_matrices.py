"""Which axes are the sides of matrices, and rules for one matrix carried over trees."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.compat.optax import contrib
from gdjax.core.matrix import matrices
from tests.helpers import close, polar_of, single


def orthogonal(x, axes=None):
    tx = gd.orthogonalize("svd", matrix_axes=axes)
    return tx.update({"x": x}, gd.EmptyState())[0]["x"]


def test_layers_in_a_stack_are_as_layers_apart():
    x = single(3, 4, 6)
    close(orthogonal(x, "n in out"), np.stack([polar_of(layer) for layer in x]), 0, 2e-5)


def test_heads_apart():
    x = single(8, 3, 2)
    want = np.stack([polar_of(x[:, i]) for i in range(3)], axis=1)
    close(orthogonal(x, "in n out"), want, 0, 2e-5)
    together = polar_of(x.reshape(8, 6)).reshape(8, 3, 2)
    close(orthogonal(x, "in out out"), together, 0, 2e-5)


def test_heads_of_queries_keys_and_values_in_one():
    x = single(8, 3 * 2 * 5)
    apart = x.reshape(8, 3, 2, 5)
    want = np.stack([[polar_of(apart[:, i, j]) for j in range(2)] for i in range(3)])
    close(orthogonal(x, "in (3 2 out)"), want.transpose(2, 0, 1, 3).reshape(8, 30), 0, 2e-5)


def test_convolutions_and_the_order_of_torch():
    x = single(3, 3, 4, 5)
    close(orthogonal(x, "in in in out"), polar_of(x.reshape(36, 5)).reshape(x.shape), 0, 2e-5)
    torch = x.transpose(3, 2, 0, 1)
    close(
        orthogonal(torch, "out in in in"),
        orthogonal(x, "in in in out").transpose(3, 2, 0, 1),
        0,
        2e-5,
    )


def test_the_convention_of_fans():
    """Rows are inputs: a layer with more outputs than inputs is scaled up."""
    scale = lambda shape, axes, **how: float(
        gd.scale_by_shape(axes, **how).update(jnp.ones(shape), gd.EmptyState())[0].ravel()[0]
    )
    assert scale((2, 8), None) == 2 and scale((8, 2), None) == 1
    assert scale((8, 2), "out in") == 2
    assert scale((8, 2), None, shape_factor="spectral") == 0.5
    assert scale((2, 8), None, consistent_rms=0.5) == pytest.approx(0.5 * 8**0.5)
    assert scale((5, 2, 8), "n in out") == 2
    with pytest.raises(ValueError, match="must be 'wide' or 'spectral', got tall"):
        gd.scale_by_shape(shape_factor="tall")


def test_matrices_of_one_shape_go_together():
    """Three matrices and a stack are one loop in the program, not five times the products."""
    params = {
        "a": single(4, 4),
        "b": single(4, 4, seed=1),
        "c": single(4, 4, seed=2),
        "v": single(3),
    }
    update = lambda g: gd.orthogonalize().update(g, gd.EmptyState())[0]
    program = lambda g: jax.jit(update).lower(g).as_text()
    text, one = program(params), program({"a": params["a"], "v": params["v"]})
    assert text.count("dot_general") == one.count("dot_general") > 0
    alone = [update({"x": x})["x"] for x in params.values()]
    for found, want in zip(update(params).values(), alone):
        np.testing.assert_allclose(found, want, atol=1e-6)


def test_rules_with_state():
    """A state for each matrix, numbered as they are; what a rule returns keeps its dtype."""
    params = {"stack": single(2, 3, 4), "v": single(5)}
    make = lambda p: (jnp.zeros((p.shape[0],) * 2), None)
    state = matrices.per_matrix(make, params, axes="n in out", where="test")
    assert state["stack"][0].shape == (2, 3, 3) and state["v"][0].shape == (5, 5)
    halves = jax.tree.map(lambda x: x.astype(jnp.bfloat16), state)

    def leaf(g, s, p):
        left = s[0] + g @ g.T
        return left @ p, (left, None)

    updates, after = matrices.evolve(leaf, (params, halves), params, axes="n in out", where="test")
    gram = params["stack"][1] @ params["stack"][1].T
    close(updates["stack"][1], gram @ params["stack"][1], 0, 2e-5)
    assert after["stack"][0].dtype == jnp.bfloat16 and updates["stack"].dtype == jnp.float32
    np.testing.assert_allclose(after["stack"][0][1].astype(float), gram, rtol=1e-2, atol=1e-2)
    with pytest.raises(ValueError, match="leaf must return 2 arrays"):
        matrices.evolve(lambda g, s: g, (params, state), axes="n in out", where="test")
    with pytest.raises(ValueError, match="keep the shapes of its state"):
        wrong = lambda g, s: (g, (g, None))
        matrices.evolve(wrong, (params, state), axes="n in out", where="test")


def test_what_optimizers_leave_to_adamw():
    params = {
        "embed": {"table": jnp.ones((9, 4))},
        "blocks_0": {"dense": {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}},
        "lm_head": {"kernel": jnp.ones((4, 9))},
        "stack": jnp.ones((2, 4, 4)),
    }
    matrix = matrices.is_matrix(params, None, "test")
    assert [k for k, v in jax.tree.leaves_with_path(matrix) if v] == [
        k for k, _ in jax.tree.leaves_with_path(params) if "dense" in str(k) and "kernel" in str(k)
    ]
    axes = gd.matrix_axes({r"blocks_\d/.*/kernel|lm_head/.*": "in out", "stack": "n in out"})
    said = matrices.is_matrix(params, axes, "test")
    assert said["lm_head"]["kernel"] and said["stack"] and not said["embed"]["table"]
    assert gd.build(gd.spec(axes)) == axes
    state = gd.muon(0.1, matrix_axes=axes).init(params)
    assert gd.state.find(state.inner_states["adam"], "mu")["stack"] is None


@pytest.mark.parametrize(
    "axes, shape, message",
    [
        ("in ut", (2, 2), "must have 'in', 'out' or 'n' for each axis, got 'in ut'"),
        ("in (3 8)", (2, 24), "must have 'in', 'out' or 'n'"),
        ("in (out", (2, 24), "must have 'in', 'out' or 'n'"),
        ("in (5 out)", (2, 24), "divisible by 5, at 'x', got shape \\(2, 24\\)"),
        (None, (2, 3, 4), "an array of more than one axis must have matrix_axes, at 'x'"),
        (gd.matrix_axes({"x": "in out"}), (2, 3, 4), "a word for each axis, at 'x'"),
        (
            gd.matrix_axes({"y": "in out"}),
            (2, 3),
            "from end to end",
        ),
    ],
)
def test_says_what_is_wrong(axes, shape, message):
    with pytest.raises(ValueError, match=message):
        orthogonal(jnp.ones(shape), axes)


@pytest.mark.parametrize("numbers", [(0, 2), (-3, -1), ([0], [2]), (0, -1)])
def test_dimension_numbers_count_from_either_end(numbers):
    said = contrib.MuonDimensionNumbers(*numbers)
    found = matrices._axes(said, (2, 3, 4), "muon", "w")
    assert (found.rows, found.columns, found.number) == ((0,), (2,), (1,))


def test_dimension_numbers_may_be_of_all_arrays():
    params = {"v": jnp.ones((4, 5)), "w": [jnp.ones((2, 3)), None]}
    leaves, found, _ = matrices.axes_of(params, contrib.MuonDimensionNumbers(1, 0), "muon")
    assert len(leaves) == len(found) == 3 and found[2] is None
    assert [(a.rows, a.columns) for a in found[:2]] == [((1,), (0,))] * 2

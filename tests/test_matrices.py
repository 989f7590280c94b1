"""Which axes are the sides of matrices, and rules for one matrix carried over trees."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.matrix import matrices, polar, polar_coefficients

KEY = jax.random.key(0)


def normal(*shape, k=0):
    return jax.random.normal(jax.random.fold_in(KEY, k), shape)


def polar_factor(x):
    u, _, vt = np.linalg.svd(np.asarray(x, np.float64), full_matrices=False)
    return u @ vt


def orthogonal(x, axes=None):
    tx = gd.orthogonalize("svd", matrix_axes=axes)
    return tx.update({"x": x}, gd.EmptyState())[0]["x"]


def close(found, want):
    np.testing.assert_allclose(found, want, atol=2e-5)


def test_layers_in_a_stack_are_as_layers_apart():
    x = normal(3, 4, 6)
    close(orthogonal(x, "n in out"), np.stack([polar_factor(layer) for layer in x]))


def test_heads_apart():
    x = normal(8, 3, 2)
    want = np.stack([polar_factor(x[:, i]) for i in range(3)], axis=1)
    close(orthogonal(x, "in n out"), want)
    together = polar_factor(x.reshape(8, 6)).reshape(8, 3, 2)
    close(orthogonal(x, "in out out"), together)


def test_heads_of_queries_keys_and_values_in_one():
    x = normal(8, 3 * 2 * 5)
    apart = x.reshape(8, 3, 2, 5)
    want = np.stack([[polar_factor(apart[:, i, j]) for j in range(2)] for i in range(3)])
    close(orthogonal(x, "in (3 2 out)"), want.transpose(2, 0, 1, 3).reshape(8, 30))


def test_convolutions_and_the_order_of_torch():
    x = normal(3, 3, 4, 5)
    close(orthogonal(x, "in in in out"), polar_factor(x.reshape(36, 5)).reshape(x.shape))
    torch = x.transpose(3, 2, 0, 1)
    close(orthogonal(torch, "out in in in"), orthogonal(x, "in in in out").transpose(3, 2, 0, 1))


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
    params = {"a": normal(4, 4), "b": normal(4, 4, k=1), "c": normal(4, 4, k=2), "v": normal(3)}
    update = lambda g: gd.orthogonalize().update(g, gd.EmptyState())[0]
    text = str(jax.make_jaxpr(update)(params))
    one = str(jax.make_jaxpr(update)({"a": params["a"], "v": params["v"]}))
    assert text.count("dot_general") == one.count("dot_general") > 0
    alone = [update({"x": x})["x"] for x in params.values()]
    for found, want in zip(update(params).values(), alone):
        np.testing.assert_allclose(found, want, atol=1e-6)


def test_rules_with_state():
    """A state for each matrix, numbered as they are; what a rule returns keeps its dtype."""
    params = {"stack": normal(2, 3, 4), "v": normal(5)}
    make = lambda p: (jnp.zeros((p.shape[0],) * 2), None)
    state = matrices.per_matrix(make, params, axes="n in out", where="test")
    assert state["stack"][0].shape == (2, 3, 3) and state["v"][0].shape == (5, 5)
    halves = jax.tree.map(lambda x: x.astype(jnp.bfloat16), state)

    def leaf(g, s, p):
        left = s[0] + g @ g.T
        return left @ p, (left, None)

    updates, after = matrices.evolve(leaf, (params, halves), params, axes="n in out", where="test")
    gram = params["stack"][1] @ params["stack"][1].T
    close(updates["stack"][1], gram @ params["stack"][1])
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
        ("in ut", (2, 2), "a word in, out or n for each axis, got 'in ut'"),
        ("in (3 8)", (2, 24), "a word in, out or n"),
        ("in (out", (2, 24), "a word in, out or n"),
        ("in (5 out)", (2, 24), "divisible by 5, at 'x', got shape \\(2, 24\\)"),
        (None, (2, 3, 4), "an array of more than one axis must have matrix_axes, at 'x'"),
        (gd.matrix_axes({"x": "in out"}), (2, 3, 4), "a word for each axis, at 'x'"),
        (gd.matrix_axes({"y": "in out"}), (2, 3), "must match the path of a parameter"),
    ],
)
def test_says_what_is_wrong(axes, shape, message):
    with pytest.raises(ValueError, match=message):
        orthogonal(jnp.ones(shape), axes)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (2, 5, 5)])
@pytest.mark.parametrize("name, steps", [("standard", 5), ("polar_express", 8), ("deepseek", 10)])
def test_the_gram_form_is_the_same(name, steps, shape):
    x = normal(*shape)
    how = polar_coefficients.polynomials(name, steps)
    gram = polar.polar_factor(x, how, gram=True)
    np.testing.assert_allclose(gram, polar.polar_factor(x, how), atol=1e-4)


@pytest.mark.parametrize("how", ["svd", "qdwh"])
def test_exact_polar_factors(how, x64):
    x = np.random.default_rng(0).normal(size=(3, 6, 4))
    x[1] *= 1e-30
    x[2, :, 3] = x[2, :, 2]  # of rank 3
    found = polar.polar_factor(jnp.asarray(x), how)
    close(found[:2], [polar_factor(x[0]), polar_factor(x[1])])
    assert np.linalg.norm(found, axis=(1, 2))[2] == pytest.approx(3**0.5 if how == "svd" else 2)
    assert not polar.polar_factor(jnp.zeros((2, 3)), how).any()


def test_the_derivative_of_exact_polar_factors(x64):
    x, dx = (jnp.asarray(np.random.default_rng(k).normal(size=(3, 5))) for k in range(2))
    f = lambda x: polar.polar_factor(x, "svd")
    slope = jax.jvp(f, (x,), (dx,))[1]
    np.testing.assert_allclose(slope, (f(x + 1e-6 * dx) - f(x - 1e-6 * dx)) / 2e-6, atol=1e-8)
    assert np.isfinite(jax.jacobian(f)(jnp.zeros((2, 3)))).all()


IN_BATCHES = [
    gd.muon(0.1),
    gd.normuon(0.1),
    gd.dion2(0.1, 0.5),
    gd.soap(0.1, every=2),
    gd.shampoo(0.1, every=2),
    gd.kl_shampoo(0.1, every=2),
    gd.kron(0.1),
]


@pytest.mark.parametrize("tx", IN_BATCHES, ids=lambda tx: tx.name)
def test_a_batch_is_as_a_loop(tx, monkeypatch):
    """As on a GPU: the same numbers, and what is done every few steps is under a condition."""
    params = {"a": normal(4, 6), "b": normal(4, 6, k=1), "c": normal(6, k=2)}

    def run():
        step = jax.jit(lambda g, s, p: tx.update(g, s, p))
        state = tx.init(params)
        for i in range(3):
            grads = {name: jnp.cos(p + i) for name, p in params.items()}
            updates, state = step(grads, state, params)
        return updates, state, str(jax.make_jaxpr(lambda *a: tx.update(*a))(params, state, params))

    *looped, program = run()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    *batched, other = run()
    for x, y in zip(jax.tree.leaves(batched), jax.tree.leaves(looped), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)
    assert other != program
    rolled = lambda text: text.count("scan[") + text.count("while[")
    assert rolled(other) < rolled(program)
    if "every" in tx.arguments or tx.name == "kron":
        assert other.count("cond[") == program.count("cond[") > 0

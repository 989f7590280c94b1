"""KL-Shampoo and PSGD Kron: factors of another package, identities, stacks, gradients of zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd

from .oracles import problem
from .oracles.rules.kronecker import drawn
from .row import recordings


def run(tx, gradients):
    """The updates and the last state."""
    step = lambda state, g: tx.update(g, state)[::-1]
    first = jax.tree.map(lambda g: g[0], gradients)
    state, updates = jax.jit(lambda gs: jax.lax.scan(step, tx.init(first), gs))(gradients)
    return updates, state


def test_the_factors_of_another_package(x64):
    """heavyball gives the t-th gradient the weight it has in an unbiased mean; it balances factors.

    It keeps float64 and inverts in float32: the factors are the same to 2e-7.
    """
    found = recordings("kronecker")
    gradients = jnp.asarray(found["heavyball/gradients"])
    make = lambda b2: gd.scale_by_kl_shampoo(0.0, b2, 0.0, 10**9, init_factor=0.1)
    state = make(0.9).init(gradients[0])._replace(count=jnp.ones([], jnp.int32))  # Q stays I
    decays = 1 - (1 - 0.9) / (1 - 0.9 ** jnp.arange(2.0, 2 + len(gradients)))
    step = lambda state, row: (make(row[0]).update(row[1], state)[1], None)
    state, _ = jax.jit(lambda s: jax.lax.scan(step, s, (decays, gradients)))(state)
    rows, columns = (np.asarray(x / x.max()) for x in state.covariance)
    np.testing.assert_allclose(rows, found["heavyball/rows"], rtol=5e-7)
    np.testing.assert_allclose(columns, found["heavyball/columns"], rtol=5e-7, atol=1e-8)


def test_the_noise_is_the_one_of_the_recordings(x64):
    found = recordings("kronecker")
    for name, shape in problem.SHAPES.items():
        expected = found[f"noise/{name}"][59]
        np.testing.assert_allclose(drawn(name, shape, 59).reshape(shape), expected, rtol=1e-12)


def test_kl_shampoo_does_not_see_the_scale(x64):
    """At first S fits the first gradient: no step depends on the units of the loss."""
    tx = gd.scale_by_kl_shampoo(every=2)
    gradients = jax.random.normal(jax.random.key(0), (6, 3, 2))
    one, million = (run(tx, scale * gradients)[0] for scale in (1.0, 1e6))
    np.testing.assert_allclose(one, million, rtol=1e-9)


@pytest.mark.parametrize("name", ["scale_by_kl_shampoo", "scale_by_kron"])
def test_what_is_fitted_whitens(name, x64):
    """Gradients A·Z·B with Z of N(0, 1): P·g has about the covariance I, whatever A and B are."""
    A = jnp.array([[3.0, 0.0], [1.0, 0.2]])
    B = jnp.array([[0.1, 0.0, 0.0], [0.1, 1.0, 0.0], [0.0, 0.3, 2.0]])
    gradients = A @ jax.random.normal(jax.random.key(1), (3000, 2, 3)) @ B
    few = {"b2": 0.99, "every": 1}
    many = {"precond_lr": 0.05, "clipping_threshold": None}
    updates, _ = run(getattr(gd, name)(b1=0.0, **(few if "kl" in name else many)), gradients)
    flat = updates[1000:].reshape(-1, 6)
    values = np.linalg.eigvalsh(flat.T @ flat / len(flat))
    assert 0.7 < values.min() and values.max() < 1.4


@pytest.mark.parametrize("tx", [gd.scale_by_kl_shampoo(), gd.scale_by_kron()], ids=str)
def test_a_gradient_of_zero_changes_no_factor(tx):
    """Without this, factors would leave the range of float32 after some hundred of them."""
    gradients = jnp.zeros((1500, 2, 3)).at[:3].set(jax.random.normal(jax.random.key(0), (3, 2, 3)))
    gradients = gradients.at[-1].set(1.0)
    updates, state = run(tx, gradients)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((updates, state)))
    assert 1e-3 < np.abs(updates[-1]).max() < 10


def test_layers_in_a_stack_are_as_layers_apart(x64):
    tx = lambda axes: gd.scale_by_kl_shampoo(every=2, matrix_axes=axes)
    stacked = jax.random.normal(jax.random.key(0), (4, 3, 2, 3))
    apart = {str(i): stacked[:, i] for i in range(3)}
    together, _ = run(tx("n in out"), stacked)
    alone, _ = run(tx(None), apart)
    np.testing.assert_allclose(together, np.stack(list(alone.values()), 1), rtol=1e-12)


def test_each_matrix_in_a_stack_has_noise_of_its_own():
    stacked = jnp.ones((2, 3, 2, 3))
    _, state = run(gd.scale_by_kron(matrix_axes="n in out"), stacked)
    rows = np.asarray(state.factors[0])
    assert rows.shape == (3, 2, 2)
    assert all(np.abs(rows[i] - rows[j]).max() > 1e-3 for i, j in ((0, 1), (1, 2), (0, 2)))


@pytest.mark.parametrize(("p", "every"), [(1.0, 1), (0.5, 2), (0.3, 4), (1 / 49, 49), (0.0, 200)])
def test_how_often_it_is_fitted(p, every):
    tx = gd.scale_by_kron(preconditioner_update_probability=p)
    step = lambda state, g: 2 * (tx.update(g, state)[1],)
    g = jnp.ones((100, 2))
    _, states = jax.jit(lambda gs: jax.lax.scan(step, tx.init(gs[0]), gs))(g)
    q = np.asarray(states.factors[0])
    moved = np.abs(np.diff(q, axis=0, prepend=1.0)).max(1) > 0
    np.testing.assert_array_equal(np.flatnonzero(moved) + 1, np.arange(every, 101, every))


def test_the_default_probability():
    """That of kron-torch: 1 for 500 steps, e⁻¹ at step 1500, 0.03 at last."""
    from gdjax.optimizers.matrix.kron import PROBABILITY

    steps = jnp.array([0, 500, 501, 1500, 4000, 5000])
    expected = [1.0, 1.0, 0.9990005, 0.36787945, 0.030197384, 0.03]
    np.testing.assert_allclose(PROBABILITY(steps), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("mode", "shape", "expected"),
    [
        (None, (2, 3), [(2, 2), (3, 3)]),
        ("smart_one_diag", (2, 3), [(2, 2), (3,)]),
        ("smart_one_diag", (3, 3), [(3, 3), (3, 3)]),
        ("one_diag", (3, 2), [(3,), (2, 2)]),
        ("one_diag", (3, 3), [(3, 3), (3,)]),
        ("all_diag", (2, 3), [(2,), (3,)]),
        (None, (2, 9), [(2, 2), (9,)]),
        (None, (4,), [(4,), None]),
        (None, (1, 4), [None, (4,)]),
        (None, (), [(1,), None]),
    ],
)
def test_which_factors_are_diagonal(mode, shape, expected):
    tx = gd.scale_by_kron(memory_save_mode=mode, max_size_triangular=8)
    found = tx.init(jnp.ones(shape)).factors
    assert [None if q is None else q.shape for q in found] == expected


def test_complex_matrices():
    """A unit factor changes nothing: P is Hermitian, and so is S."""
    g = jax.random.normal(jax.random.key(0), (5, 2, 3), jnp.complex64)
    tx = gd.scale_by_kl_shampoo(every=2)
    np.testing.assert_allclose(run(tx, 1j * g)[0], 1j * run(tx, g)[0], rtol=2e-4, atol=1e-5)
    updates, state = run(gd.scale_by_kron(), g)
    assert updates.dtype == g.dtype and all(np.isfinite(q).all() for q in state.factors)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="memory_save_mode must be"):
        gd.scale_by_kron(memory_save_mode="two_diag")
    with pytest.raises(ValueError, match="every must be at least 1"):
        gd.kl_shampoo(0.1, every=0)
    with pytest.raises(TypeError, match="key must be"):
        gd.kron(0.1, key=0.5)

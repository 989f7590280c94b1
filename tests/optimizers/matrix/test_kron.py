"""PSGD Kron."""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import over
from tests.oracles import problem
from tests.oracles.problem import SHAPES
from tests.references import Agree, recorded, recordings, rule
from tests.transcription import descend_each

ROWS = [
    Row(gd.scale_by_kron()),
    Row(gd.kron(0.05, preconditioner_update_probability=0.5)),
]


def _norm_from_below(a):
    """Li's lower bound of a spectral norm: two products with a, from its longest row."""
    v = a @ a[np.argmax(np.sum(a**2, 1))]
    return np.linalg.norm(a @ (v / np.linalg.norm(v)))


def drawn(name, shape, t, seed=0):
    """V of a tensor in step t, as `scale_by_kron` says that it is drawn; a vector is a column."""
    key = jax.random.fold_in(jax.random.key(seed), t)
    key = jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), 0)
    shape = shape if len(shape) == 2 else (*shape, 1)
    return np.asarray(jax.random.normal(key, shape, float), np.float64)


def kron(
    gradient,
    theta0,
    steps,
    *,
    eta,
    b1=0.9,
    lam=0.0,
    decays=("w", "b"),
    every=1,
    diagonal=(),
    of_momentum=True,
    mu=0.1,
    scale=1.0,
    damping=2**-11.5,
    threshold=1.1,
    seed=0,
):
    """PSGD with a factor a side, whitening gradients (Li 2015, section IV; Li 2022).

    The preconditioner is fitted in every so-manieth step: `every` is a number or a set of steps.
    `diagonal` are the sides, 0 or 1, of w with a diagonal factor. Vectors have one such factor.
    """

    def make(name, shape):
        if len(shape) == 2:
            kept = [np.sqrt(scale) * np.eye(d) for d in shape]
            diagonals = [side in diagonal for side in (0, 1)]
        else:
            kept, diagonals = [scale * np.eye(shape[0]), np.eye(1)], [True, None]
        state = {"M": 0.0, "Q": kept}

        def fit(G, V):
            G = G + damping * np.mean(np.abs(G)) * V
            Qa, Qb = state["Q"]
            A = Qa @ G @ Qb.T
            B = np.linalg.inv(Qa).T @ V @ np.linalg.inv(Qb)
            after = []
            for Q, a, b, is_diagonal in zip((Qa, Qb), (A, A.T), (B, B.T), diagonals):
                plus, minus = a @ a.T + b @ b.T, a @ a.T - b @ b.T
                if is_diagonal is None:
                    after.append(Q)
                elif is_diagonal:
                    after.append(Q - mu / plus.diagonal().max() * np.diag(np.diag(minus)) @ Q)
                else:
                    after.append(Q - mu / _norm_from_below(plus) * np.triu(minus) @ Q)
            state["Q"] = after

        def rule(g, t):
            G = g.reshape(shape[0], -1)
            state["M"] = b1 * state["M"] + (1 - b1) * G
            mean = state["M"] / (1 - b1 ** (t + 1))
            if t in every if isinstance(every, set) else (t + 1) % every == 0:
                fit(mean if of_momentum else G, drawn(name, shape, t, seed))
            Qa, Qb = state["Q"]
            u = Qa.T @ Qa @ mean @ Qb.T @ Qb
            size = np.sqrt(np.mean(u**2))
            share = 1.0 if threshold is None else min(1.0, threshold / size)
            return (share * u).reshape(shape)

        return rule

    directions = {name: make(name, shape) for name, shape in SHAPES.items()}
    return descend_each(gradient, theta0, steps, eta, directions, lam, decays)


AGREE = {
    "numpy-kron": Agree(gd.kron(0.05), rule(kron, eta=0.05)),
    "numpy-kron-all": Agree(
        gd.kron(
            0.2,
            0.8,
            0.1,
            None,
            0.3,
            2,
            momentum_into_precond_update=False,
            precond_lr=0.3,
            precond_init_scale=3.0,
            damping=0.2,
            clipping_threshold=0.3,
            key=7,
        ),
        rule(
            kron,
            eta=0.2,
            b1=0.8,
            lam=0.1,
            every=4,
            diagonal=(1,),
            of_momentum=False,
            mu=0.3,
            scale=3.0,
            damping=0.2,
            threshold=0.3,
            seed=7,
        ),
    ),
    "numpy-kron-unclipped": Agree(
        gd.kron(0.05, memory_save_mode="smart_one_diag", clipping_threshold=None),
        rule(kron, eta=0.05, diagonal=(1,), threshold=None),
    ),
    # kron-torch 0.3.3 solves with its triangles in float32, in double precision too: 1e-8 after 60
    # steps.
    "kron_torch-half": Agree(
        gd.kron(0.05, preconditioner_update_probability=0.5, momentum_into_precond_update=False),
        recorded("kronecker", "kron_torch/half"),
        1e-6,
    ),
    "kron_torch-always": Agree(
        gd.kron(0.05, 0.8, precond_init_scale=0.5, momentum_into_precond_update=False),
        recorded("kronecker", "kron_torch/always"),
        1e-6,
    ),
    # it decays matrices alone
    "kron_torch-one_diag": Agree(
        gd.kron(
            0.05,
            weight_decay=0.1,
            mask={"w": True, "b": False},
            memory_save_mode="one_diag",
            momentum_into_precond_update=False,
        ),
        recorded("kronecker", "kron_torch/one_diag"),
        1e-6,
    ),
    "kron_torch-all_diag": Agree(
        gd.kron(0.05, memory_save_mode="all_diag", momentum_into_precond_update=False),
        recorded("kronecker", "kron_torch/all_diag"),
    ),
    "kron_torch-clipped": Agree(
        gd.kron(
            0.05,
            memory_save_mode="all_diag",
            precond_init_scale=9.0,
            momentum_into_precond_update=False,
        ),
        recorded("kronecker", "kron_torch/clipped"),
    ),
}


def test_the_noise_is_the_one_of_the_recordings(x64):
    found = recordings("kronecker")
    for name, shape in problem.SHAPES.items():
        expected = found[f"noise/{name}"][59]
        np.testing.assert_allclose(drawn(name, shape, 59).reshape(shape), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["scale_by_kl_shampoo", "scale_by_kron"])
def test_what_is_fitted_whitens(name, x64):
    """Gradients A·Z·B with Z of N(0, 1): P·g has about the covariance I, whatever A and B are."""
    A = jnp.array([[3.0, 0.0], [1.0, 0.2]])
    B = jnp.array([[0.1, 0.0, 0.0], [0.1, 1.0, 0.0], [0.0, 0.3, 2.0]])
    gradients = A @ jax.random.normal(jax.random.key(1), (3000, 2, 3)) @ B
    few = {"b2": 0.99, "every": 1}
    many = {"precond_lr": 0.05, "clipping_threshold": None}
    updates, _ = over(getattr(gd, name)(b1=0.0, **(few if "kl" in name else many)), gradients)
    flat = updates[1000:].reshape(-1, 6)
    values = np.linalg.eigvalsh(flat.T @ flat / len(flat))
    assert 0.7 < values.min() and values.max() < 1.4


@pytest.mark.parametrize("tx", [gd.scale_by_kl_shampoo(), gd.scale_by_kron()], ids=str)
def test_a_gradient_of_zero_changes_no_factor(tx):
    """Without this, factors would leave the range of float32 after some hundred of them."""
    gradients = jnp.zeros((1500, 2, 3)).at[:3].set(jax.random.normal(jax.random.key(0), (3, 2, 3)))
    gradients = gradients.at[-1].set(1.0)
    updates, state = over(tx, gradients)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((updates, state)))
    assert 1e-3 < np.abs(updates[-1]).max() < 10


def test_each_matrix_in_a_stack_has_noise_of_its_own():
    stacked = jnp.ones((2, 3, 2, 3))
    _, state = over(gd.scale_by_kron(matrix_axes="n in out"), stacked)
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


def test_the_default_damping():
    """That of kron-torch: the root of the rounding of float32."""
    expected = np.sqrt(np.finfo(np.float32).eps)
    np.testing.assert_allclose(gd.kron(0.1).arguments["damping"], expected, rtol=1e-6)


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


def test_a_matrix_of_one_entry_is_clipped_to_the_threshold():
    g, tx = jnp.full((1, 1), -1e6), gd.scale_by_kron(clipping_threshold=0.5, precond_lr=0.0)
    np.testing.assert_allclose(tx.update(g, tx.init(g))[0], [[-0.5]], rtol=1e-5)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="memory_save_mode must be"):
        gd.scale_by_kron(memory_save_mode="two_diag")
    with pytest.raises(TypeError, match="key must be"):
        gd.kron(0.1, key=0.5)


def test_complex_matrices():
    """A unit factor changes nothing: P is Hermitian."""
    g = jax.random.normal(jax.random.key(0), (5, 2, 3), jnp.complex64)
    updates, state = over(gd.scale_by_kron(), g)
    assert updates.dtype == g.dtype and all(np.isfinite(q).all() for q in state.factors)

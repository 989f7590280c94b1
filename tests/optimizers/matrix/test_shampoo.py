"""Shampoo."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.matrix.blocking import Cut
from gdjax.optimizers.matrix.shampoo import inverse_root
from tests.cases import Row
from tests.core.matrix.test_inverse_roots import with_spectrum
from tests.helpers import first_update, normal, polar_of, single
from tests.references import Agree, descent, halving, recorded, rule
from tests.transcription import at, blockwise

# Gradients of the examples span less than their columns, and what is rounding there is divided by
# its own size: eps is more, here.
ROWS = [
    Row(gd.scale_by_shampoo(0.9, 0.1, every=2)),
    Row(
        gd.scale_by_shampoo(None, 0.1, method="newton", block_size=2, start_step=1),
        label="scale_by_shampoo-newton",
    ),
    Row(gd.shampoo(0.05, eps=0.1, weight_decay=0.1)),
]


def magnitude(g, kept, t, *, kind, b2, eps):
    """The step of the method that lends its length."""
    square, b2 = kept.get("V", np.zeros_like(g)), 0.999 if b2 is None else b2
    if kind == "sgd":
        return g
    kept["V"] = V = square + g**2 if kind == "adagrad" else b2 * square + (1 - b2) * g**2
    return g / (np.sqrt(V / (1 - b2 ** (t + 1)) if kind == "adam" else V) + eps)


def blocks(w, size):
    """The slices of as few and as equal blocks as there may be."""
    cuts = []
    for n in w.shape:
        long = -(-n // -(-n // size))
        cuts.append([slice(k, k + long) for k in range(0, n, long)])
    return [(a, b) for a in cuts[0] for b in cuts[1]]


def power(S, exponent, eps):
    """(S + ε·λ₁·I) to a power, by its eigenvalues."""
    values, vectors = np.linalg.eigh(S)
    values = np.maximum(values, 0) + eps * values[-1]
    return vectors * values**exponent @ vectors.T


def shampoo_direction(
    g, kept, t, *, b2, eps, initial, root, frequency, start, size, longest, diagonal
):  # fmt: skip
    """Shampoo's preconditioned gradient of a matrix, or of a vector as one column.

    Gupta et al. 2018, algorithm 1; averages, ridge, blocks and start as Anil et al. 2020.
    """
    m = g.reshape(len(g), -1)
    u = np.zeros_like(m)
    here = [k for k in (0, 1) if m.shape[k] > 1 and (m.shape[k] <= longest or diagonal)]
    root = 2 * len(here) if root is None else root
    for n, cut in enumerate(blocks(m, size)):
        x = m[cut]
        Y = [np.eye(side) for side in x.shape]
        for k in here:
            S, Y[k] = kept.get((n, k), (initial * Y[k], Y[k]))
            square = x @ x.T if k == 0 else x.T @ x
            if m.shape[k] > longest:
                square = np.diag(np.diag(square))
            S = S + square if b2 is None else b2 * S + (1 - b2) * square
            if t >= start and (t - start) % frequency == 0:
                Y[k] = power(S if b2 is None else S / (1 - b2 ** (t + 1)), -1 / root, eps)
            kept[n, k] = S, Y[k]
        u[cut] = Y[0] @ x @ Y[1]
    return u.reshape(g.shape)


def shampoo(
    gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-6, lam=0.0, kind="adam",
    graft_eps=1e-8, initial=0.0, root=None, frequency=10, start=0, size=1024, longest=10000,
    diagonal=False,
):  # fmt: skip
    """Shampoo with grafting (Anil et al. 2020): momentum of the grafted steps."""
    numbers = dict(
        b2=b2, eps=eps, initial=initial, root=root, frequency=frequency, start=start, size=size,
        longest=longest, diagonal=diagonal,
    )  # fmt: skip

    def rule(w, g, kept, t):
        u = shampoo_direction(g, kept, t, **numbers)
        if kind is not None:
            length = np.linalg.norm(magnitude(g, kept, t, kind=kind, b2=b2, eps=graft_eps))
            u = u * length / np.linalg.norm(u)
        kept["M"] = b1 * kept.get("M", 0.0) + (1 - b1) * u
        return w - at(eta, t) * (kept["M"] / (1 - b1 ** (t + 1)) + lam * w)

    return blockwise(gradient, theta0, steps, rule)


FIRST = {"kind": None, "b1": 0.0, "frequency": 1}  # Shampoo as of its first paper
AGREE = {
    "numpy-shampoo": Agree(gd.shampoo(halving(0.05)), rule(shampoo, eta=halving(0.05))),
    "numpy-shampoo-all": Agree(
        gd.shampoo(
            0.05,
            0.8,
            0.9,
            0.1,
            0.2,
            grafting="rmsprop",
            graft_eps=0.1,
            initial_accumulator_value=0.3,
            root=3,
            every=3,
            start_step=4,
            block_size=2,
        ),
        rule(
            shampoo,
            eta=0.05,
            b1=0.8,
            b2=0.9,
            eps=0.1,
            lam=0.2,
            kind="rmsprop",
            graft_eps=0.1,
            initial=0.3,
            root=3,
            frequency=3,
            start=4,
            size=2,
        ),
    ),
    "numpy-shampoo-diagonal": Agree(
        gd.shampoo(0.05, grafting="adagrad", max_precond_dim=2, long_sides="diagonal"),
        rule(shampoo, eta=0.05, kind="adagrad", longest=2, diagonal=True),
    ),
    "numpy-shampoo-one-side": Agree(
        gd.shampoo(0.05, b2=None, grafting="sgd", max_precond_dim=2, every=1),
        rule(shampoo, eta=0.05, b2=None, kind="sgd", longest=2, frequency=1),
    ),
    # The squares of the grafted method decay by 0.999.
    "numpy-shampoo-sums-grafted": Agree(
        gd.shampoo(0.05, b2=None), rule(shampoo, eta=0.05, b2=None)
    ),
    "numpy-scale_by_shampoo-newton": Agree(
        descent(gd.scale_by_shampoo(eps=1e-2, every=1, method="newton")),
        rule(shampoo, eta=0.3, eps=1e-2, **FIRST),
    ),
    "numpy-scale_by_shampoo-cans": Agree(
        descent(gd.scale_by_shampoo(eps=1e-2, every=1, method="cans")),
        rule(shampoo, eta=0.3, eps=1e-2, **FIRST),
    ),
    "pytorch_optimizer-shampoo": Agree(
        gd.shampoo(
            0.1,
            0.0,
            None,
            0.0,
            grafting=None,
            initial_accumulator_value=1e-2,
            every=1,
        ),
        recorded("precondition", "pytorch_optimizer/shampoo"),
    ),
}


# Without a ridge, what is 0 in exact numbers comes out as 1e-16, and its root as 1e-4.
@pytest.mark.parametrize(("shape", "eps"), [((5, 5), 0.0), ((3, 5), 1e-14), ((5, 3), 1e-14)])
def test_shampoo_without_memory_is_an_orthogonal_factor(shape, eps, x64):
    """Both sides to −1/4, or the short one to −1/2: Muon without momentum, exactly."""
    g = with_spectrum(np.array([4.0, 3.0, 2.0, 1.0, 0.5]))[1][: shape[0], : shape[1]]
    g = jnp.asarray(g * np.linspace(1.0, 2.0, shape[1]))
    both = gd.scale_by_shampoo(0.0, eps)
    muon = gd.scale_by_muon("svd", b1=0.0, nesterov=False)
    for found in (first_update(both, g), first_update(muon, g)):
        np.testing.assert_allclose(found, polar_of(g), atol=1e-12)
    if shape[0] != shape[1]:
        one = gd.scale_by_shampoo(0.0, eps, max_precond_dim=min(shape))
        np.testing.assert_allclose(first_update(one, g), polar_of(g), atol=1e-12)
        assert sum(s is not None for s in one.init(g).statistics) == 1


def test_shampoo_of_a_vector_is_of_one_side(x64):
    g = jnp.asarray([3.0, 4.0])
    np.testing.assert_allclose(first_update(gd.scale_by_shampoo(0.0), g), g / 5, rtol=1e-6)
    np.testing.assert_allclose(
        first_update(gd.scale_by_shampoo(0.0), jnp.asarray(-7.0)), -1.0, 1e-6
    )


def test_a_diagonal_side_of_a_vector_is_adagrad(x64):
    tx = gd.scale_by_shampoo(None, 0.0, max_precond_dim=2, long_sides="diagonal", every=1)
    rss = gd.scale_by_rss(eps=0.0)
    state, other = (t.init(jnp.zeros(4)) for t in (tx, rss))
    for seed in range(3):
        g = jnp.asarray(normal(4, seed=seed)).at[0].set(0.0)
        u, state = tx.update(g, state)
        v, other = rss.update(g, other)
        np.testing.assert_allclose(u, v, rtol=1e-12)


@pytest.mark.parametrize(("shape", "size"), [((4, 6), 2), ((5, 7), 3), ((2, 5), 4), ((3, 3), 5)])
def test_blocks_are_matrices_of_their_own(shape, size, x64):
    cut = Cut.of(shape, size)
    a, b = cut.count
    assert max(cut.sides) <= size and (a, b) == tuple(-(-n // size) for n in shape)
    tx = gd.scale_by_shampoo(0.9, 1e-3, block_size=size, every=1)
    alone = gd.scale_by_shampoo(0.9, 1e-3, root=4, every=1)
    slices = [
        (
            slice(i * cut.sides[0], (i + 1) * cut.sides[0]),
            slice(j * cut.sides[1], (j + 1) * cut.sides[1]),
        )
        for i in range(a)
        for j in range(b)
    ]
    state = tx.init(jnp.zeros(shape))
    states = [alone.init(jnp.zeros(shape)[cut]) for cut in slices]
    for seed in range(2):
        g = jnp.asarray(normal(*shape, seed=seed))
        u, state = tx.update(g, state)
        for k, part in enumerate(slices):
            if 1 in g[part].shape:
                continue  # alone it is a vector
            v, states[k] = alone.update(g[part], states[k])
            np.testing.assert_allclose(u[part], v, atol=1e-12)


def test_shampoo_passes_the_gradient_until_it_starts():
    tx = gd.scale_by_shampoo(start_step=2, every=3)
    state, g = tx.init(jnp.zeros((2, 3))), single(2, 3)
    same, kept = [], []
    for _ in range(7):
        before = state.preconditioners[0]
        u, state = tx.update(g, state)
        same.append(bool(jnp.allclose(u, g, rtol=1e-6)))
        kept.append(bool((state.preconditioners[0] == before).all()))
    assert same == [True, True, *[False] * 5]
    assert kept[:3] == [True, True, False] and kept[3:5] == [True, True]


def test_derivative_by_the_decay_of_shampoo(x64):
    def end(b2):
        tx = gd.scale_by_shampoo(b2, 1e-2, every=1)
        state, total = tx.init(jnp.zeros((2, 3))), 0.0
        for seed in range(3):
            u, state = tx.update(jnp.asarray(normal(2, 3, seed=seed)), state)
            total += jnp.sum(u**3)
        return total

    h = 1e-5
    expected = (end(0.9 + h) - end(0.9 - h)) / (2 * h)
    np.testing.assert_allclose(jax.jit(jax.grad(end))(0.9), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.scale_by_shampoo(method="qr"), "method"),
        (lambda: gd.scale_by_shampoo(long_sides="cut"), "long_sides"),
        (lambda: gd.scale_by_shampoo(root=0), "root"),
        (lambda: gd.scale_by_shampoo(every=0), "every"),
        (lambda: gd.scale_by_shampoo(block_size=0), "block_size"),
        (lambda: gd.shampoo(0.1, grafting="lion"), "grafting"),
    ],
)
def test_what_is_asked_must_exist(make, message):
    with pytest.raises(ValueError, match=message):
        make().init(jnp.ones((2, 3)))


def test_a_transformation_may_be_grafted():
    g = single(2, 3)
    u = first_update(gd.shampoo(1.0, grafting=gd.scale_by_lion()), g)
    np.testing.assert_allclose(jnp.linalg.norm(u), 6**0.5, rtol=1e-5)


def test_a_diagonal_side_without_a_moment_has_no_root():
    s = jnp.array([0.0, 16.0])
    assert inverse_root(s, 2, 0.0, "eigh").tolist() == [0, 0.25]


def test_a_matrix_of_one_entry_has_one_side():
    g = jnp.full((1, 1), 16.0)
    assert first_update(gd.scale_by_shampoo(b2=None, eps=0.0, root=4), g) == 4

"""SOAP."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import first, normal, other_eigh, run, single
from tests.references import Agree, descent, halving, recorded, rule
from tests.transcription import at, blockwise

# Gradients of the examples span less than their columns, and what is rounding there is divided by
# its own size: eps is more, here.
ROWS = [
    Row(gd.scale_by_soap(0.9, 0.95, 0.1, every=2, skip_first=False)),
    Row(gd.soap(0.05, eps=0.1, weight_decay=0.1)),
    Row(
        gd.scale_by_soap(0.9, 0.95, 0.1, every=1, skip_first=False, fresh=True),
        label="scale_by_soap-fresh",
    ),
]


def refreshed(P, Q, V, axis):
    """SOAP's algorithm 4: a step of power iteration and QR, best directions first, V with them."""
    order = np.argsort(-np.diag(Q.T @ P @ Q), kind="stable")
    return np.linalg.qr(P @ Q[:, order])[0], np.take(V, order, axis)


def soap_direction(g, kept, t, *, b1, b2, b3, eps, frequency, longest, skip, fresh=False):
    """N of SOAP's algorithm 3 (Vyas et al. 2024) with Adam's corrections of the two averages."""
    if t == 0:
        kept["M"], kept["V"] = np.zeros_like(g), np.zeros_like(g)
        kept["Q"] = [np.eye(n) for n in g.shape]
        kept["P"] = [np.zeros((n, n)) for n in g.shape]
        rotated = g.ndim == 2 and min(g.shape) > 1
        kept["sides"] = [k for k in range(g.ndim) if rotated and g.shape[k] <= longest]
    Q, P = kept["Q"], kept["P"]

    def rotate(x, Q):
        for k in kept["sides"]:
            x = np.moveaxis(np.tensordot(Q[k], x, (0, k)), 0, k)
        return x

    def learn():
        for k in kept["sides"]:
            P[k] = b3 * P[k] + (1 - b3) * np.tensordot(g, g, (1 - k, 1 - k))
            if t == 0:
                Q[k] = np.linalg.eigh(P[k])[1][:, ::-1]
            elif t % frequency == 0:
                Q[k], kept["V"] = refreshed(P[k], Q[k], kept["V"], k)

    if fresh and t > 0:
        learn()
    N, taken = np.zeros_like(g), t + 1 - skip  # steps taken, this one too
    if taken > 0:
        kept["M"] = b1 * kept["M"] + (1 - b1) * g
        kept["V"] = b2 * kept["V"] + (1 - b2) * rotate(g, Q) ** 2
        M, V = rotate(kept["M"], Q) / (1 - b1**taken), kept["V"] / (1 - b2**taken)
        N = rotate(M / (np.sqrt(V) + eps), [q.T for q in Q])
    if not fresh or t == 0:
        learn()
    return N


def soap(
    gradient, theta0, steps, *, eta, b1=0.95, b2=0.95, b3=None, eps=1e-8, lam=0.0, frequency=10,
    longest=10000, skip=True, fresh=False,
):  # fmt: skip
    """SOAP; decoupled decay of the weights, which shrink in the first step too."""
    b3 = b2 if b3 is None else b3
    numbers = dict(b1=b1, b2=b2, b3=b3, eps=eps, frequency=frequency, longest=longest, skip=skip)
    numbers["fresh"] = fresh

    def rule(w, g, kept, t):
        return w - at(eta, t) * (soap_direction(g, kept, t, **numbers) + lam * w)

    return blockwise(gradient, theta0, steps, rule)


def refreshed_every(frequency, b3=None):
    return gd.soap(0.05, 0.9, 0.95, 1e-30, b3=b3, every=frequency)


AGREE = {
    "numpy-soap": Agree(gd.soap(halving(0.05)), rule(soap, eta=halving(0.05))),
    "numpy-soap-all": Agree(
        gd.soap(0.05, 0.8, 0.9, 0.1, 0.2, b3=0.7, every=3, skip_first=False),
        rule(soap, eta=0.05, b1=0.8, b2=0.9, eps=0.1, lam=0.2, b3=0.7, frequency=3, skip=False),
    ),
    "numpy-soap-fresh": Agree(
        gd.soap(0.05, every=1, eps=0.1, fresh=True),
        rule(soap, eta=0.05, frequency=1, eps=0.1, fresh=True),
    ),
    "numpy-soap-fresh-adam": Agree(
        gd.soap(0.05, every=2, eps=0.1, skip_first=False, fresh=True),
        rule(soap, eta=0.05, frequency=2, eps=0.1, skip=False, fresh=True),
    ),
    "numpy-scale_by_soap": Agree(
        descent(gd.scale_by_soap(every=1, max_precond_dim=2), eta=0.05),
        rule(soap, eta=0.05, frequency=1, longest=2),
    ),
    "pytorch_optimizer-soap": Agree(
        refreshed_every(100), recorded("precondition", "pytorch_optimizer/soap")
    ),
    # Its QR comes out less exact than float64, to 2e-6, where a basis is refreshed.
    "pytorch_optimizer-soap-refreshed": Agree(
        refreshed_every(3), recorded("precondition", "pytorch_optimizer/soap-refreshed"), 1e-5
    ),
    "heavyball-soap": Agree(refreshed_every(1000, 0.9), recorded("precondition", "heavyball/soap")),
    # To 2e-8 here.
    "heavyball-soap-refreshed": Agree(
        refreshed_every(1, 0.9), recorded("precondition", "heavyball/soap-refreshed"), 1e-7
    ),
}


@pytest.mark.parametrize("skip", [True, False])
def test_the_first_step_of_soap(skip):
    """Moves nothing and is not counted, or is Adam's."""
    tx, g = gd.soap(1.0, skip_first=skip), single(2, 3)
    u, state = tx.update({"w": g, "b": g[0]}, tx.init({"w": g, "b": g[0]}), {"w": g, "b": g[0]})
    expected = np.zeros((2, 3)) if skip else -np.sign(g)
    np.testing.assert_allclose(u["w"], expected, rtol=1e-5)
    np.testing.assert_allclose(u["b"], expected[0], rtol=1e-5)
    left, right = state[0].basis["w"]
    for q, p in ((left, g @ g.T), (right, g.T @ g)):
        d = q.T @ p @ q
        np.testing.assert_allclose(d, np.diag(np.diag(d)), atol=1e-5)
        assert (np.diff(np.diag(d)) < 1e-5).all()  # the largest first


def test_soap_does_not_see_signs_and_order_of_the_basis(x64):
    """Any signs, any order: one path, over steps that look up the basis and steps that do not."""
    tx = gd.scale_by_soap(every=2)
    grads = [jnp.asarray(normal(3, 4, seed=seed)) for seed in range(7)]
    state = tx.init(grads[0])
    for g in grads[:2]:
        _, state = tx.update(g, state)
    rows, columns = np.array([2, 0, 1]), np.array([1, 3, 0, 2])
    left, right = state.basis
    other = state._replace(
        basis=(
            left[:, rows] * np.array([[1.0, -1.0, -1.0]]),
            right[:, columns] * np.array([[-1.0, 1, 1, -1]]),
        ),
        nu=state.nu[rows][:, columns],
    )
    for g in grads[2:]:
        u, state = tx.update(g, state)
        v, other = tx.update(g, other)
        np.testing.assert_allclose(u, v, atol=1e-12)


PATHS = [
    (gd.soap(0.05), (6, 8)),
    (gd.soap(0.05), (2, 8)),
    (gd.soap(0.05, every=1), (8, 4)),
    (gd.soap(0.05), (6, 6)),
    (gd.soap_muon(0.05), (6, 8)),
    (gd.soap_muon(0.05, every=1), (8, 4)),
]


@pytest.mark.parametrize("case", first(3, PATHS), ids=str)
def test_the_path_does_not_depend_on_the_lapack(case, monkeypatch, x64):
    """The first statistics of a matrix that is not square have a null space: of any basis there."""
    tx, shape = case
    pull, push = jnp.asarray(normal(shape[0], shape[0])), jnp.asarray(normal(*shape, seed=1))
    gradient = lambda w, t: pull @ w + jnp.sin(3 * w + t.astype(w.dtype)) + push
    path = lambda: run(tx, gradient, jnp.asarray(normal(*shape, seed=2)), 20).path
    here = path()
    eigh = jnp.linalg.eigh
    monkeypatch.setattr(jnp.linalg, "eigh", lambda a: other_eigh(a, eigh))
    there = path()
    assert jnp.linalg.norm(here[-1] - here[0]) > 0.1
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-10)


def test_the_frequency_is_checked():
    with pytest.raises(ValueError, match="every"):
        gd.scale_by_soap(every=0).init(jnp.ones((2, 3)))

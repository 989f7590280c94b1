"""KL-Shampoo."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import over
from tests.oracles.problem import SHAPES
from tests.references import Agree, recordings, rule
from tests.transcription import descend_each

ROWS = [
    Row(gd.scale_by_kl_shampoo(every=2)),
    Row(gd.kl_shampoo(0.05, weight_decay=0.01)),
]


def kl_shampoo(
    gradient,
    theta0,
    steps,
    *,
    eta,
    b1=0.95,
    b2=0.95,
    eps=1e-8,
    every=10,
    factor=None,
    diagonal=(),
    lam=0.0,
):
    """KL-Shampoo with QR, Q and λ in place of S⁻¹ (Lin et al. 2025).

    `diagonal` are the sides, 0 or 1, of w whose S is kept as a diagonal; vectors have one such
    side. At first S_a ⊗ S_b is the mean squared entry of the gradient times I, both factors alike,
    or each is `factor` times I.
    """

    def floored(lam):
        return np.maximum(lam, eps * lam.max())

    def vector(shape):
        state = {}

        def rule(g, t):
            if t == 0:
                state["m"] = np.zeros(shape)
                state["v"] = np.full(shape, np.mean(g**2) if factor is None else factor)
            state["m"] = b1 * state["m"] + (1 - b1) * g
            state["v"] = b2 * state["v"] + (1 - b2) * g**2
            return state["m"] / (1 - b1 ** (t + 1)) / np.sqrt(floored(state["v"]))

        return rule

    def matrix(shape):
        s = {"M": np.zeros(shape)}

        def rule(G, t):
            if t == 0:
                first = np.sqrt(np.mean(G**2)) if factor is None else factor
                for side, d in zip("ab", shape):
                    s["S" + side], s["Q" + side] = first * np.eye(d), np.eye(d)
                    s["l" + side] = first * np.ones(d)
            (d_a, d_b), Qa, Qb = shape, s["Qa"], s["Qb"]
            delta_a = G @ Qb @ np.diag(1 / floored(s["lb"])) @ Qb.T @ G.T / d_b
            delta_b = G.T @ Qa @ np.diag(1 / floored(s["la"])) @ Qa.T @ G / d_a
            for k, (side, delta) in enumerate((("a", delta_a), ("b", delta_b))):
                Q = s["Q" + side]
                s["S" + side] = b2 * s["S" + side] + (1 - b2) * delta
                s["l" + side] = b2 * s["l" + side] + (1 - b2) * np.diag(Q.T @ delta @ Q)
                if t % every == 0 and k not in diagonal:
                    order = np.argsort(-np.diag(Q.T @ s["S" + side] @ Q), kind="stable")
                    s["Q" + side] = np.linalg.qr(s["S" + side] @ Q[:, order])[0]
                    s["l" + side] = s["l" + side][order]
            s["M"] = b1 * s["M"] + (1 - b1) * G
            roots = np.sqrt(np.outer(floored(s["la"]), floored(s["lb"])))
            turned = s["Qa"].T @ (s["M"] / (1 - b1 ** (t + 1))) @ s["Qb"]
            return s["Qa"] @ (turned / roots) @ s["Qb"].T

        return rule

    directions = {"w": matrix(SHAPES["w"]), "b": vector(SHAPES["b"])}
    return descend_each(gradient, theta0, steps, eta, directions, lam)


AGREE = {
    "numpy-kl_shampoo": Agree(gd.kl_shampoo(0.05), rule(kl_shampoo, eta=0.05)),
    "numpy-kl_shampoo-all": Agree(
        gd.kl_shampoo(0.05, 0.9, 0.8, 0.3, 0.1, every=3, init_factor=0.1),
        rule(kl_shampoo, eta=0.05, b1=0.9, b2=0.8, eps=0.3, lam=0.1, every=3, factor=0.1),
    ),
    "numpy-kl_shampoo-diagonal": Agree(
        gd.kl_shampoo(0.05, max_precond_dim=2, every=1),
        rule(kl_shampoo, eta=0.05, diagonal=(1,), every=1),
    ),
}


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


def test_kl_shampoo_does_not_see_the_scale(x64):
    """At first S fits the first gradient: no step depends on the units of the loss."""
    tx = gd.scale_by_kl_shampoo(every=2)
    gradients = jax.random.normal(jax.random.key(0), (6, 3, 2))
    one, million = (over(tx, scale * gradients)[0] for scale in (1.0, 1e6))
    np.testing.assert_allclose(one, million, rtol=1e-9)


def test_layers_in_a_stack_are_as_layers_apart(x64):
    tx = lambda axes: gd.scale_by_kl_shampoo(every=2, matrix_axes=axes)
    stacked = jax.random.normal(jax.random.key(0), (4, 3, 2, 3))
    apart = {str(i): stacked[:, i] for i in range(3)}
    together, _ = over(tx("n in out"), stacked)
    alone, _ = over(tx(None), apart)
    np.testing.assert_allclose(together, np.stack(list(alone.values()), 1), rtol=1e-12)


def test_complex_matrices():
    """A unit factor changes nothing: S is Hermitian."""
    g = jax.random.normal(jax.random.key(0), (5, 2, 3), jnp.complex64)
    tx = gd.scale_by_kl_shampoo(every=2)
    np.testing.assert_allclose(over(tx, 1j * g)[0], 1j * over(tx, g)[0], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_matrix_of_one_entry_takes_the_step_of_its_sign(shape):
    """It starts at the entry's square, whatever the size of the entry."""
    g, tx = jnp.full(shape, -7.0), gd.scale_by_kl_shampoo()
    np.testing.assert_allclose(tx.update(g, tx.init(g), g)[0], -1.0, rtol=1e-5)


def test_the_frequency_is_checked():
    with pytest.raises(ValueError, match="every must be at least 1"):
        gd.kl_shampoo(0.1, every=0)

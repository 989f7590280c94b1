"""Scion and unconstrained Scion."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import run, wave
from tests.optimizers.matrix.test_muon import orthogonal
from tests.references import Agree, halving, recorded, rule
from tests.transcription import at, by_tensor, column

ROWS = [
    Row(gd.scale_by_lmo("spectral")),
    Row(gd.scale_by_lmo("rows"), label="scale_by_lmo-rows"),
    Row(gd.scion(0.05, radius=0.5)),
    Row(gd.unconstrained_scion(0.05, radius=0.5)),
]


def oracle(norm, x, eps):
    """Minus the point of the unit ball of a norm that is farthest along −x; x is [in, out]."""
    rows, columns = x.shape
    if norm == "spectral":
        return np.sqrt(columns / rows) * orthogonal(x, eps)
    if norm == "sign":
        return np.sign(x) / rows
    if norm == "rows":  # of an embedding: what one input adds to the outputs has rms 1
        return np.sqrt(columns) * x / np.linalg.norm(x, axis=1, keepdims=True)
    if norm == "columns":  # inputs of rms 1 change no output by more than 1
        return x / np.linalg.norm(x, axis=0) / np.sqrt(rows)
    return x / np.sqrt(np.mean(x**2))


def scion(
    gradient, theta0, steps, *, eta, alpha, radii, norms=("spectral", "rms"), pull=1.0, eps=1e-8
):
    """SCG (Pethick et al. 2025, algorithm 2), or uSCG (algorithm 1) where `pull` is 0.

    x ← (1 − γ)x + γ·lmo(d) with d ← (1 − α)d + αg; the lmo of a ball of radius ρ.
    """

    def block(norm, radius):
        d = 0.0

        def rule(w, g, t):
            nonlocal d
            d = (1 - alpha) * d + alpha * g
            return (1 - pull * at(eta, t)) * w - at(eta, t) * radius * oracle(norm, d, eps)

        return rule

    w, b = (block(norm, radius) for norm, radius in zip(norms, radii))
    return by_tensor(gradient, theta0, steps, w=w, b=column(b))


def scions(norm, constrained=False, radius=0.7):
    """Scion by its parts, with a radius of its own for b."""
    mean = gd.ema(0.7, debias=False)
    oracle = lambda norm, rho: gd.chain(gd.scale_by_lmo(norm, eps=0.0), gd.scale(rho))
    parts = gd.partition({"w": "w", "b": "b"}, w=oracle(norm, radius), b=oracle("rms", 1.5))
    pull = gd.add_decayed_weights(1.0 if constrained else 0.0)
    return gd.chain(mean, parts, pull, gd.scale_by_learning_rate(0.05))


AGREE = {
    "numpy-scion": Agree(
        gd.scion(0.05, 0.7, 0.7), rule(scion, eta=0.05, alpha=0.3, radii=(0.7, 0.7))
    ),
    "numpy-scion-default": Agree(
        gd.scion(1e-3), rule(scion, eta=1e-3, alpha=0.1, radii=(50.0, 50.0))
    ),
    "numpy-scion-heads": Agree(
        gd.scion(halving(0.2), 0.7, 0.7, 2.0, norms={"w": "sign", "b": "rms"}),
        rule(scion, eta=halving(0.2), alpha=0.3, radii=(2.0, 0.7), norms=("sign", "rms")),
    ),
    "numpy-scion-columns": Agree(
        gd.scion(0.05, 0.7, 0.7, 2.0, norms=gd.by_label(columns="w", rms=True)),
        rule(scion, eta=0.05, alpha=0.3, radii=(2.0, 0.7), norms=("columns", "rms")),
    ),
    "numpy-unconstrained_scion": Agree(
        gd.unconstrained_scion(halving(0.2), 0.7, 0.7, norms={"w": "rows", "b": "rms"}, eps=1e-3),
        rule(scion, eta=halving(0.2), alpha=0.3, radii=(0.7, 0.7), norms=("rows", "rms"), pull=0.0),
    ),
    "numpy-unconstrained_scion-spectral": Agree(
        gd.unconstrained_scion(halving(0.2), 0.7, 0.7, eps=1e-2),
        rule(scion, eta=halving(0.2), alpha=0.3, radii=(0.7, 0.7), pull=0.0, eps=1e-2),
    ),
    "pytorch_optimizer-scion_spectral": Agree(
        scions("spectral"), recorded("muon_kin", "pytorch_optimizer/scion_spectral")
    ),
    "pytorch_optimizer-scion_sign": Agree(
        scions("sign"), recorded("muon_kin", "pytorch_optimizer/scion_sign")
    ),
    "pytorch_optimizer-scion_col": Agree(
        scions("rows"), recorded("muon_kin", "pytorch_optimizer/scion_col")
    ),
    "pytorch_optimizer-scion_row_constraint": Agree(
        scions("columns", True, 1.0), recorded("muon_kin", "pytorch_optimizer/scion_row_constraint")
    ),
    "pytorch_optimizer-scion_constraint": Agree(
        scions("spectral", True), recorded("muon_kin", "pytorch_optimizer/scion_constraint")
    ),
}


VECTOR = np.asarray([3.0, -4.0, 12.0, 84.0])
UNIT, SIGN = VECTOR / 85, np.sign(VECTOR)


def test_scion_stays_in_its_balls(x64):
    """Largest singular value √(out/in)·ρ of a map, rms ρ of each row of a table and of a vector."""
    params = {"embed": jnp.ones((5, 3)), "map": jnp.eye(3, 4), "head": jnp.ones((4, 5))}
    params["bias"] = jnp.ones(4)
    tx = gd.scion(0.2, 0.5, radius=2.0, head_radius=3.0, backend="svd")
    end = run(tx, wave, params, 80).params
    assert jnp.linalg.norm(end["map"], 2) <= 2 * (4 / 3) ** 0.5 * (1 + 1e-6)
    for x in (end["embed"], end["bias"]):
        assert jnp.all(jnp.sqrt(jnp.mean(x**2, -1)) <= 2 * (1 + 1e-6))
    assert jnp.max(jnp.abs(end["head"])) <= 3 / 4 * (1 + 1e-6)
    # One step of rate 1 is on the border: the oracle's own length is the radius.
    there = run(tx.replace(learning_rate=1.0), wave, params, 1).params
    np.testing.assert_allclose(jnp.linalg.norm(there["map"], 2), 2 * (4 / 3) ** 0.5, rtol=1e-10)
    np.testing.assert_allclose(jnp.mean(there["embed"] ** 2, -1), 4.0, rtol=1e-10)
    np.testing.assert_allclose(jnp.abs(there["head"]), 0.75, rtol=1e-10)
    np.testing.assert_allclose(jnp.mean(there["bias"] ** 2), 4.0, rtol=1e-10)


@pytest.mark.parametrize(
    ("norm", "of_row", "of_column"),
    [
        ("spectral", 2 * UNIT, UNIT / 2),
        ("sign", SIGN, SIGN / 4),
        ("rows", 2 * UNIT, SIGN),
        ("columns", SIGN, UNIT / 2),
        ("rms", 2 * UNIT, 2 * UNIT),
    ],
)
def test_matrices_of_one_row_or_column(norm, of_row, of_column):
    """[1, 4] and [4, 1], in and out."""
    tx, g = gd.scale_by_lmo(norm, "svd"), jnp.asarray(VECTOR)
    for got, expected in ((g[None], of_row[None]), (g[:, None], of_column[:, None])):
        np.testing.assert_allclose(tx.update(got, gd.EmptyState())[0], expected, rtol=1e-5)


def test_the_name_of_the_norm_is_checked():
    with pytest.raises(ValueError, match="norm must be one of spectral, sign"):
        gd.scale_by_lmo("nuclear")

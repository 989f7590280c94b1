"""Matrices normalized in a norm."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.transforms.matrix_norms import SIZES
from tests.cases import Row
from tests.helpers import normal
from tests.references import Agree, descent, rule
from tests.transcription import at, by_tensor, column

ROWS = [
    Row(gd.normalize_matrices("columns")),
    Row(gd.normalize_matrices("spectral"), label="normalize_matrices-spectral"),
    Row(gd.scale_to_rms(0.5)),
]


def normalized(gradient, theta0, steps, *, eta, norm, eps=0.0):
    """Descent along gradients whose columns, rows, Frobenius, rms or spectral norm is 1."""

    def rule(w, g, t):
        if norm in ("columns", "rows"):
            length = np.sqrt(np.sum(g**2, 0 if norm == "columns" else 1, keepdims=True))
        elif norm == "frobenius":
            length = np.sqrt(np.sum(g**2))
        elif norm == "rms":
            length = np.sqrt(np.mean(g**2))
        else:
            length = np.linalg.svd(g, compute_uv=False)[0]
        return w - at(eta, t) * g / (length + eps)

    return by_tensor(gradient, theta0, steps, w=rule, b=column(rule))


AGREE = {
    "numpy-normalize_matrices-columns": Agree(
        descent(gd.normalize_matrices("columns"), eta=0.05),
        rule(normalized, eta=0.05, norm="columns"),
    ),
    "numpy-normalize_matrices-rows": Agree(
        descent(gd.normalize_matrices("rows"), eta=0.05), rule(normalized, eta=0.05, norm="rows")
    ),
    "numpy-normalize_matrices-frobenius": Agree(
        descent(gd.normalize_matrices("frobenius"), eta=0.05),
        rule(normalized, eta=0.05, norm="frobenius"),
    ),
    "numpy-normalize_matrices-rms": Agree(
        descent(gd.normalize_matrices("rms"), eta=0.05), rule(normalized, eta=0.05, norm="rms")
    ),
    "numpy-normalize_matrices-spectral": Agree(
        descent(gd.normalize_matrices("spectral"), eta=0.05),
        rule(normalized, eta=0.05, norm="spectral"),
    ),
}


def scaled(gradient, theta0, steps, *, eta, r):
    """Descent along gradients of matrices of root mean square r, and along those of vectors."""
    matrix = lambda w, g, t: w - at(eta, t) * at(r, t) * g / np.sqrt(np.mean(g**2))
    vector = lambda w, g, t: w - at(eta, t) * g
    return by_tensor(gradient, theta0, steps, w=matrix, b=vector)


AGREE["numpy-scale_to_rms"] = Agree(
    descent(gd.scale_to_rms(0.4), eta=0.05), rule(scaled, eta=0.05, r=0.4)
)

LINE = gd.matrix_axes({"stack": "n in out"})
OF_ONE_RMS = {
    "soap": gd.soap(1.0, skip_first=False, consistent_rms=0.3, matrix_axes=LINE),
    "kl_shampoo": gd.kl_shampoo(1.0, consistent_rms=0.3, matrix_axes=LINE),
    "shampoo": gd.shampoo(1.0, consistent_rms=0.3, matrix_axes=LINE),
    "kron": gd.kron(1.0, consistent_rms=0.3, matrix_axes=LINE),
    "dion2": gd.dion2(1.0, consistent_rms=0.3, matrix_axes=LINE),
    "muon": gd.muon(1.0, "svd", consistent_rms=0.3, matrix_axes=LINE),
    "normuon": gd.normuon(1.0, rms=0.3, matrix_axes=LINE),
}


@pytest.mark.parametrize("name", OF_ONE_RMS)
def test_updates_of_matrices_have_the_same_rms_in_all_optimizers(name):
    params = {"stack": jnp.asarray(normal(2, 5, 3, seed=1))}
    tx = OF_ONE_RMS[name].replace(weight_decay=0.0)
    u, _ = jax.jit(tx.update)(params, tx.init(params), params)
    found = [jnp.sqrt(jnp.mean(x**2)) for x in u["stack"]]
    np.testing.assert_allclose(found, 0.3, rtol=1e-4)


def test_the_largest_singular_value_of_many_alike():
    """Its square is a small share of the sum of squares by which it is found."""
    g = 3.0 * jnp.eye(8)
    u, _ = gd.normalize_matrices("spectral").update(g, gd.EmptyState())
    np.testing.assert_allclose(u, np.eye(8), atol=1e-6)


@pytest.mark.parametrize("norm", SIZES)
def test_a_matrix_of_one_entry_becomes_its_sign(norm):
    g = jnp.asarray([[-3.0]])
    u, _ = gd.normalize_matrices(norm).update(g, gd.EmptyState())
    np.testing.assert_allclose(u, [[-1.0]], rtol=1e-6)


def test_the_name_of_the_norm_is_checked():
    with pytest.raises(ValueError, match="norm must be one of frobenius, rms"):
        gd.normalize_matrices("nuclear")


@pytest.mark.parametrize("size", ["rows", "columns"])
def test_rows_or_columns_have_length_1(size):
    g = np.array([[3.0, 0.0], [4.0, 2.0], [0.0, 0.0]], np.float32)
    u = gd.normalize_matrices(size).update(g, gd.EmptyState())[0]
    length = np.linalg.norm(u, axis=1 if size == "rows" else 0)
    np.testing.assert_allclose(length, [1, 1, 0] if size == "rows" else [1, 1], rtol=1e-6)
    stacked = gd.normalize_matrices(size, matrix_axes="n in out")
    both = stacked.update(np.stack([g, 2 * g]), gd.EmptyState())[0]
    np.testing.assert_allclose(both, np.stack([u, u]), rtol=1e-6)

"""Muon."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, halving, recorded, rule
from tests.transcription import adamw_of_tensor, at, by_tensor, column

ROWS = [
    Row(gd.muon(0.05)),
    Row(
        gd.muon(0.05, "dion", weight_decay=0.1, adam_learning_rate=0.01, consistent_rms=0.2),
        label="muon-dion",
    ),
    Row(gd.scale_by_muon(b1=0.9)),
    Row(
        gd.scale_by_muon(adaptive=True, preconditioning="spectral"), label="scale_by_muon-spectral"
    ),
    Row(gd.scale_by_muon(preconditioning="schatten"), label="scale_by_muon-schatten"),
    Row(gd.scale_by_muon(preconditioning="aol", nesterov=False), label="scale_by_muon-aol"),
    Row(gd.scale_by_shape()),
]


def mean_gradient(beta, nesterov=True):
    """A function from (g, t) to the mean of the gradients without bias, or one step ahead."""
    m = 0.0

    def mean(g, t):
        nonlocal m
        m = beta * m + (1 - beta) * g
        if nesterov:
            return (beta * m + (1 - beta) * g) / (1 - beta ** (t + 2))
        return m / (1 - beta ** (t + 1))

    return mean


QUINTIC = ((3.4445, -4.7750, 2.0315),) * 5


def orthogonal(m, eps=0.0, coefficients=QUINTIC, scaling="frobenius"):
    """Jordan's iteration on m / (‖m‖ + ε), or on what other norms scale m to."""
    tall = m.shape[0] > m.shape[1]
    x = m.T if tall else m
    if scaling == "frobenius":
        x = x / (np.linalg.norm(x) + eps)
    elif scaling == "spectral":
        x = x / np.linalg.norm(x, 2)
    elif scaling == "schatten":
        x = x / np.sum(np.linalg.svd(x, compute_uv=False) ** 4) ** 0.25
    elif scaling == "aol":
        x = np.diag(np.abs(x @ x.T).sum(1) ** -0.5) @ x
    for a, b, c in coefficients:
        gram = x @ x.T
        x = a * x + b * gram @ x + c * gram @ gram @ x
    return x.T if tall else x


def muon(
    gradient,
    theta0,
    steps,
    *,
    eta,
    beta=0.95,
    coefficients=QUINTIC,
    eps=1e-8,
    nesterov=True,
    adaptive=False,
    scaling="frobenius",
    lam=0.0,
    consistent=None,
    adam=None,
    transposed=False,
):
    """Muon (Jordan et al. 2024) of the block w, [in, out], and AdamW of the block b.

    `adam` has its rate, two decays, eps and decay of the weights; None is Muon of b as a column.
    """

    def by_muon():
        mean = mean_gradient(beta, nesterov)

        def rule(w, g, t):
            m = mean(g, t)
            u = orthogonal(m, eps, coefficients, scaling)
            u = u * np.sum(u * m) if adaptive else u
            rows, columns = w.shape[::-1] if transposed else w.shape
            if consistent is None:
                u = u * np.sqrt(max(1.0, columns / rows))
            else:
                u = u * consistent * np.sqrt(max(rows, columns))
            return w - at(eta, t) * (u + lam * w)

        return rule

    b = column(by_muon()) if adam is None else adamw_of_tensor(*adam)
    return by_tensor(gradient, theta0, steps, w=by_muon(), b=b)


# Published with Dion; five triples that raise small singular values faster.
DION = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)

ADAM = {
    "adam_b1": 0.8,
    "adam_b2": 0.99,
    "adam_weight_decay": 0.1,
    "adam_learning_rate": 0.02,
}

AGREE = {
    "torch-muon": Agree(
        gd.muon(0.05, eps=0.0, weight_decay=0.1, **ADAM), recorded("muon_kin", "torch/muon")
    ),
    "torch-muon_plain": Agree(
        gd.muon(0.05, b1=0.8, eps=0.0, nesterov=False, **ADAM),
        recorded("muon_kin", "torch/muon_plain"),
    ),
    "torch-muon_rms": Agree(
        gd.muon(0.05, steps=3, eps=0.0, weight_decay=0.1, consistent_rms=0.2, **ADAM),
        recorded("muon_kin", "torch/muon_rms"),
    ),
    "numpy-muon": Agree(
        gd.muon(halving(0.05)),
        rule(muon, eta=halving(0.05), adam=(halving(0.05), 0.9, 0.999, 1e-8, 0.0)),
    ),
    "numpy-muon-all": Agree(
        gd.muon(
            0.02,
            (3.4, -4.7, 2.0),
            3,
            0.8,
            0.1,
            0.1,
            nesterov=False,
            adam_b1=0.7,
            adam_b2=0.99,
            adam_weight_decay=0.2,
            adam_learning_rate=halving(0.05),
            consistent_rms=0.3,
        ),
        rule(
            muon,
            eta=0.02,
            beta=0.8,
            coefficients=((3.4, -4.7, 2.0),) * 3,
            eps=0.1,
            nesterov=False,
            lam=0.1,
            consistent=0.3,
            adam=(halving(0.05), 0.7, 0.99, 0.1, 0.2),
        ),
    ),
    "numpy-muon-transposed": Agree(
        gd.muon(
            0.02,
            "dion",
            matrix_axes={"w": "out in", "b": None},
        ),
        rule(
            muon,
            eta=0.02,
            coefficients=DION,
            transposed=True,
            adam=(0.02, 0.9, 0.999, 1e-8, 0.0),
        ),
    ),
    "numpy-muon-adaptive": Agree(
        descent(gd.scale_by_muon(adaptive=True, preconditioning="spectral"), gd.scale_by_shape()),
        rule(muon, eta=0.3, adaptive=True, scaling="spectral"),
    ),
    "numpy-muon-schatten": Agree(
        descent(gd.scale_by_muon(preconditioning="schatten"), gd.scale_by_shape(), eta=0.05),
        rule(muon, eta=0.05, scaling="schatten"),
    ),
    "numpy-muon-aol": Agree(
        descent(gd.scale_by_muon(preconditioning="aol"), gd.scale_by_shape(), eta=0.05),
        rule(muon, eta=0.05, scaling="aol"),
    ),
    # Keras rounds rates and decays to float32.
    "keras-muon": Agree(
        gd.muon(
            0.0625,
            b1=0.9,
            eps=1e-30,
            weight_decay=0.125,
            adam_weight_decay=0.125,
            consistent_rms=0.2,
        ),
        recorded("factored", "keras/muon"),
        1e-6,
    ),
}


def test_muon_makes_singular_values_one():
    g = jax.random.normal(jax.random.key(0), (3, 20, 10))
    tx = gd.scale_by_muon("dion", matrix_axes="n in out")
    updates, _ = tx.update(g, tx.init(g))
    values = jnp.linalg.svd(updates, compute_uv=False)
    assert float(jnp.abs(values - 1).max()) < 0.15
    with pytest.raises(ValueError, match="matrix_axes"):
        gd.scale_by_muon().update(g, gd.scale_by_muon().init(g))


def test_muon_takes_their_names():
    params = {"w": jnp.array([[3.0, 0.5], [0.0, 0.1]])}
    tx = gd.muon(1.0, "polar_express", 8)
    u, _, v = np.linalg.svd(params["w"])
    np.testing.assert_allclose(
        tx.update(params, tx.init(params), params)[0]["w"], -u @ v, atol=1e-3
    )
    names = "one of standard, dion, classical, polar_express, cans, deepseek"
    with pytest.raises(ValueError, match=names):
        gd.muon(1.0, "polar")
    with pytest.raises(ValueError, match="steps of 'deepseek' must be 3 or more"):
        gd.muon(1.0, "deepseek", 2)

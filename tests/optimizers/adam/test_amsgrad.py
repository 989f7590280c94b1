"""AMSGrad."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import updates_of
from tests.references import BETAS, ROOT, Agree, recorded, rule
from tests.transcription import descend

ROWS = [
    Row(gd.amsgrad(0.1, b1=0.8)),
    Row(gd.amsgrad(0.1, bias_correction_mu=False, bias_correction_nu=False), label="amsgrad-paper"),
    Row(gd.amsgrad(0.1, bias_correction_nu=False, bias_correction_max=True), label="amsgrad-torch"),
    Row(gd.scale_by_amsgrad(0.9, 0.99)),
]


def amsgrad(
    gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, form="optax"
):
    """AMSGrad (Reddi et al. 2018, algorithm 2); `form` says what is corrected for its start.

    In the paper nothing is. optax takes the largest of the corrected v, torch corrects the largest.
    """
    m, v, largest = np.zeros_like(theta0), np.zeros_like(theta0), np.zeros_like(theta0)

    def direction(g, t):
        nonlocal m, v, largest
        c1, c2 = 1 - b1 ** (t + 1), 1 - b2 ** (t + 1)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        largest = np.maximum(largest, v / c2 if form == "optax" else v)
        mean = m if form == "paper" else m / c1
        square = largest / c2 if form == "torch" else largest
        return mean / (np.sqrt(square + eps_root) + eps)

    return descend(gradient, theta0, steps, eta, direction)


AGREE = {
    "torch-amsgrad": Agree(
        gd.amsgrad(0.05, **BETAS, bias_correction_nu=False, bias_correction_max=True),
        recorded("adam_kin", "torch/amsgrad"),
    ),
    "optax-amsgrad": Agree(gd.amsgrad(0.05, **ROOT), recorded("adam_kin", "optax/amsgrad")),
    "optax-amsgrad_paper": Agree(
        gd.amsgrad(0.05, **ROOT, bias_correction_mu=False, bias_correction_nu=False),
        recorded("adam_kin", "optax/amsgrad_paper"),
    ),
    "numpy-amsgrad": Agree(gd.amsgrad(0.05), rule(amsgrad, eta=0.05)),
    "numpy-amsgrad-root": Agree(gd.amsgrad(0.05, **ROOT), rule(amsgrad, eta=0.05, **ROOT)),
    "numpy-amsgrad-paper": Agree(
        gd.amsgrad(0.05, **ROOT, bias_correction_mu=False, bias_correction_nu=False),
        rule(amsgrad, eta=0.05, **ROOT, form="paper"),
    ),
    "numpy-amsgrad-torch": Agree(
        gd.amsgrad(0.05, **ROOT, bias_correction_nu=False, bias_correction_max=True),
        rule(amsgrad, eta=0.05, **ROOT, form="torch"),
    ),
}


def end_of_reddis_example(tx):
    """Where a rule takes x in [-1, 1]: gradients are 3, −1, −1, and so on, so −1 is the best."""

    def body(carry, t):
        x, state = carry
        g = jnp.where(t % 3 == 0, 3.0, -1.0)
        x, state = tx.step(g, state, x)
        return (jnp.clip(x, -1, 1), state), None

    x = jnp.ones([])
    (x, _), _ = jax.lax.scan(body, (x, tx.init(x)), jnp.arange(3000))
    return x


def test_amsgrad_of_the_paper_solves_its_counterexample_and_adam_does_not():
    """Reddi, Kale and Kumar 2018, theorem 1: C = 3, b1 = 0, b2 = 1 / (1 + C²), η / √t."""
    rate = lambda t: 0.5 / jnp.sqrt(t.astype(float) + 1)
    b2 = 1 / (1 + 3**2)
    flags = {"bias_correction_mu": False, "bias_correction_nu": False}
    assert end_of_reddis_example(gd.adam(rate, b1=0.0, b2=b2)) > 0.9
    assert end_of_reddis_example(gd.amsgrad(rate, b1=0.0, b2=b2, **flags)) < -0.9


def test_denominators_of_the_paper_never_shrink_and_those_of_torch_do():
    grads = jnp.asarray([[1.0], [0.1], [0.1]])
    forms = (
        {"bias_correction_mu": False, "bias_correction_nu": False},
        {"bias_correction_nu": False, "bias_correction_max": True},
    )
    paper, torch = (
        jnp.abs(grads / updates_of(gd.scale_by_amsgrad(0.0, 0.5, 0.0, **flags), grads))
        for flags in forms
    )
    assert np.all(np.diff(paper[:, 0]) >= 0) and np.all(np.diff(torch[:, 0]) < 0)

"""Adam and AdamW."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import path_from
from tests.optimizers.adam.test_nadam import nadam
from tests.references import ROOT, Agree, descent, halving, real, recorded, rule
from tests.transcription import adam_direction, descend

ROWS = [
    Row(gd.adam(0.1, b1=0.8)),
    Row(gd.adam(0.1, mu_dtype=jnp.bfloat16), label="adam-bfloat16"),
    Row(gd.adamw(0.1, b2=0.99, weight_decay=0.01)),
    Row(gd.scale_by_adam(0.9, 0.99)),
    Row(gd.adam(0.1, nesterov=True), label="adam-nesterov"),
]


def adam(
    gradient,
    theta0,
    steps,
    *,
    eta,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    product_debias=False,
):
    """Adam, θ ← θ − η m̂ / (√(v̂ + eps_root) + eps) (Kingma and Ba 2014; there eps_root is 0)."""
    direction = adam_direction(b1, b2, eps, eps_root, product_debias=product_debias)
    return descend(gradient, theta0, steps, eta, direction)


def adamw(gradient, theta0, steps, *, eta, lam, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0):
    """Adam with decay scaled by the rate, θ ← θ − η(û + λθ), as torch and optax have AdamW."""
    direction = adam_direction(b1, b2, eps, eps_root)
    return descend(gradient, theta0, steps, eta, direction, lam)


def rising(t):
    return 0.9 + 0.099 * real(t) / 60


AGREE = {
    # torch 2.13.0: eps beside the root, decay of AdamW by the rate.
    "torch-adam": Agree(gd.adam(0.05), recorded("seminar", "adam")),
    "torch-adam_eps_1e-3": Agree(gd.adam(0.05, eps=1e-3), recorded("seminar", "adam_eps_1e-3")),
    "torch-adamw_0.01": Agree(gd.adamw(0.05, weight_decay=0.01), recorded("seminar", "adamw_0.01")),
    "torch-adamw_0.1": Agree(gd.adamw(0.05, weight_decay=0.1), recorded("seminar", "adamw_0.1")),
    "torch-adamw_betas_0.8_0.95": Agree(
        gd.adamw(0.05, 0.8, 0.95, weight_decay=0.01), recorded("seminar", "adamw_betas_0.8_0.95")
    ),
    "numpy-adam": Agree(gd.adam(0.05), rule(adam, eta=0.05)),
    "numpy-adam-eps-root": Agree(
        gd.adam(0.05, 0.8, 0.9, 1e-4, 1e-3),
        rule(adam, eta=0.05, b1=0.8, b2=0.9, eps=1e-4, eps_root=1e-3),
    ),
    "numpy-adam-b1-zero": Agree(gd.adam(0.05, b1=0.0), rule(adam, eta=0.05, b1=0.0)),
    "numpy-adam-b2-schedule": Agree(
        gd.adam(halving(0.05), b2=rising), rule(adam, eta=halving(0.05), b2=rising)
    ),
    "numpy-scale_by_adam": Agree(descent(gd.scale_by_adam(), eta=0.05), rule(adam, eta=0.05)),
    "numpy-adamw": Agree(gd.adamw(0.05, weight_decay=0.1), rule(adamw, eta=0.05, lam=0.1)),
    "numpy-adamw-schedule": Agree(
        gd.adamw(halving(0.05), weight_decay=0.1), rule(adamw, eta=halving(0.05), lam=0.1)
    ),
    "numpy-adam-nesterov": Agree(
        gd.adam(0.05, **ROOT, nesterov=True), rule(nadam, eta=0.05, **ROOT)
    ),
    "numpy-adamw-nesterov": Agree(
        gd.adamw(0.05, **ROOT, weight_decay=0.1, nesterov=True),
        rule(nadam, eta=0.05, **ROOT, lam=0.1),
    ),
}


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_first_step_of_adam_is_the_rate_times_the_sign(scale, x64):
    grads = jnp.asarray([3.0, -0.5, 0.0]) * scale
    tx = gd.adam(0.01, eps=0.0)
    updates, _ = tx.update(grads, tx.init(grads))
    np.testing.assert_allclose(updates, -0.01 * np.sign(grads), rtol=1e-14)


def test_adam_moves_by_about_the_rate_at_most():
    key = jax.random.key(0)
    grads = jax.random.normal(key, (200, 50)) * 10 ** jax.random.normal(key, (1, 50))
    tx = gd.adam(0.01)

    def body(state, g):
        updates, state = tx.update(g, state)
        return state, updates

    _, updates = jax.lax.scan(body, tx.init(grads[0]), grads)
    assert jnp.max(jnp.abs(updates)) < 0.01 * 1.5


def test_zero_gradients_under_adamw_shrink_exactly(x64):
    params = jnp.asarray([1.0, -3.0])
    path = path_from(gd.adamw(0.1, weight_decay=0.2), jnp.zeros_like, params, 40)
    expected = np.asarray(params) * (1 - 0.1 * 0.2) ** np.arange(41)[:, None]
    np.testing.assert_allclose(path, expected, rtol=1e-13)

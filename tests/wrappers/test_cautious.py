"""Cautious updates."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, recorded, rule
from tests.transcription import adam_direction, descend, each_tensor

ROWS = [
    Row(gd.cautious(gd.adam(0.1))),
]


def _cautious(u, g, xi):
    """Where step and gradient agree, scaled by d / (agreeing + ξ); of one tensor."""
    agree = u * g > 0
    return u * agree * (agree.size / (agree.sum() + xi)) if agree.any() else np.zeros_like(u)


def cautious_adam(gradient, theta0, steps, *, eta, b1, b2, eps=1e-8, xi=1.0, lam=0.0):
    """Liang et al. 2024, C-AdamW, algorithm 2."""
    adam = adam_direction(b1, b2, eps)

    def direction(g, t):
        return each_tensor(lambda u, g: _cautious(u, g, xi), adam(g, t), g)

    return descend(gradient, theta0, steps, eta, direction, lam)


def cautious_momentum(gradient, theta0, steps, *, eta, mu, xi=1.0):
    """The same on the heavy ball."""
    v = np.zeros(len(theta0))

    def direction(g, t):
        nonlocal v
        v = mu * v + g
        return each_tensor(lambda u, g: _cautious(u, g, xi), v, g)

    return descend(gradient, theta0, steps, eta, direction)


AGREE = {
    "torch-timm_cautious_adamw": Agree(
        gd.chain(gd.cautious(gd.adam(0.05, 0.9, 0.99), xi=0.0), gd.decay_weights(0.05 * 0.1)),
        recorded("modern", "torch/timm_cautious_adamw"),
    ),
    "numpy-cautious": Agree(
        gd.chain(gd.cautious(gd.adam(0.05, b2=0.99)), gd.decay_weights(0.05 * 0.1)),
        rule(cautious_adam, eta=0.05, b1=0.9, b2=0.99, lam=0.1),
    ),
    "numpy-cautious-momentum": Agree(
        gd.cautious(gd.sgd(0.05, 0.9), 0.5), rule(cautious_momentum, eta=0.05, mu=0.9, xi=0.5)
    ),
}


def test_cautious_goes_with_the_gradient_and_keeps_tiny_signs():
    tx = gd.cautious(gd.sgd(1e-3, momentum=0.9))
    state = tx.init(jnp.zeros(3))
    for g in (jnp.array([1.0, 1.0, 1e-30]), jnp.array([1.0, -0.5, 1e-30])):
        updates, state = tx.update(g, state)
    assert updates[0] < 0 and updates[1] == 0 and updates[2] < 0


def test_cautious_takes_what_is_at_a_right_angle_for_against():
    tx, params = gd.cautious(gd.scale(-1j)), jnp.ones(2, complex)
    updates, _ = tx.update(jnp.array([1.0 + 0j, 2.0j]), tx.init(params), params)
    np.testing.assert_array_equal(updates, 0)
    tx, params = gd.cautious(gd.sgd(1.0)), jnp.ones(2)
    updates, _ = tx.update(jnp.array([1.0, 0.0]), tx.init(params), params)
    np.testing.assert_allclose(updates, [-1.0, 0.0])  # one of two agrees: 2 / (1 + 1)


def test_passes_extra_arguments_on():
    assert gd.cautious(gd.hutchinson_estimator_diag_hessian()).extra_args["obj_fn"] is True


def test_derivatives_are_finite_where_nothing_agrees():
    """With ξ = 0 the sum that is divided by is 0 there."""
    tx = gd.cautious(gd.scale(1.0), xi=0.0)  # all updates have the sign of the gradient
    total = lambda g: jnp.sum(tx.update(g, tx.init(g))[0])
    for g in (jnp.zeros(3), jnp.ones(3)):
        assert total(g) == 0 and not jax.grad(total)(g).any()


@pytest.mark.parametrize("dtype", [float, complex])
def test_without_a_gradient_nothing_agrees(dtype):
    """As under momentum: the update is not 0 where the gradient is."""
    tx = gd.cautious(gd.chain(gd.add_decayed_weights(1.0)))
    x = jnp.array([1.0, -1.0], dtype)
    assert tx.update(jnp.zeros(2, dtype), tx.init(x), x)[0].tolist() == [0, 0]

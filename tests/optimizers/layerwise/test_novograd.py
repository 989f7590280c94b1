"""NovoGrad."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import updates_of
from tests.oracles.problem import join, split
from tests.references import Agree, halving, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.novograd(0.05, b1=0.8, b2=0.3, weight_decay=0.01)),
    Row(gd.scale_by_novograd(0.9, 0.3)),
]


def novograd(gradient, theta0, steps, *, eta, b1=0.9, b2=0.25, eps=1e-8, eps_root=0.0, lam=0.0):
    """NovoGrad (Ginsburg et al. 2019, algorithm 1), each array of the problem a layer."""
    m = {name: 0.0 for name in ("w", "b")}
    v = {name: None for name in ("w", "b")}

    def step(theta, t):
        weights, grads = split(theta), split(gradient(theta, t))
        for name, g in grads.items():
            square = np.sum(g**2)
            v[name] = square if t == 0 else b2 * v[name] + (1 - b2) * square
            scaled = g / (np.sqrt(v[name] + eps_root) + eps)
            m[name] = b1 * m[name] + (scaled + lam * weights[name])
        return theta - at(eta, t) * join(m)

    return trajectory(theta0, steps, step)


AGREE = {
    "torch_optimizer-novograd": Agree(
        gd.novograd(0.05, 0.8, 0.25, 1e-2, weight_decay=0.1),
        recorded("adam_kin", "torch_optimizer/novograd"),
    ),
    "optax-novograd": Agree(
        gd.novograd(0.05, 0.8, 0.3, 1e-2, 1e-3, 0.1), recorded("adam_kin", "optax/novograd")
    ),
    "numpy-novograd": Agree(gd.novograd(0.05), rule(novograd, eta=0.05, eps=1e-6)),
    "numpy-novograd-decay": Agree(
        gd.novograd(halving(0.05), 0.8, 0.3, 1e-2, 1e-3, 0.1),
        rule(novograd, eta=halving(0.05), b1=0.8, b2=0.3, eps=1e-2, eps_root=1e-3, lam=0.1),
    ),
}


def test_novograd_decays_at_zero_gradients_and_has_a_slope_there():
    params = jnp.asarray([2.0, -4.0])
    tx = gd.novograd(0.1, eps=0.0, weight_decay=0.5)
    moves = updates_of(tx, jnp.zeros((2, 2)), params)
    np.testing.assert_allclose(moves, [-0.05 * params, -0.095 * params], rtol=1e-6)
    slope = jax.grad(lambda s: updates_of(tx, s * jnp.ones((2, 2)), params).sum())(0.0)
    assert jnp.isfinite(slope)

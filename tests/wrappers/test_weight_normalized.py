"""Weight normalization inside the optimizer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import normal
from tests.references import Agree, rule
from tests.transcription import adam_direction, at, by_tensor, column

ROWS = [
    Row(gd.weight_normalized(gd.sgd(0.1, momentum=0.9), gd.adam(0.1))),
]


def weight_normalized(gradient, theta0, steps, *, eta, beta, rate, adam):
    """Momentum of V and Adam of g (Salimans and Kingma 2016, equations 2 and 3).

    V and g are kept, and the weights made of them in each step; columns are the neurons.
    """

    def matrix():
        v = g = None
        velocity, direction = 0.0, adam_direction(*adam)

        def step(w, dw, t):
            nonlocal v, g, velocity
            if v is None:
                v, g = w.copy(), np.linalg.norm(w, axis=0)
            size = np.linalg.norm(v, axis=0)
            dg = np.sum(dw * v, axis=0) / size
            dv = g / size * dw - g * dg / size**2 * v
            velocity = beta * velocity + dv
            v = v - at(eta, t) * velocity
            g = g - rate * direction(dg, t)
            return g * v / np.linalg.norm(v, axis=0)

        return step

    return by_tensor(gradient, theta0, steps, w=matrix(), b=column(matrix()))


AGREE = {
    "numpy-weight_normalized": Agree(
        gd.weight_normalized(gd.sgd(0.05, momentum=0.9), gd.adam(0.02, 0.8, 0.99, 1e-3)),
        rule(weight_normalized, eta=0.05, beta=0.9, rate=0.02, adam=(0.8, 0.99, 1e-3)),
    ),
}


def test_it_trains_a_weight_normalized_model(x64):
    """The same steps as a model whose parameters are V and g, by its own gradients."""
    w, target = (jnp.asarray(normal(2, 3, 4, seed=seed)) for seed in (0, 1))
    norm = lambda v: jnp.linalg.norm(v, axis=1, keepdims=True)
    weights = lambda p: p["g"] * p["v"] / norm(p["v"])
    loss = lambda w: jnp.sum((jnp.tanh(w) - target) ** 4)
    pair = lambda: {"direction": gd.chain(gd.trace(0.9), gd.sgd(0.01)), "magnitude": gd.adam(0.02)}
    tx = gd.weight_normalized(**pair(), matrix_axes="n in out")
    by_hand = gd.partition(
        {"v": "direction", "g": "magnitude"},
        **pair(),
    )
    model = {"v": w, "g": norm(w)}
    state, other = tx.init(w), by_hand.init(model)
    for _ in range(20):
        w, state = tx.step(jax.grad(loss)(w), state, w)
        grads = jax.grad(lambda p: loss(weights(p)))(model)
        model, other = by_hand.step(grads, other, model)
        np.testing.assert_allclose(w, weights(model), rtol=1e-9)


def test_neurons_of_zero_weights_stay_zero_and_their_derivatives_are_finite():
    tx = gd.weight_normalized(gd.sgd(0.1), gd.adam(0.1))
    w = jnp.array([[0.0, 1.0], [0.0, 2.0]])
    moved = lambda g: tx.step(g, tx.init(w), w)[0]
    after = moved(jnp.ones((2, 2)))
    np.testing.assert_array_equal(after[:, 0], 0)
    assert np.all(after[:, 1] != w[:, 1])
    assert np.isfinite(jax.jacobian(moved)(jnp.ones((2, 2)))).all()
    with pytest.raises(ValueError, match="weight_normalized: update needs the parameters"):
        tx.update(w, tx.init(w))

"""Adafactor."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, halving, real, recorded, rule
from tests.transcription import at, blockwise

ROWS = [
    Row(gd.scale_by_factored_rms()),
    Row(gd.scale_by_factored_rms(min_dim_size_to_factor=2), label="scale_by_factored_rms-factored"),
    Row(gd.adafactor(0.05)),
    Row(
        gd.adafactor(0.05, 2, momentum=0.9, weight_decay_rate=0.1, decay_offset=1),
        label="adafactor-all",
    ),
]


def rms(x):
    return np.sqrt(np.mean(x**2))


def root_of_squares(square, kept, beta, eps, names, factored):
    """√V̂ of Adafactor's algorithm 4, line 7, or of the plain average."""
    square = square + eps
    if not factored:
        v = beta * kept.get("v", 0.0) + (1 - beta) * square
        kept["v"] = v
        return np.sqrt(v)
    row, column = names
    ones_m, ones_n = np.ones(square.shape[1]), np.ones(square.shape[0])
    r = beta * kept.get(row, 0.0) + (1 - beta) * square @ ones_m
    c = beta * kept.get(column, 0.0) + (1 - beta) * ones_n @ square
    kept[row], kept[column] = r, c
    return np.sqrt(np.outer(r, c) / (ones_n @ r))


def adafactor(
    gradient,
    theta0,
    steps,
    *,
    eta=1.0,
    d=1.0,
    eps1=1e-30,
    eps2=1e-3,
    power=0.8,
    offset=0,
    mu=0.0,
    lam=0.0,
    factored=True,
    relative=True,
    decay_rate=None,
):
    """Adafactor (Shazeer and Stern 2018, algorithms 4 and 5); decay of the weights by the rate.

    Momentum averages the finished steps, rate included, as the authors' program does.
    """

    def rule(w, g, kept, t):
        beta = 1 - max(t - offset + 1, 1) ** -power if decay_rate is None else decay_rate(t)
        u = g / root_of_squares(g**2, kept, beta, eps1, "RC", factored and w.ndim == 2)
        if d is not None:
            u = u / max(1.0, rms(u) / d)
        u = at(eta, t) * (max(eps2, rms(w)) if relative else 1.0) * u
        kept["m"] = mu * kept.get("m", 0.0) + (1 - mu) * u
        return w - kept["m"] - at(eta, t) * lam * w

    return blockwise(gradient, theta0, steps, rule)


def bounded(step, exponent):
    """A decay of the squares that does not go to 1."""

    return jnp.minimum(gd.power_decay_rate(step, exponent), 0.9)


AGREE = {
    "numpy-adafactor": Agree(gd.adafactor(0.05, 2), rule(adafactor, eta=0.05)),
    "numpy-adafactor-default": Agree(
        gd.adafactor(decay_rate=0.5, clipping_threshold=0.05),
        rule(adafactor, power=0.5, d=0.05, factored=False),
    ),
    "numpy-adafactor-schedule": Agree(
        gd.adafactor(halving(0.05), 2, 0.7, 3, eps=0.01, momentum=0.8, weight_decay_rate=0.2),
        rule(adafactor, eta=halving(0.05), power=0.7, offset=3, eps1=0.01, mu=0.8, lam=0.2),
    ),
    "numpy-adafactor-absolute": Agree(
        gd.adafactor(
            0.05, multiply_by_parameter_scale=False, clipping_threshold=None, factored=False
        ),
        rule(adafactor, eta=0.05, d=None, factored=False, relative=False),
    ),
    "numpy-adafactor-clipped": Agree(
        gd.adafactor(0.5, 2, clipping_threshold=0.3, multiply_by_parameter_scale=False),
        rule(adafactor, eta=0.5, d=0.3, relative=False),
    ),
    "numpy-factored-rms": Agree(
        descent(gd.scale_by_factored_rms(True, 0.6, 2, 2, 1e-2), eta=0.05),
        rule(adafactor, eta=0.05, power=0.6, offset=2, eps1=1e-2, d=None, relative=False),
    ),
    "numpy-factored-rms-bounded": Agree(
        descent(
            gd.scale_by_factored_rms(min_dim_size_to_factor=2, decay_rate_fn=bounded), eta=0.05
        ),
        rule(
            adafactor,
            eta=0.05,
            d=None,
            relative=False,
            decay_rate=lambda t: min(1 - (t + 1) ** -0.8, 0.9),
        ),
    ),
    "torch-adafactor": Agree(
        gd.adafactor(0.05, 2, weight_decay_rate=0.1), recorded("factored", "torch/adafactor")
    ),
    "pytorch_optimizer-adafactor": Agree(
        gd.adafactor(0.05, 2, 0.7), recorded("factored", "pytorch_optimizer/adafactor")
    ),
    # Keras rounds rates and decays to float32.
    "keras-adafactor": Agree(
        gd.adafactor(0.0625, 2), recorded("factored", "keras/adafactor"), 1e-6
    ),
}

# Defaults that the optimizer has and its parts have not.
ITS_OWN = {("adafactor", "clipping_threshold")}


def test_bytes_that_adafactor_moves():
    """Two sums of squares, two root mean squares, and the step: less than 36 a parameter."""
    params = {"a": jnp.ones((128, 1024)), "b": jnp.ones((512, 256))}
    tx = gd.adafactor(1e-3, weight_decay_rate=0.1)
    step = lambda p, s, g: tx.step(g, s, p)
    program = jax.jit(step).lower(params, tx.init(params), params).compile()
    size = sum(p.size for p in params.values())
    assert program.cost_analysis()["bytes accessed"] / size < 36


@pytest.mark.parametrize("momentum", [None, 0.9])
def test_decay_of_adafactor_follows_the_rate(momentum):
    """At zero gradients the weights shrink by 1 − ηλ, whatever η is in a step."""
    tx = gd.adafactor(lambda t: 0.1 / (1.0 + real(t)), momentum=momentum, weight_decay_rate=0.5)
    params = jnp.asarray([1.0, -2.0])
    state = tx.init(params)
    for t in range(3):
        after, state = tx.step(jnp.zeros(2), state, params)
        np.testing.assert_allclose(after, params * (1 - 0.05 / (1 + t)), rtol=1e-6)
        params = after


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [((2, 3), (2,), (3,)), ((3, 2), (2,), (3,)), ((4, 2, 3), (2, 3), (4, 2)), ((5,), None, None)],
)
def test_factors_have_the_shapes_of_optax(shape, rows, columns):
    state = gd.scale_by_factored_rms(min_dim_size_to_factor=2).init(jnp.ones(shape))
    got = [None if x is None else x.shape for x in state[1:]]
    assert got == [rows, columns, shape if rows is None else None]


@pytest.mark.parametrize("factored", [True, False])
def test_without_epsilon_what_has_no_gradient_stays(factored):
    tx = gd.scale_by_factored_rms(factored, min_dim_size_to_factor=2, eps=0.0)
    g = jnp.asarray([[0.0, 0.0], [3.0, -3.0]])
    np.testing.assert_allclose(tx.update(g, tx.init(g), g)[0], [[0, 0], [1, -1]], rtol=1e-6)

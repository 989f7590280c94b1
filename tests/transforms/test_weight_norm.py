"""Updates that control the norm of the weights."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import run, wave
from tests.references import Agree, descent, halving, rule
from tests.transcription import at, by_tensor

ROWS = [
    Row(gd.hyperball(0.1), descends=False),  # a parabola is as high all over its sphere
    Row(gd.radial_brake(0.5, 0.8)),
    Row(gd.update_floor(0.5)),
    Row(gd.update_floor(0.5, norm="columns"), label="update_floor-columns"),
]


def on_sphere(w, direction, eta):
    """W ← R·N(W − ηR·N(u)), N(x) = x/‖x‖, R = ‖W‖ (Wen et al. 2025)."""
    radius = np.linalg.norm(w)
    moved = w - eta * radius * direction / np.linalg.norm(direction)
    return radius * moved / np.linalg.norm(moved)


def sphere_descent(gradient, theta0, steps, *, eta):
    """Hyperball of plain descent, both blocks."""
    rule = lambda w, g, t: on_sphere(w, g, at(eta, t))
    return by_tensor(gradient, theta0, steps, w=rule, b=rule)


def braked_descent(gradient, theta0, steps, *, eta, outward, inward):
    """Descent, then ‖W‖ brought to ‖W_old‖ + s·(‖W‖ − ‖W_old‖) (radial brake, 2026)."""

    def rule(w, g, t):
        moved = w - at(eta, t) * g
        before, after = np.linalg.norm(w), np.linalg.norm(moved)
        share = outward if after > before else inward
        return moved / after * (before + share * (after - before))

    return by_tensor(gradient, theta0, steps, w=rule, b=rule)


def floored_descent(gradient, theta0, steps, *, eta, ratio, axis=None):
    """Descent; a direction shorter than ratio·‖W‖ is made that long (u/w floor, 2026).

    Along an axis it is the columns or rows that are made so (RowFloor, 2026).
    """

    def rule(w, g, t, axis=axis):
        least, length = (np.linalg.norm(x, axis=axis, keepdims=True) for x in (ratio * w, g))
        return w - at(eta, t) * (g * np.where(length < least, least / length, 1))

    whole = lambda b, g, t: rule(b[:, None], g[:, None], t, None if axis is None else 0)[:, 0]
    return by_tensor(gradient, theta0, steps, w=rule, b=whole)


AGREE = {
    "numpy-hyperball": Agree(gd.hyperball(halving(0.2)), rule(sphere_descent, eta=halving(0.2))),
    "numpy-radial_brake": Agree(
        gd.chain(gd.sgd(0.3), gd.radial_brake(0.4, 0.9)),
        rule(braked_descent, eta=0.3, outward=0.4, inward=0.9),
    ),
    "numpy-radial_brake-default": Agree(
        gd.chain(gd.sgd(0.3), gd.radial_brake()),
        rule(braked_descent, eta=0.3, outward=0.5, inward=1.0),
    ),
    "numpy-update_floor": Agree(
        descent(gd.update_floor(0.5), eta=0.1), rule(floored_descent, eta=0.1, ratio=0.5)
    ),
    "numpy-update_floor-columns": Agree(
        descent(gd.update_floor(0.5, norm="columns"), eta=0.1),
        rule(floored_descent, eta=0.1, ratio=0.5, axis=0),
    ),
    "numpy-update_floor-transposed": Agree(
        descent(gd.update_floor(0.5, norm="columns", matrix_axes="out in"), eta=0.1),
        rule(floored_descent, eta=0.1, ratio=0.5, axis=1),
    ),
    "numpy-update_floor-default": Agree(
        descent(gd.update_floor(), eta=0.1), rule(floored_descent, eta=0.1, ratio=0.35)
    ),
}


def test_a_floor_of_rows_is_that_of_columns_transposed(x64):
    w, g = jnp.linspace(-1.0, 2.0, 12).reshape(3, 4), jnp.linspace(0.0, 0.5, 12).reshape(3, 4)
    floor = lambda norm: lambda g, w: gd.update_floor(0.5, norm=norm).update(g, (), w)[0]
    np.testing.assert_array_equal(floor("rows")(g, w), floor("columns")(g.T, w.T).T)
    with pytest.raises(ValueError, match="norm must be one of frobenius, columns, rows, got spec"):
        gd.update_floor(norm="spectral")


def test_hyperball_keeps_the_length_at_the_start(x64):
    """And not the length that a matrix has by then: one that was changed comes back."""
    params = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)
    tx = gd.hyperball(0.05)
    state = tx.init(params)
    moved, _ = tx.step(wave(params), state, 3.0 * params)
    np.testing.assert_allclose(jnp.linalg.norm(moved), jnp.linalg.norm(params), rtol=1e-14)


def test_weights_and_gradients_of_zero_stay(x64):
    zero, some = jnp.zeros((2, 3)), jnp.ones((2, 3))
    assert not jnp.any(run(gd.hyperball(0.1), wave, zero).params)
    tx = gd.chain(gd.sgd(0.1), gd.radial_brake(0.0, 0.0))
    assert not jnp.any(tx.update(zero, tx.init(some), some)[0])


def test_both_brakes_at_zero_keep_lengths(x64):
    params = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)
    tx = gd.chain(gd.sgd(0.3), gd.radial_brake(0.0, 0.0))
    lengths = [jnp.linalg.norm(p) for p in (run(tx, wave, params).params, params)]
    np.testing.assert_allclose(*lengths, rtol=1e-14)

"""DoG, layerwise DoG and DoWG."""

from __future__ import annotations

import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, halving, recorded, rule, value
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.dog(1.0, ("distance", 0.1))),
    Row(gd.dog(1.0, ("distance", 0.1), weight_decay=0.01), label="dog-decay"),
    Row(gd.dog(1.0, ("learning_rate", 0.1)), label="dog-learning_rate"),
    Row(gd.scale_by_dog(("heuristic", 0.1), 1e-6)),
    Row(gd.scale_by_distance_over_gradients(0.1, 1e-6)),
    Row(gd.dowg(1.0, 0.01)),
    Row(gd.dowg(1.0, 0.01, weight_decay=0.01), label="dowg-decay"),
    Row(gd.scale_by_dowg(eps=0.01)),
]


def dog(gradient, theta0, steps, *, eta=1.0, init=("heuristic", 1e-6), eps=1e-8, lam=0.0):
    """DoG (Ivgi, Hinder and Carmon 2023): η = max distance so far / root of the sum of |g|²."""
    kind, value = init
    starts = {"distance": value, "heuristic": value * (1 + np.linalg.norm(theta0))}
    far, total = starts.get(kind, 0.0), 0.0

    def step(theta, t):
        nonlocal far, total
        g = gradient(theta, t) + lam * theta
        total = total + g @ g
        far = max(far, np.linalg.norm(theta - theta0))
        rate = value if kind == "learning_rate" and t == 0 else far / np.sqrt(total + eps)
        return theta - at(eta, t) * rate * g

    return trajectory(theta0, steps, step)


def layerwise_dog(gradient, theta0, steps, *, shapes, alpha=1e-6, eps=1e-8, scale=1.0):
    """DoG with distance and sum of its own for each tensor (LDoG, same paper)."""
    edges = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    starts = np.split(theta0, edges)
    far = [alpha * (1 + np.linalg.norm(x0)) for x0 in starts]
    total = [0.0 for _ in starts]

    def step(theta, t):
        new = []
        parts = zip(np.split(theta, edges), starts, np.split(gradient(theta, t), edges))
        for i, (x, x0, g) in enumerate(parts):
            far[i] = max(far[i], np.linalg.norm(x - x0))
            total[i] = total[i] + g @ g
            new.append(x - scale * far[i] / np.sqrt(total[i] + eps) * g)
        return np.concatenate(new)

    return trajectory(theta0, steps, step)


def dowg(gradient, theta0, steps, *, eta=1.0, r2=1e-4, eps=1e-4, lam=0.0):
    """DoWG (Khaled, Mishchenko and Jin 2023): v ← v + r²|g|², η = r²/(√v + ε)."""
    v = 0.0

    def step(theta, t):
        nonlocal r2, v
        g = gradient(theta, t) + lam * theta
        r2 = max(r2, np.sum((theta - theta0) ** 2))
        v = v + r2 * (g @ g)
        return theta - at(eta, t) * r2 / (np.sqrt(v) + eps) * g

    return trajectory(theta0, steps, step)


SHAPES = {"shapes": [(6,), (2,)]}
AGREE = {
    "optax-dog": Agree(
        gd.dog(1.0, ("heuristic", 0.1), 1e-2), recorded("parameter_free", "optax/dog"), extra=value
    ),
    "optax-dog_distance": Agree(
        gd.dog(0.8, ("distance", 0.3), weight_decay=0.1),
        recorded("parameter_free", "optax/dog_distance"),
        extra=value,
    ),
    "optax-dog_learning_rate": Agree(
        gd.dog(0.8, ("learning_rate", 0.2), 1e-2),
        recorded("parameter_free", "optax/dog_learning_rate"),
        extra=value,
    ),
    "optax-dowg": Agree(
        gd.dowg(0.8, eps=1e-2, weight_decay=0.1),
        recorded("parameter_free", "optax/dowg"),
        extra=value,
    ),
    "optax-dowg_distance": Agree(
        gd.dowg(1.0, 0.3, 1e-2), recorded("parameter_free", "optax/dowg_distance"), extra=value
    ),
    "optax-layerwise_dog": Agree(
        gd.scale_by_distance_over_gradients(0.1, 1e-2, global_scale=-0.9),
        recorded("parameter_free", "optax/layerwise_dog"),
        extra=value,
    ),
    "numpy-dog": Agree(
        gd.dog(halving(0.8), ("heuristic", 0.1), 1e-2, 0.1),
        rule(dog, eta=halving(0.8), init=("heuristic", 0.1), eps=1e-2, lam=0.1),
        extra=value,
    ),
    "numpy-dog-distance": Agree(
        gd.dog(init_step=("distance", 0.3)), rule(dog, init=("distance", 0.3)), extra=value
    ),
    "numpy-dog-learning_rate": Agree(
        gd.chain(gd.scale_by_dog(("learning_rate", 0.2), 1e-2), gd.scale(-0.8)),
        rule(dog, eta=0.8, init=("learning_rate", 0.2), eps=1e-2),
        extra=value,
    ),
    "numpy-layerwise_dog": Agree(
        gd.chain(gd.scale_by_distance_over_gradients(0.1, 1e-2), gd.scale(-0.9)),
        rule(layerwise_dog, alpha=0.1, eps=1e-2, scale=0.9, **SHAPES),
        extra=value,
    ),
    "numpy-dowg": Agree(
        gd.dowg(halving(0.8), None, 1e-2, 0.1),
        rule(dowg, eta=halving(0.8), r2=1e-2, eps=1e-2, lam=0.1),
        extra=value,
    ),
    "numpy-dowg-distance": Agree(
        gd.chain(gd.scale_by_dowg(0.3), gd.scale(-1.0)), rule(dowg, r2=0.3, eps=1e-4), extra=value
    ),
}


def test_the_kind_of_the_first_step_is_checked():
    with pytest.raises(ValueError, match="init_step must begin"):
        gd.dog(init_step=("rate", 0.1))


def test_after_a_first_step_of_a_given_rate_the_distance_alone_decides():
    tx, x = gd.scale_by_dog(("learning_rate", 1e-3), eps=0.0), np.zeros(1, np.float32)
    u, state = tx.update(np.float32([2.0]), tx.init(x), x)
    np.testing.assert_allclose(u, 2e-3, rtol=1e-6)
    u, _ = tx.update(np.float32([2.0]), state, x - u)
    np.testing.assert_allclose(u, 2e-3 / 8**0.5 * 2, rtol=1e-6)

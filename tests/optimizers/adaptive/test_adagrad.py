"""AdaGrad."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import path_from
from tests.references import Agree, halving, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.adagrad(0.1, 0.1)),
    Row(gd.scale_by_rss(0.1)),
]


def root_with_eps(v, eps, eps_in_sqrt):
    return np.sqrt(v + eps) if eps_in_sqrt else np.sqrt(v) + eps


def adagrad(gradient, theta0, steps, *, eta, eps, initial_accumulator_value=0.0, eps_in_sqrt=False):
    """AdaGrad, G ← G + g², θ ← θ − ηg / (√G + ε), or / √(G + ε) (Duchi et al. 2011)."""
    total = np.full_like(theta0, initial_accumulator_value)

    def step(theta, t):
        nonlocal total
        g = gradient(theta, t)
        total = total + g**2
        return theta - at(eta, t) * g / root_with_eps(total, eps, eps_in_sqrt)

    return trajectory(theta0, steps, step)


AGREE = {
    # torch 2.13.0: eps beside the root.
    "torch-adagrad": Agree(gd.adagrad(0.3, eps=1e-10), recorded("seminar", "adagrad")),
    "torch-adagrad_initial_0.1": Agree(
        gd.adagrad(0.3, 0.1, 1e-10), recorded("seminar", "adagrad_initial_0.1")
    ),
    "numpy-adagrad": Agree(gd.adagrad(0.3), rule(adagrad, eta=0.3, eps=1e-8)),
    "numpy-adagrad-root": Agree(
        gd.adagrad(0.3, 0.1, 1e-7, eps_in_sqrt=True),
        rule(adagrad, eta=0.3, eps=1e-7, initial_accumulator_value=0.1, eps_in_sqrt=True),
    ),
    "numpy-scale_by_rss": Agree(
        gd.chain(gd.scale_by_rss(), gd.scale_by_schedule(lambda t: -halving(0.05)(t))),
        rule(adagrad, eta=halving(0.05), eps=1e-8),
    ),
}


def test_adagrad_steps_decay_like_one_over_root_t(x64):
    path = path_from(
        gd.adagrad(0.5, eps=0.0), lambda x: jnp.full_like(x, 3.0), jnp.asarray(0.0), 100
    )
    steps = -np.diff(np.asarray(path))
    np.testing.assert_allclose(steps, 0.5 / np.sqrt(np.arange(1, 101)), rtol=1e-12)

"""SGD with gradient noise."""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.oracles import problem
from tests.references import Agree, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.noisy_sgd(0.1, 0.001)),
]


def noisy_sgd(gradient, theta0, steps, *, eta, variance, gamma, noise):
    """Neelakantan et al. 2015: g + N(0, η/(1 + t)^γ); `noise` [steps, n] is N(0, 1)."""

    def step(theta, t):
        sigma = np.sqrt(variance / (1.0 + t) ** gamma)
        return theta - at(eta, t) * (gradient(theta, t) + sigma * noise[t])

    return trajectory(theta0, steps, step)


def noise(seed):
    """Standard normal numbers [60, 8] of the keys that `add_noise` says it uses."""

    def one(t, name):
        key = jax.random.fold_in(jax.random.key(seed), t)
        key = jax.random.fold_in(key, zlib.crc32(name.encode()))
        return jax.random.normal(key, problem.SHAPES[name], jnp.float64)

    steps = range(problem.STEPS)
    return np.stack([problem.join({n: one(t, n) for n in problem.SHAPES}) for t in steps])


def noisy(eta, variance, gamma, seed):
    rest = {"variance": variance, "gamma": gamma, "noise": noise(seed)}
    return rule(noisy_sgd, eta=eta, **rest)()


AGREE = {
    "numpy-noisy_sgd-default": Agree(gd.noisy_sgd(0.1), lambda: noisy(0.1, 0.01, 0.55, 0)),
    "numpy-noisy_sgd": Agree(gd.noisy_sgd(0.1, 0.5, 0.7, key=7), lambda: noisy(0.1, 0.5, 0.7, 7)),
}

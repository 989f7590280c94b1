"""What the transcriptions of low-rank optimizers share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import gdjax as gd
from gdjax.core.rule import tree
from gdjax.core.rule.roles import Mean, MeanSquare


def limiter(most, guard=0.0):
    """A function that shortens arrays whose norm grows by more than a factor (Chen et al. 2024).

    The authors' codes add a guard to the norm before.
    """
    before = None

    def limited(u):
        nonlocal before
        size = np.linalg.norm(u)
        if before is not None and size > most * (before + guard):
            u, size = u * (most * (before + guard) / size), most * (before + guard)
        before = size
        return u

    return limited


def plain_adam(b1=0.9, b2=0.999, eps=1e-3):
    """The direction of Adam without bias corrections, as a function of (g, t)."""
    m, v = 0.0, 0.0

    def direction(g, t):
        nonlocal m, v
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        return m / (np.sqrt(v) + eps)

    return direction


class PlainAdamState(NamedTuple):
    mu: Mean
    nu: MeanSquare


@gd.transformation
def plain_adam_scaling(b1=0.9, b2=0.999, eps=1e-3):
    """The same for gdjax."""

    def init(params):
        return PlainAdamState(tree.moment_like(params), tree.moment_like(params))

    def update(updates, state, params=None, **extra):
        def leaf(g, m, v):
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            return m / (v**0.5 + eps), m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, PlainAdamState(mu, nu)

    return init, update

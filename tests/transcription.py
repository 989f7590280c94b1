"""What NumPy transcriptions of papers are written with: no code shared with the library.

A transcription takes `gradient(theta, t)`, the start `theta0` and the number of `steps`, then its
hyperparameters by keyword, and returns the trajectory [steps + 1, n], the start included. Steps
are counted from t = 0, powers of a decay in a bias correction from 1. A rate is a number or a
function of the step: every rule asks for it by `at(eta, t)`. Letters: η rate, λ decay of the
weights, μ momentum, ε guard of a division.
"""

import numpy as np

from tests.oracles.problem import SHAPES, join, split

__all__ = [
    "adam_direction",
    "adamw_of_tensor",
    "at",
    "blockwise",
    "by_tensor",
    "column",
    "debiased_mean",
    "descend",
    "descend_each",
    "each_tensor",
    "ema_of",
    "trajectory",
    "with_l2",
]


def at(value, t):
    """The value at step t of a number or a function of the step."""
    return value(t) if callable(value) else value


def trajectory(theta0, steps, step):
    """The path [steps + 1, n] of θ ← step(θ, t) from theta0."""
    path = [np.asarray(theta0, np.float64)]
    for t in range(steps):
        path.append(step(path[-1], t))
    return np.stack(path)


def descend(gradient, theta0, steps, eta, direction, lam=0.0):
    """The path of θ ← θ − η(u + λθ) with u = direction(g, t)."""

    def step(theta, t):
        return theta - at(eta, t) * (direction(gradient(theta, t), t) + lam * theta)

    return trajectory(theta0, steps, step)


def with_l2(gradient, lam):
    """The gradient of the penalised loss, g + λθ."""
    return lambda theta, t: gradient(theta, t) + lam * theta


def ema_of(old, new, decay):
    """The running mean after one more: decay·old + (1 − decay)·new."""
    return decay * old + (1 - decay) * new


# Rules for one array, carried over the tensors of the problem: w [2, 3] and b [2].


def each_tensor(function, *vectors):
    """A function of arrays, applied to the tensors of flat vectors; the results joined."""
    trees = [split(v) for v in vectors]
    return join({name: function(*(tree[name] for tree in trees)) for name in SHAPES})


def by_tensor(gradient, theta0, steps, **rules):
    """The path on which each tensor moves by its own rule of (weights, gradient, step)."""

    def step(theta, t):
        ws, gs = split(theta), split(gradient(theta, t))
        return join({name: rules[name](ws[name], gs[name], t) for name in ws})

    return trajectory(theta0, steps, step)


def blockwise(gradient, theta0, steps, rule):
    """The same for one `rule(w, g, kept, t)`, with a dict to keep its state in for each tensor."""

    def of(kept):
        return lambda w, g, t: rule(w, g, kept, t)

    return by_tensor(gradient, theta0, steps, **{name: of({}) for name in SHAPES})


def descend_each(gradient, theta0, steps, eta, directions, lam=0.0, decays=("w", "b")):
    """The path of θ ← θ − η(u + λθ), each tensor with a direction(g, t) of its own."""

    def of(name):
        decay = lam if name in decays else 0.0
        return lambda w, g, t: w - at(eta, t) * (directions[name](g, t) + decay * w)

    return by_tensor(gradient, theta0, steps, **{name: of(name) for name in directions})


def column(rule):
    """A rule for matrices, applied to a vector as one column."""
    return lambda w, g, t: rule(w[:, None], g[:, None], t)[:, 0]


# Adam's direction is a part of many rules.


def debiased_mean(m, g, b1, t, nesterov=False):
    """The mean m without bias, or with `nesterov` one step ahead under a constant momentum.

    Dozat 2016, algorithm 2, with μ constant.
    """
    if not nesterov:
        return m / (1 - b1 ** (t + 1))
    return b1 * m / (1 - b1 ** (t + 2)) + (1 - b1) * g / (1 - b1 ** (t + 1))


def adam_direction(
    b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, *, nesterov=False, product_debias=False
):
    """A function from (g, t) to û = m̂ / (√(v̂ + eps_root) + eps), its averages inside.

    With b2 a function of t, v̂ = v / (1 − b2(t)ᵗ⁺¹), the paper's formula with the decay of this
    step; with `product_debias` v / (1 − ∏ b2(s)), which is exact. For a constant they agree.
    """
    m, v, product = 0.0, 0.0, 1.0

    def direction(g, t):
        nonlocal m, v, product
        decay = at(b2, t)
        m = b1 * m + (1 - b1) * g
        v = decay * v + (1 - decay) * g**2
        product = product * decay
        square = v / (1 - (product if product_debias else decay ** (t + 1)))
        return debiased_mean(m, g, b1, t, nesterov) / (np.sqrt(square + eps_root) + eps)

    return direction


def adamw_of_tensor(eta, b1=0.9, b2=0.999, eps=1e-8, lam=0.0):
    """AdamW of one tensor, as a rule of (weights, gradient, step)."""
    direction = adam_direction(b1, b2, eps)
    return lambda w, g, t: w - at(eta, t) * (direction(g, t) + lam * w)

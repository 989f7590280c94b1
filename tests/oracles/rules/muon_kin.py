"""Muon's kin and the control of norms as their papers print them, in NumPy.

The block w [2, 3] is a matrix [in, out]; the block b is left to AdamW, or is a column.
"""

import numpy as np

from .. import problem
from . import at, trajectory

QUINTIC = ((3.4445, -4.7750, 2.0315),) * 5


def path(gradient, theta0, steps, **rules):
    """The path on which each block moves by its own rule of (weights, gradient, step)."""

    def step(theta, t):
        ws, gs = problem.split(theta), problem.split(gradient(theta, t))
        return problem.join({name: rules[name](ws[name], gs[name], t) for name in ws})

    return trajectory(theta0, steps, step)


def column(rule):
    """A rule for matrices, of a vector."""
    return lambda w, g, t: rule(w[:, None], g[:, None], t)[:, 0]


def polar(x, eps=0.0, coefficients=QUINTIC):
    """Jordan's iteration on x / (‖x‖ + ε)."""
    tall = x.shape[0] > x.shape[1]
    x = x / (np.linalg.norm(x) + eps)
    x = x.T if tall else x
    for a, b, c in coefficients:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def momentum(beta, nesterov=True):
    """The mean of the gradients without bias, one step ahead with nesterov."""
    m = 0.0

    def mean(g, t):
        nonlocal m
        m = beta * m + (1 - beta) * g
        if nesterov:
            return (beta * m + (1 - beta) * g) / (1 - beta ** (t + 2))
        return m / (1 - beta ** (t + 1))

    return mean


def adam_direction(b1, b2, eps):
    """Adam's step of unit rate."""
    m = v = 0.0

    def direction(g, t):
        nonlocal m, v
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        return m / (1 - b1 ** (t + 1)) / (np.sqrt(v / (1 - b2 ** (t + 1))) + eps)

    return direction


def adamw(eta, b1=0.9, b2=0.999, eps=1e-8, lam=0.0):
    """AdamW of one block."""
    direction = adam_direction(b1, b2, eps)
    return lambda w, g, t: w - at(eta, t) * (direction(g, t) + lam * w)


# Normalised matrices.


def normalized(gradient, theta0, steps, *, eta, norm, eps=0.0):
    """Descent along gradients whose columns, rows, Frobenius, rms or spectral norm is 1."""

    def rule(w, g, t):
        if norm in ("columns", "rows"):
            length = np.sqrt(np.sum(g**2, 0 if norm == "columns" else 1, keepdims=True))
        elif norm == "frobenius":
            length = np.sqrt(np.sum(g**2))
        elif norm == "rms":
            length = np.sqrt(np.mean(g**2))
        else:
            length = np.linalg.svd(g, compute_uv=False)[0]
        return w - at(eta, t) * g / (length + eps)

    return path(gradient, theta0, steps, w=rule, b=column(rule))


# The control of norms.


def on_sphere(w, direction, eta):
    """W ← R·N(W − ηR·N(u)), N(x) = x/‖x‖, R = ‖W‖ (Wen et al. 2025)."""
    radius = np.linalg.norm(w)
    moved = w - eta * radius * direction / np.linalg.norm(direction)
    return radius * moved / np.linalg.norm(moved)


def sphere_descent(gradient, theta0, steps, *, eta):
    """Hyperball of plain descent, both blocks."""
    rule = lambda w, g, t: on_sphere(w, g, at(eta, t))
    return path(gradient, theta0, steps, w=rule, b=rule)


def adam_hyperball(gradient, theta0, steps, *, eta, b1, b2, eps, adam):
    """AdamH of w, AdamW of b."""
    direction = adam_direction(b1, b2, eps)
    rule = lambda w, g, t: on_sphere(w, direction(g, t), at(eta, t))
    return path(gradient, theta0, steps, w=rule, b=adamw(*adam))


def muon_hyperball(gradient, theta0, steps, *, eta, beta, eps, adam, nesterov=True):
    """MuonH of w, AdamW of b."""
    mean = momentum(beta, nesterov)
    rule = lambda w, g, t: on_sphere(w, polar(mean(g, t), eps), at(eta, t))
    return path(gradient, theta0, steps, w=rule, b=adamw(*adam))


def braked_descent(gradient, theta0, steps, *, eta, outward, inward):
    """Descent, then ‖W‖ brought to ‖W_old‖ + s·(‖W‖ − ‖W_old‖) (radial brake, 2026)."""

    def rule(w, g, t):
        moved = w - at(eta, t) * g
        before, after = np.linalg.norm(w), np.linalg.norm(moved)
        share = outward if after > before else inward
        return moved / after * (before + share * (after - before))

    return path(gradient, theta0, steps, w=rule, b=rule)


def floored_descent(gradient, theta0, steps, *, eta, ratio):
    """Descent; a direction shorter than ratio·‖W‖ is made that long (u/w floor, 2026)."""

    def rule(w, g, t):
        least = ratio * np.linalg.norm(w)
        length = np.linalg.norm(g)
        return w - at(eta, t) * (g * least / length if length < least else g)

    return path(gradient, theta0, steps, w=rule, b=rule)


# NorMuon.


def normuon(gradient, theta0, steps, *, eta, b1, b2, eps, rms, lam, adam, polar_eps=1e-8):
    """NorMuon (Li et al. 2025, algorithm 1) of w, whose neurons are columns, AdamW of b.

    With rms None the matrix keeps the Frobenius norm that it had, as in the authors' program.
    """
    mean, v = momentum(b1, nesterov=False), 0.0

    def rule(w, g, t):
        nonlocal v
        o = polar(mean(g, t), polar_eps)
        v = b2 * v + (1 - b2) * np.mean(o**2, axis=0)
        u = o / (np.sqrt(v) + eps)
        size = np.linalg.norm(o) if rms is None else rms * np.sqrt(w.size)
        return w - at(eta, t) * (size * u / np.linalg.norm(u) + lam * w)

    return path(gradient, theta0, steps, w=rule, b=adamw(*adam))


# Scion.


def oracle(norm, x, eps):
    """Minus the point of the unit ball of a norm that is farthest along −x; x is [in, out]."""
    rows, columns = x.shape
    if norm == "spectral":
        return np.sqrt(columns / rows) * polar(x, eps)
    if norm == "sign":
        return np.sign(x) / rows
    if norm == "rows":  # of an embedding: what one input adds to the outputs has rms 1
        return np.sqrt(columns) * x / np.linalg.norm(x, axis=1, keepdims=True)
    if norm == "columns":  # inputs of rms 1 change no output by more than 1
        return x / np.linalg.norm(x, axis=0) / np.sqrt(rows)
    return x / np.sqrt(np.mean(x**2))


def scion(
    gradient, theta0, steps, *, eta, alpha, radii, norms=("spectral", "rms"), pull=1.0, eps=1e-8
):
    """SCG (Pethick et al. 2025, algorithm 2), or uSCG (algorithm 1) where `pull` is 0.

    x ← (1 − γ)x + γ·lmo(d) with d ← (1 − α)d + αg; the lmo of a ball of radius ρ.
    """

    def block(norm, radius):
        d = 0.0

        def rule(w, g, t):
            nonlocal d
            d = (1 - alpha) * d + alpha * g
            return (1 - pull * at(eta, t)) * w - at(eta, t) * radius * oracle(norm, d, eps)

        return rule

    w, b = (block(norm, radius) for norm, radius in zip(norms, radii))
    return path(gradient, theta0, steps, w=w, b=column(b))


# Dion2.


def dion2(gradient, theta0, steps, *, eta, mu, fraction, eps, lam, adam, transposed=False):
    """Dion2 (Ahn, Amsel and Langford 2025, algorithm 1) of w, AdamW of b.

    The rows of the shorter side whose sums of absolute values are largest are chosen.
    """
    m = 0.0

    def rule(w, g, t):
        nonlocal m
        rows, columns = w.shape[::-1] if transposed else w.shape
        m = m + g
        across = 1 if w.shape[0] < w.shape[1] else 0  # the axis that is summed over
        sums = np.abs(m).sum(axis=across)
        chosen = np.argsort(-sums)[: max(1, int(np.ceil(fraction * len(sums))))]
        where = (chosen, slice(None)) if across else (slice(None), chosen)
        u = np.zeros_like(w)
        u[where] = polar(m[where], eps)
        m = m.copy()
        m[where] *= mu
        return w - at(eta, t) * (np.sqrt(columns / rows) * u + lam * w)

    return path(gradient, theta0, steps, w=rule, b=adamw(*adam))


# QK-Clip.


def qk_clipped(
    gradient,
    theta0,
    steps,
    *,
    eta,
    threshold,
    logits,
    share=0.5,
    beta=None,
    eps=1e-8,
    lam=0.0,
    rms=0.2,
    adam=None,
):
    """QK-Clip (Kimi K2 2025, algorithm 1) of w, three heads [2, 1], behind descent or Muon.

    `logits` makes the heads' greatest logits of the weights before the step, [3].
    """
    mean = None if beta is None else momentum(beta, nesterov=False)

    def rule(w, g, t):
        if mean is None:
            moved = w - at(eta, t) * g
        else:
            u = rms * np.sqrt(max(w.shape)) * polar(mean(g, t), eps)
            moved = w - at(eta, t) * (u + lam * w)
        return moved * np.minimum(1, threshold / logits(w)) ** share

    other = adamw(*adam) if adam else lambda w, g, t: w - at(eta, t) * g
    return path(gradient, theta0, steps, w=rule, b=other)

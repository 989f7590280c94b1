"""KL-Shampoo and PSGD Kron as their papers print them: preconditioners with a factor a side.

See `seminar.py` for the letters. Parameters are the tensors of `problem.SHAPES`: w [2, 3], b [2].
"""

import zlib

import jax
import numpy as np

from ..problem import SHAPES
from . import trajectory as _trajectory

__all__ = ["kl_shampoo", "drawn", "kron"]


def _by_tensor(theta0, steps, gradient, make, eta, lam=0.0, decays=("w", "b")):
    """θ ← θ − η(u + λθ) with u = rule(g, t) of a rule of its own for each tensor."""
    rules = {name: make(name, shape) for name, shape in SHAPES.items()}
    ends = np.cumsum([0] + [int(np.prod(shape)) for shape in SHAPES.values()])

    def step(theta, t):
        g, moves = gradient(theta, t), []
        for (name, shape), i, j in zip(SHAPES.items(), ends[:-1], ends[1:]):
            u = rules[name](g[i:j].reshape(shape), t).reshape(-1)
            moves.append(u + (lam if name in decays else 0.0) * theta[i:j])
        return theta - eta * np.concatenate(moves)

    return _trajectory(theta0, steps, step)


def kl_shampoo(
    gradient,
    theta0,
    steps,
    *,
    eta,
    b1=0.95,
    b2=0.95,
    eps=1e-8,
    every=10,
    factor=None,
    diagonal=(),
    lam=0.0,
):
    """KL-Shampoo with QR, Q and λ in place of S⁻¹ (Lin et al. 2025).

    `diagonal` are the sides, 0 or 1, of w whose S is kept as a diagonal; vectors have one such
    side. At first S_a ⊗ S_b is the mean squared entry of the gradient times I, both factors alike,
    or each is `factor` times I.
    """

    def floored(lam):
        return np.maximum(lam, eps * lam.max())

    def vector(name, shape):
        state = {}

        def rule(g, t):
            if t == 0:
                state["m"] = np.zeros(shape)
                state["v"] = np.full(shape, np.mean(g**2) if factor is None else factor)
            state["m"] = b1 * state["m"] + (1 - b1) * g
            state["v"] = b2 * state["v"] + (1 - b2) * g**2
            return state["m"] / (1 - b1 ** (t + 1)) / np.sqrt(floored(state["v"]))

        return rule

    def matrix(name, shape):
        s = {"M": np.zeros(shape)}

        def rule(G, t):
            if t == 0:
                first = np.sqrt(np.mean(G**2)) if factor is None else factor
                for side, d in zip("ab", shape):
                    s["S" + side], s["Q" + side] = first * np.eye(d), np.eye(d)
                    s["l" + side] = first * np.ones(d)
            (d_a, d_b), Qa, Qb = shape, s["Qa"], s["Qb"]
            delta_a = G @ Qb @ np.diag(1 / floored(s["lb"])) @ Qb.T @ G.T / d_b
            delta_b = G.T @ Qa @ np.diag(1 / floored(s["la"])) @ Qa.T @ G / d_a
            for k, (side, delta) in enumerate((("a", delta_a), ("b", delta_b))):
                Q = s["Q" + side]
                s["S" + side] = b2 * s["S" + side] + (1 - b2) * delta
                s["l" + side] = b2 * s["l" + side] + (1 - b2) * np.diag(Q.T @ delta @ Q)
                if t % every == 0 and k not in diagonal:
                    order = np.argsort(-np.diag(Q.T @ s["S" + side] @ Q), kind="stable")
                    s["Q" + side] = np.linalg.qr(s["S" + side] @ Q[:, order])[0]
                    s["l" + side] = s["l" + side][order]
            s["M"] = b1 * s["M"] + (1 - b1) * G
            roots = np.sqrt(np.outer(floored(s["la"]), floored(s["lb"])))
            turned = s["Qa"].T @ (s["M"] / (1 - b1 ** (t + 1))) @ s["Qb"]
            return s["Qa"] @ (turned / roots) @ s["Qb"].T

        return rule

    def make(name, shape):
        return matrix(name, shape) if len(shape) == 2 else vector(name, shape)

    return _by_tensor(theta0, steps, gradient, make, eta, lam)


def drawn(name, shape, t, seed=0):
    """V of a tensor in step t, as `scale_by_kron` says that it is drawn; a vector is a column."""
    key = jax.random.fold_in(jax.random.key(seed), t)
    key = jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), 0)
    shape = shape if len(shape) == 2 else (*shape, 1)
    return np.asarray(jax.random.normal(key, shape, float), np.float64)


def _norm_from_below(a):
    """Li's lower bound of a spectral norm: two products with a, from its longest row."""
    v = a @ a[np.argmax(np.sum(a**2, 1))]
    return np.linalg.norm(a @ (v / np.linalg.norm(v)))


def kron(
    gradient,
    theta0,
    steps,
    *,
    eta,
    b1=0.9,
    lam=0.0,
    decays=("w", "b"),
    every=1,
    diagonal=(),
    of_momentum=True,
    mu=0.1,
    scale=1.0,
    damping=2**-11.5,
    threshold=1.1,
    seed=0,
):
    """PSGD with a factor a side, whitening gradients (Li 2015, section IV; Li 2022).

    The preconditioner is fitted in every so-manieth step: `every` is a number or a set of steps.
    `diagonal` are the sides, 0 or 1, of w with a diagonal factor. Vectors have one such factor.
    """

    def make(name, shape):
        if len(shape) == 2:
            kept = [np.sqrt(scale) * np.eye(d) for d in shape]
            diagonals = [side in diagonal for side in (0, 1)]
        else:
            kept, diagonals = [scale * np.eye(shape[0]), np.eye(1)], [True, None]
        state = {"M": 0.0, "Q": kept}

        def fit(G, V):
            G = G + damping * np.mean(np.abs(G)) * V
            Qa, Qb = state["Q"]
            A = Qa @ G @ Qb.T
            B = np.linalg.inv(Qa).T @ V @ np.linalg.inv(Qb)
            after = []
            for Q, a, b, is_diagonal in zip((Qa, Qb), (A, A.T), (B, B.T), diagonals):
                plus, minus = a @ a.T + b @ b.T, a @ a.T - b @ b.T
                if is_diagonal is None:
                    after.append(Q)
                elif is_diagonal:
                    after.append(Q - mu / plus.diagonal().max() * np.diag(np.diag(minus)) @ Q)
                else:
                    after.append(Q - mu / _norm_from_below(plus) * np.triu(minus) @ Q)
            state["Q"] = after

        def rule(g, t):
            G = g.reshape(shape[0], -1)
            state["M"] = b1 * state["M"] + (1 - b1) * G
            mean = state["M"] / (1 - b1 ** (t + 1))
            if t in every if isinstance(every, set) else (t + 1) % every == 0:
                fit(mean if of_momentum else G, drawn(name, shape, t, seed))
            Qa, Qb = state["Q"]
            u = Qa.T @ Qa @ mean @ Qb.T @ Qb
            size = np.sqrt(np.mean(u**2))
            return u if threshold is None else u * min(1.0, threshold / size)

        return rule

    return _by_tensor(theta0, steps, gradient, make, eta, lam, decays)

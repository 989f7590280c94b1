"""Shampoo, SOAP and what is composed of them, as their papers print them."""

import numpy as np

from .. import problem
from . import at, trajectory


def blockwise(gradient, theta0, steps, rule):
    """The path of `rule(w, g, kept, t)`, which gives the step of each block of the parameters."""
    kept = {name: {} for name in problem.SHAPES}

    def step(theta, t):
        ws, gs = problem.split(theta), problem.split(gradient(theta, t))
        return problem.join({k: w - rule(w, gs[k], kept[k], t) for k, w in ws.items()})

    return trajectory(theta0, steps, step)


def refreshed(P, Q, V, axis):
    """SOAP's algorithm 4: a step of power iteration and QR, best directions first, V with them."""
    order = np.argsort(-np.diag(Q.T @ P @ Q), kind="stable")
    return np.linalg.qr(P @ Q[:, order])[0], np.take(V, order, axis)


def soap_direction(g, kept, t, *, b1, b2, b3, eps, frequency, longest, skip):
    """N of SOAP's algorithm 3 (Vyas et al. 2024) with Adam's corrections of the two averages."""
    if t == 0:
        kept["M"], kept["V"] = np.zeros_like(g), np.zeros_like(g)
        kept["Q"] = [np.eye(n) for n in g.shape]
        kept["P"] = [np.zeros((n, n)) for n in g.shape]
        rotated = g.ndim == 2 and min(g.shape) > 1
        kept["sides"] = [k for k in range(g.ndim) if rotated and g.shape[k] <= longest]
    Q, P = kept["Q"], kept["P"]

    def rotate(x, Q):
        for k in kept["sides"]:
            x = np.moveaxis(np.tensordot(Q[k], x, (0, k)), 0, k)
        return x

    N, taken = np.zeros_like(g), t + 1 - skip  # steps taken, this one too
    if taken > 0:
        kept["M"] = b1 * kept["M"] + (1 - b1) * g
        kept["V"] = b2 * kept["V"] + (1 - b2) * rotate(g, Q) ** 2
        M, V = rotate(kept["M"], Q) / (1 - b1**taken), kept["V"] / (1 - b2**taken)
        N = rotate(M / (np.sqrt(V) + eps), [q.T for q in Q])
    for k in kept["sides"]:
        P[k] = b3 * P[k] + (1 - b3) * np.tensordot(g, g, (1 - k, 1 - k))
        if t == 0:
            Q[k] = np.linalg.eigh(P[k])[1][:, ::-1]
        elif t % frequency == 0:
            Q[k], kept["V"] = refreshed(P[k], Q[k], kept["V"], k)
    return N


def soap(
    gradient, theta0, steps, *, eta, b1=0.95, b2=0.95, b3=None, eps=1e-8, lam=0.0, frequency=10,
    longest=10000, skip=True,
):  # fmt: skip
    """SOAP; decoupled decay of the weights, which shrink in the first step too."""
    b3 = b2 if b3 is None else b3
    numbers = dict(b1=b1, b2=b2, b3=b3, eps=eps, frequency=frequency, longest=longest, skip=skip)

    def rule(w, g, kept, t):
        return at(eta, t) * (soap_direction(g, kept, t, **numbers) + lam * w)

    return blockwise(gradient, theta0, steps, rule)


def power(S, exponent, eps):
    """(S + ε·λ₁·I) to a power, by its eigenvalues."""
    values, vectors = np.linalg.eigh(S)
    values = np.maximum(values, 0) + eps * values[-1]
    return vectors * values**exponent @ vectors.T


def blocks(w, size):
    """The slices of as few and as equal blocks as there may be."""
    cuts = []
    for n in w.shape:
        long = -(-n // -(-n // size))
        cuts.append([slice(k, k + long) for k in range(0, n, long)])
    return [(a, b) for a in cuts[0] for b in cuts[1]]


def shampoo_direction(
    g, kept, t, *, b2, eps, initial, root, frequency, start, size, longest, diagonal
):  # fmt: skip
    """Shampoo's preconditioned gradient of a matrix, or of a vector as one column.

    Gupta et al. 2018, algorithm 1; averages, ridge, blocks and start as Anil et al. 2020.
    """
    m = g.reshape(len(g), -1)
    u = np.zeros_like(m)
    here = [k for k in (0, 1) if m.shape[k] > 1 and (m.shape[k] <= longest or diagonal)]
    root = 2 * len(here) if root is None else root
    for n, cut in enumerate(blocks(m, size)):
        x = m[cut]
        Y = [np.eye(side) for side in x.shape]
        for k in here:
            S, Y[k] = kept.get((n, k), (initial * Y[k], Y[k]))
            square = x @ x.T if k == 0 else x.T @ x
            if m.shape[k] > longest:
                square = np.diag(np.diag(square))
            S = S + square if b2 is None else b2 * S + (1 - b2) * square
            if t >= start and (t - start) % frequency == 0:
                Y[k] = power(S if b2 is None else S / (1 - b2 ** (t + 1)), -1 / root, eps)
            kept[n, k] = S, Y[k]
        u[cut] = Y[0] @ x @ Y[1]
    return u.reshape(g.shape)


def magnitude(g, kept, t, *, kind, b2, eps):
    """The step of the method that lends its length."""
    square, b2 = kept.get("V", np.zeros_like(g)), 0.999 if b2 is None else b2
    if kind == "sgd":
        return g
    kept["V"] = V = square + g**2 if kind == "adagrad" else b2 * square + (1 - b2) * g**2
    return g / (np.sqrt(V / (1 - b2 ** (t + 1)) if kind == "adam" else V) + eps)


def shampoo(
    gradient, theta0, steps, *, eta, b1=0.9, b2=0.999, eps=1e-6, lam=0.0, kind="adam",
    graft_eps=1e-8, initial=0.0, root=None, frequency=10, start=0, size=1024, longest=10000,
    diagonal=False,
):  # fmt: skip
    """Shampoo with grafting (Anil et al. 2020): momentum of the grafted steps."""
    numbers = dict(
        b2=b2, eps=eps, initial=initial, root=root, frequency=frequency, start=start, size=size,
        longest=longest, diagonal=diagonal,
    )  # fmt: skip

    def rule(w, g, kept, t):
        u = shampoo_direction(g, kept, t, **numbers)
        if kind is not None:
            length = np.linalg.norm(magnitude(g, kept, t, kind=kind, b2=b2, eps=graft_eps))
            u = u * length / np.linalg.norm(u)
        kept["M"] = b1 * kept.get("M", 0.0) + (1 - b1) * u
        return at(eta, t) * (kept["M"] / (1 - b1 ** (t + 1)) + lam * w)

    return blockwise(gradient, theta0, steps, rule)


def soap_muon(
    gradient, theta0, steps, *, eta, b1=0.95, b2=0.95, b3=None, eps=1e-8, lam=0.0, frequency=10,
    longest=10000, skip=True, r=None, adam,
):  # fmt: skip
    """The orthogonal factor of SOAP's direction, scaled as Muon's; vectors by AdamW.

    `adam` holds its rate, both decays and its weight decay; they have one ε.
    """
    b3 = b2 if b3 is None else b3
    numbers = dict(b1=b1, b2=b2, b3=b3, eps=eps, frequency=frequency, longest=longest, skip=skip)

    def rule(w, g, kept, t):
        if w.ndim == 1:
            rate, beta1, beta2, decay = adam
            kept["m"] = beta1 * kept.get("m", 0.0) + (1 - beta1) * g
            kept["v"] = beta2 * kept.get("v", 0.0) + (1 - beta2) * g**2
            m, v = kept["m"] / (1 - beta1 ** (t + 1)), kept["v"] / (1 - beta2 ** (t + 1))
            return at(rate, t) * (m / (np.sqrt(v) + eps) + decay * w)
        n = soap_direction(g, kept, t, **numbers)
        u, s, vt = np.linalg.svd(n, full_matrices=False)
        u = u @ vt * (s[0] > 0)
        inputs, outputs = w.shape
        scale = max(1, outputs / inputs) ** 0.5 if r is None else r * max(w.shape) ** 0.5
        return at(eta, t) * (scale * u + lam * w)

    return blockwise(gradient, theta0, steps, rule)

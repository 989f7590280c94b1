"""Averages of the points of gradient descent, as sums of all of them, in NumPy.

Every function takes `gradient(theta, t)`, the start `theta0` and the number of `steps`, then its
hyperparameters by keyword, and returns the path [steps + 1, n] of the average. The descent has the
rate 0.3.
"""

import numpy as np

from . import at, trajectory

__all__ = ["ema", "polynomial", "swa"]


def _path(gradient, theta0, steps):
    return trajectory(theta0, steps, lambda theta, t: theta - 0.3 * gradient(theta, t))


def ema(gradient, theta0, steps, *, beta, debias=True):
    """Weights (1 − βₛ)·βₛ₊₁·…·βₜ of the point after step s; the start has the rest, or nothing."""
    path = _path(gradient, theta0, steps)
    out = [theta0]
    for t in range(1, steps + 1):
        betas = np.array([at(beta, s) for s in range(t)])  # of steps 1 to t
        after = np.concatenate([np.cumprod(betas[:0:-1])[::-1], [1.0]])
        weights = (1 - betas) * after
        if debias:
            out.append(weights @ path[1 : t + 1] / weights.sum())
        else:
            out.append(np.prod(betas) * path[0] + weights @ path[1 : t + 1])
    return np.stack(out)


def swa(gradient, theta0, steps, *, start, every=1):
    """Algorithm 1 of Izmailov et al. 2018: the mean of the point at `start` and those after it."""
    path = _path(gradient, theta0, steps)
    out = [path[t] if t < start else path[start : t + 1 : every].mean(0) for t in range(steps + 1)]
    return np.stack(out)


def polynomial(gradient, theta0, steps, *, eta):
    """Shamir and Zhang 2013, equation (6): shares (η + 1)/(t + η), written out as weights."""
    path = _path(gradient, theta0, steps)
    out = [theta0]
    for t in range(1, steps + 1):
        shares = np.array([(eta + 1) / (s + eta) for s in range(1, t + 1)])
        left = np.concatenate([np.cumprod(1 - shares[:0:-1])[::-1], [1.0]])
        out.append((shares * left) @ path[1 : t + 1])
    return np.stack(out)

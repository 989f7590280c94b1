"""Polar factors, by the definition."""

import numpy as np

__all__ = ["polar"]


def polar(gradient, theta0, steps, *, eta, beta):
    """θ ← θ − η·U·Vᵀ of the unbiased mean U·S·Vᵀ; a vector is a matrix of one column."""
    theta, mean, path = theta0.copy(), np.zeros_like(theta0), [theta0]
    for t in range(steps):
        mean = beta * mean + (1 - beta) * gradient(theta, t)
        u, _, vt = np.linalg.svd(mean[:6].reshape(2, 3), full_matrices=False)
        b = mean[6:]
        theta = theta - eta * np.concatenate([(u @ vt).ravel(), b / np.linalg.norm(b)])
        path.append(theta)
    return np.stack(path)

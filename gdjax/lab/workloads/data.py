"""Data of the workloads: made from seeds, or read from scikit-learn; NumPy arrays throughout.

Each function returns inputs and targets, those that train and those that validate.
"""

from __future__ import annotations

__all__ = ["Split", "community", "digits", "friedman", "mnist1d", "ratings", "sparse", "textures"]

import functools
from typing import Any, NamedTuple

import numpy as np

from gdjax.lab.problems import digits_data


class Split(NamedTuple):
    """Inputs and targets, the first axis over examples; the first `train` of them train."""

    inputs: Any
    targets: np.ndarray
    train: int

    @property
    def training(self) -> tuple[Any, np.ndarray]:
        """The examples that train."""
        return self.inputs[: self.train], self.targets[: self.train]

    @property
    def validation(self) -> tuple[Any, np.ndarray]:
        """The others."""
        return self.inputs[self.train :], self.targets[self.train :]


@functools.cache
def digits() -> Split:
    """Images [1797, 64] of digits in [0, 1] and their classes.

    Reference: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, 1998,
    https://doi.org/10.24432/C50P49
    """
    (x, y), (validating, classes) = digits_data()
    return Split(np.concatenate([x, validating]), np.concatenate([y, classes]), len(y))


# The ten shapes of MNIST-1D, each of twelve heights.
_TEMPLATES = np.array(
    [
        (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
        (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
        (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
        (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
        (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
        (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
        (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
        (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
        (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
        (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
    ]
)


@functools.cache
def mnist1d(count: int = 5000) -> Split:
    """MNIST-1D: signals [count, 40] and which of ten shapes made them, as its generator makes them.

    A shape, standardized and moved so that it begins at 0, is a sixth of that high. It is followed
    by 36 to 60 zeros, drawn on 72 places, scaled by 0.8 to 1.2 and shifted round by less than 48
    places; noise smoothed over two places (0.25) stands where the zeros were, white noise (0.02)
    everywhere; then it is sheared by at most 0.375 and drawn on 40 places. All signals together
    have mean 0 and deviation 1. Its random numbers are NumPy's, not those of the published file.

    Reference: Greydanus and Kobak, Scaling down deep learning with MNIST-1D, 2020,
    https://arxiv.org/abs/2011.14439
    """
    rng = np.random.default_rng(42)
    shapes = (_TEMPLATES - _TEMPLATES.mean(1, keepdims=True)) / _TEMPLATES.std(1, keepdims=True)
    shapes = (shapes - shapes[:, :1]) / 6
    classes = np.repeat(np.arange(10), -(-count // 10))[:count]
    signals = np.stack([_signal(shapes[c], rng) for c in classes])
    signals = (signals - signals.mean()) / signals.std()
    order = rng.permutation(count)
    return Split(signals[order].astype(np.float32), classes[order].astype(np.int32), count * 4 // 5)


def _signal(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    zeros, places = np.zeros(rng.integers(36, 61)), 72
    drawn, inside = (
        _drawn(np.concatenate([part, zeros]), places) for part in (shape, np.ones_like(shape))
    )
    shift = rng.integers(48)
    y, inside = np.roll((0.8 + 0.4 * rng.random()) * drawn, shift), np.roll(inside, shift) > 0
    y = np.where(inside, y, 0.25 * _smooth(rng.standard_normal(places), 2))
    y = y + 0.02 * rng.standard_normal(places)
    y = y - 0.75 * (rng.random() - 0.5) * np.linspace(-0.5, 0.5, places)
    return _drawn(y, 40)


def _drawn(x: np.ndarray, places: int) -> np.ndarray:
    return np.interp(np.linspace(0, 1, places), np.linspace(0, 1, len(x)), x)


def _smooth(x: np.ndarray, width: int) -> np.ndarray:
    at = np.arange(-4 * width, 4 * width + 1)
    kernel = np.exp(-0.5 * (at / width) ** 2)
    return np.convolve(np.pad(x, 4 * width, "symmetric"), kernel / kernel.sum(), mode="valid")


@functools.cache
def ratings(rows: int = 120, columns: int = 80, rank: int = 6) -> Split:
    """Places [n, 2] of 40 % of the entries of a matrix of low rank, and the entries with noise."""
    rng = np.random.default_rng(1)
    whole = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns)) / rank**0.5
    seen = np.argwhere(rng.random((rows, columns)) < 0.4)[:3600]
    seen = seen[rng.permutation(len(seen))]
    noisy = whole[tuple(seen.T)] + 0.1 * rng.standard_normal(len(seen))
    return Split(seen.astype(np.int32), noisy.astype(np.float32), 3000)


@functools.cache
def friedman(count: int = 2000) -> Split:
    """Ten features in [0, 1], of which five count, and a standardized target with noise.

        y = 10 sin(πx₁x₂) + 20 (x₃ − ½)² + 10 x₄ + 5 x₅ + z

    Reference: Friedman, Multivariate adaptive regression splines, 1991,
    https://doi.org/10.1214/aos/1176347963
    """
    rng = np.random.default_rng(2)
    x = rng.random((count, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y = y + 10 * x[:, 3] + 5 * x[:, 4] + rng.standard_normal(count)
    y = (y - y.mean()) / y.std()
    return Split(x.astype(np.float32), y.astype(np.float32), count * 4 // 5)


@functools.cache
def sparse(count: int = 1500, size: int = 500) -> Split:
    """Features [count, size] of which 20 count, of scales over two decades, and two classes."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((count, size)) * (rng.random((count, size)) < 0.2)
    w = np.where(np.arange(size) < 20, 4 * rng.choice([-1, 1], size), 0)
    y = rng.random(count) < 1 / (1 + np.exp(-x @ w))
    x = x * 10 ** rng.uniform(-1, 1, size)
    return Split(x.astype(np.float32), y.astype(np.float32), count * 4 // 5)


@functools.cache
def community(nodes: int = 300, classes: int = 4) -> tuple[np.ndarray, Split]:
    """A stochastic block model: the normalized adjacency [n, n]; features [n, 16] and classes.

    Nodes of a class are joined with probability 0.08, others with 0.02.

    Reference: Kipf and Welling, Semi-supervised classification with graph convolutional networks,
    2016, https://arxiv.org/abs/1609.02907
    """
    rng = np.random.default_rng(4)
    y = rng.integers(0, classes, nodes)
    joined = rng.random((nodes, nodes)) < np.where(y[:, None] == y, 0.08, 0.02)
    joined = np.triu(joined, 1)
    a = joined + joined.T + np.eye(nodes)
    degree = a.sum(1) ** -0.5
    x = 0.5 * rng.standard_normal((classes, 16))[y] + rng.standard_normal((nodes, 16))
    split = Split(x.astype(np.float32), y.astype(np.int32), nodes // 3)
    return (degree[:, None] * a * degree).astype(np.float32), split


@functools.cache
def textures(count: int = 1500, side: int = 8) -> Split:
    """Images [count, side, side, 3] of waves with noise, in ten classes of angle and colour."""
    rng = np.random.default_rng(5)
    classes = rng.integers(0, 10, count)
    angle = np.pi * (classes % 5) / 5 + 0.1 * rng.standard_normal(count)
    colour = np.array([[1, 0.3, -0.5], [-0.5, 0.3, 1]])[classes // 5]
    at = np.arange(side) - side / 2
    along = np.cos(angle)[:, None, None] * at[:, None] + np.sin(angle)[:, None, None] * at
    waves = np.sin(1.4 * along + rng.uniform(0, 2 * np.pi, (count, 1, 1)))
    x = waves[..., None] * colour[:, None, None] + 0.8 * rng.standard_normal((count, side, side, 3))
    return Split(x.astype(np.float32), classes.astype(np.int32), count * 4 // 5)

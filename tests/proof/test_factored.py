"""Adafactor, CAME and SM3, run exactly, against their formulas written out for a matrix."""

from fractions import Fraction

import numpy as np
import pytest

import gdjax as gd
from tests.proof.identities import collection

IDENTITIES, identity = collection()
HALF = Fraction(1, 2)


class Factors:
    """R and C, the means of the squares over columns and over rows."""

    def __init__(self):
        self.rows = self.columns = 0

    def root(self, x, squares, decay):
        """√(R·Cᵀ / mean(R)) after an update of both."""
        mix = lambda old, new: old * decay + new * (1 - decay)
        self.rows = mix(self.rows, squares.sum(1) / squares.shape[1])
        self.columns = mix(self.columns, squares.sum(0) / squares.shape[0])
        V = np.outer(self.rows, self.columns) / (self.rows.sum() / len(self.rows))
        return np.frompyfunc(x.field.root, 1, 1)(V)


def rms(x, m):
    """The root of the mean square of the entries."""
    return x.field.root((m * m).sum() / m.size)


def clipped(x, m, most):
    """No longer than an RMS of `most`."""
    size = rms(x, m)
    return m * most / size if x.field.sign(size - most) > 0 else m


@identity("scale_by_factored_rms", positive="a b c d e f")
def squares_of_rank_one(x):
    """V is g² + ε exactly where that has rank one."""
    tx = x.numbered(gd.scale_by_factored_rms(min_dim_size_to_factor=2, eps=0.0))
    g = np.outer(x.array("a b"), x.array("c d")) * [[1, -1], [1, 1]]
    yield x.updates(tx, [g, g])[1], x.array([[1, -1], [1, 1]])
    tx = x.numbered(gd.scale_by_factored_rms(min_dim_size_to_factor=2), eps="e")
    (got,) = x.updates(tx, [x.array([["a", "a"], ["a", "a"]])])
    yield got**2 * (x["a"] ** 2 + x["e"]), x.array([["a", "a"], ["a", "a"]]) ** 2


@identity("scale_by_factored_rms", positive="a eps")
def factored_second_moments(x):
    gradients = x.array([["a", 2], [1, 3], [1, -1]]), x.array([[2, 1], ["a", -1], [0, 3]])
    tx = gd.scale_by_factored_rms(decay_rate=1.0, min_dim_size_to_factor=2)
    factors = Factors()
    updates = x.updates(x.numbered(tx, eps="eps"), gradients)
    for g, got, decay in zip(gradients, updates, (0, Fraction(1, 2))):  # 1 − t^−1
        yield got, g / factors.root(x, g * g + x["eps"], decay)
    late = gd.scale_by_factored_rms(decay_rate=1.0, step_offset=1.0, min_dim_size_to_factor=2)
    for g, got in zip(gradients, x.updates(x.numbered(late, eps="eps"), gradients)):
        yield got, g / Factors().root(x, g * g + x["eps"], 0)  # t is 1 in both steps
    whole = gd.scale_by_factored_rms(False, 1.0)
    v = 0
    for g, got, decay in zip(
        gradients, x.updates(x.numbered(whole, eps="eps"), gradients), (0, Fraction(1, 2))
    ):
        v = v * decay + (g * g + x["eps"]) * (1 - decay)
        yield got * np.frompyfunc(x.field.root, 1, 1)(v), g


@identity("adafactor", positive="a rate decay")
def adafactor(x):
    gradients = x.array([["a", 2], [1, 3]]), x.array([[2, 1], [3, 4]])
    W = x.array([[1, 2], [3, 4]])
    tx = gd.adafactor(
        0.1, 2, 1.0, momentum=0.75, weight_decay_rate=0.1, eps=0.0, clipping_threshold=0.5
    )
    tx = x.numbered(tx, learning_rate="rate", weight_decay_rate="decay")
    factors, m = Factors(), 0
    for g, got, decay in zip(gradients, x.updates(tx, gradients, W), (0, Fraction(1, 2))):
        u = clipped(x, g / factors.root(x, g * g, decay), Fraction(1, 2))
        m = m * Fraction(3, 4) + u * (x["rate"] * rms(x, W) / 4)
        yield got, -m - W * (x["rate"] * x["decay"])


@identity("scale_by_came", positive="a b c d")
def came(x):
    size = np.outer(x.array("a b"), x.array("c d"))  # so that g / √V is the sign of g
    signs = np.array([[1, -1], [1, 1]]), np.array([[1, 1], [-1, 1]]), np.array([[1, 1], [1, 1]])
    tx = x.numbered(gd.scale_by_came(0.5, 0.75, 0.75, 0.0, 0.01, 0.5))
    residuals, m = Factors(), 0
    for sign, got in zip(signs, x.updates(tx, [size * sign for sign in signs])):
        m = (m + x.array(sign) / 2) / 2  # clipped to 1/2
        S = residuals.root(x, (x.array(sign) / 2 - m) ** 2 + Fraction(1, 100), Fraction(3, 4))
        yield got * S, m


@identity("scale_by_sm3", positive="eps")
def sm3(x):
    gradients = x.array([[4, 2, 1], [1, 3, 5]]), x.array([[2, 1, 6], [5, -4, 1]])
    for b2, share in ((1, 1), (HALF, HALF)):  # sums, and means
        rows, columns, m = x.array([0, 0]), x.array([0, 0, 0]), 0
        tx = x.numbered(gd.scale_by_sm3(0.5, float(b2)), eps="eps")
        for g, got in zip(gradients, x.updates(tx, gradients)):
            least = [[min(r, c, key=as_fraction) for c in columns] for r in rows]
            v = x.array(least) * b2 + g * g * share
            rows, columns = ([max(line, key=as_fraction) for line in lines] for lines in (v, v.T))
            m = (m + g / np.frompyfunc(x.field.root, 1, 1)(v + x["eps"])) / 2
            yield got, m


def as_fraction(number):
    """A number without symbols."""
    return number.rational()


@pytest.mark.parametrize("each", IDENTITIES, ids=lambda each: each.name)
def test_identities(each):
    assert not each.refuted()

"""Polynomials for polar factors: what they make of singular values."""

from __future__ import annotations

import numpy as np
import pytest

from gdjax.core.matrix import polar_coefficients


@pytest.mark.parametrize(
    "name, steps, least, low, high",
    [
        ("standard", 5, 1e-3, 0.4705, 1.2024),
        ("standard", 5, 1e-2, 0.6818, 1.1344),
        ("polar_express", 5, 1e-3, 0.8764, 1.1236),
        ("polar_express", 8, 1e-3, 1.0, 1.0005),
        ("deepseek", 10, 1e-3, 1.0, 1.0005),
        ("classical", 20, 1e-3, 1.0, 1.0),
    ],
)
def test_where_singular_values_end(name, steps, least, low, high):
    values = polar_coefficients.apply(
        polar_coefficients.polynomials(name, steps), np.geomspace(least, 1, 20001)
    )
    np.testing.assert_allclose([values.min(), values.max()], [low, high], atol=1e-3)


def test_polar_express_begins_as_in_the_paper():
    """The first of its list of coefficients; the last no longer changes anything."""
    first, second = polar_coefficients.polar_express(8)[:2]
    np.testing.assert_allclose(
        first, [8.28721201814563, -23.595886519098837, 17.300387312530933], rtol=1e-12
    )
    assert second[0] < 5 and polar_coefficients.polar_express(8)[-1] == pytest.approx(
        (1.875, -1.25, 0.375)
    )


def test_without_a_cushion_none_is_better():
    """The error goes to the same size at both ends and twice between."""
    ((a, b, c),) = polar_coefficients.polar_express(1, lower=0.1, cushion=0.0)
    error = 1 - polar_coefficients.apply([(a, b, c)], np.linspace(0.1, 1, 100001))
    turns = np.flatnonzero(np.diff(np.sign(np.diff(error)))) + 1
    found = error[[0, *turns, -1]]
    np.testing.assert_allclose(found, found[0] * np.array([1, -1, 1, -1]), rtol=1e-6)

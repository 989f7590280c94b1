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
        ("dion", 5, 1e-3, 0.4750, 1.1450),
        ("dion", 5, 1e-2, 0.9778, 1.0318),
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


def test_deepseek_has_the_standard_steps_and_two_that_lead_to_1():
    standard, polish = (3.4445, -4.7750, 2.0315), (2.0, -1.5, 0.5)
    for steps in (3, 10):
        expected = (standard,) * (steps - 2) + (polish,) * 2
        assert polar_coefficients.polynomials("deepseek", steps) == expected


@pytest.mark.parametrize(
    ("dtype", "safety"), [(None, 1.0), ("float32", 1.0), ("float16", 1.01), ("bfloat16", 1.01)]
)
def test_in_16_bits_polynomials_are_for_singular_values_a_little_over_1(dtype, safety):
    steps = polar_coefficients.polar_steps("test", "backend", "polar_express", 5, dtype)
    assert steps == polar_coefficients.polar_express(5, safety=safety)
    plain = polar_coefficients.polar_express(5)
    powers = np.asarray([safety, safety**3, safety**5])
    np.testing.assert_allclose(np.asarray(steps[:-1]) * powers, plain[:-1], rtol=1e-12)
    assert steps[-1] == plain[-1]


def test_polar_express_begins_as_in_the_paper():
    """The first of its list of coefficients; the last no longer changes anything."""
    first, second = polar_coefficients.polar_express(8)[:2]
    np.testing.assert_allclose(
        first, [8.28721201814563, -23.595886519098837, 17.300387312530933], rtol=1e-12
    )
    assert second[0] < 5 and polar_coefficients.polar_express(8)[-1] == pytest.approx(
        (1.875, -1.25, 0.375)
    )


@pytest.mark.parametrize("lower", [0.1, 0.8, 0.95])
def test_without_a_cushion_none_is_better(lower):
    """The error goes to the same size at both ends and twice between."""
    ((a, b, c),) = polar_coefficients.polar_express(1, lower=lower, cushion=0.0)
    error = 1 - polar_coefficients.apply([(a, b, c)], np.linspace(lower, 1, 100001))
    turns = np.flatnonzero(np.diff(np.sign(np.diff(error)))) + 1
    found = error[[0, *turns, -1]]
    np.testing.assert_allclose(found, found[0] * np.array([1, -1, 1, -1]), rtol=1e-6)


@pytest.mark.parametrize("middle", [0.5, 1.0, 2.0])
def test_near_one_singular_value_it_is_taylors_polynomial(middle):
    """p = 1, p′ = p″ = 0 there."""
    a, b, c = polar_coefficients._best(middle - 1e-7, middle + 1e-7)
    p = np.polynomial.Polynomial([0, a, 0, b, 0, c])
    found = [p(middle), middle * p.deriv()(middle), middle**2 * p.deriv(2)(middle)]
    np.testing.assert_allclose(found, [1, 0, 0], atol=1e-12)


def test_a_triple_is_of_every_step():
    triples = [(3.0, -1.0, 0.5), (2.0, 0.0, 1.0)]
    steps = lambda given: polar_coefficients.polar_steps("test", "backend", given, 3)
    assert steps(triples[0]) == (triples[0],) * 3
    assert steps(triples) == tuple(triples) and steps("svd") == "svd"

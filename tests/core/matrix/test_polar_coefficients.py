"""Polynomials for polar factors: what they make of singular values."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.core.matrix import polar, polar_coefficients


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
        ("cans", 7, 1e-3, 0.7, 1.3),
        ("cans", 10, 1e-3, 1.0, 1.0),
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


# Of the paper's appendix, and of the packages that took its coefficients; to all digits.
PUBLISHED = {
    (7, 9e-4): """5.181702879894027 -5.177039351076183 2.585422564566848 -0.647862782007566
        2.565592012027513 -0.645264570196127 2.516223347431526 -0.638782620243433
        2.401068707564606 -0.623585125272674 2.170844761790119 -0.592849780534662
        1.839437716819516 -0.547668362229117""",
    (9, 8.5e-4): """5.182503604966906 -5.178098480082684 2.586120737395915 -0.6479542005271643
        2.567364126726186 -0.6454968804392178 2.520560084348265 -0.6393528082067044
        2.410759275435182 -0.6248683598710716 2.1883348130094173 -0.5952022073798908
        1.8595760874873613 -0.5504490972723968 1.589020160467417 -0.5126569802066718
        1.5051653981684994 -0.5007377068751799""",
}


@pytest.mark.parametrize("steps, lower", PUBLISHED)
def test_cans_is_as_published(steps, lower):
    """The paper's seven are for [9·10⁻⁴, 1], where δ = 0.3 allows 8.93·10⁻⁴."""
    published = np.array(PUBLISHED[steps, lower].split(), float).reshape(steps, 2)
    found = np.array(polar_coefficients.cans(steps, lower=lower))
    np.testing.assert_allclose(found[:, :2], published, rtol=3e-13)
    assert not found[:, 2].any()


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("delta", [0.05, 0.3, 0.9])
def test_no_cubic_polynomial_is_better(steps, delta):
    """Each has an error of the same size and alternating signs at three points, the last δ."""
    low, high = 0.0, 1.0
    for a, b, _ in (triples := polar_coefficients.cans(steps, delta, 1e-9)):
        top = (a / (-3 * b)) ** 0.5  # where p′ is 0
        low = low or -high / 2 + (-a / b - 0.75 * high**2) ** 0.5  # l² + l·h + h² is −a/b
        assert low < top < high
        ends = polar_coefficients.apply([(a, b, 0)], np.array([low, top, high]))
        low, high = ends[0], ends[1]
        np.testing.assert_allclose(ends - 1, (high - 1) * np.array([-1, 1, -1]), rtol=1e-9)
    assert high - 1 == pytest.approx(delta, rel=1e-9) and len(triples) == steps


def test_cans_of_degree_5_is_polar_express_for_the_interval_of_delta():
    values = polar_coefficients.apply(
        polar_coefficients.cans(4, degree=5), np.geomspace(2.1359546e-3, 1, 20001)
    )
    np.testing.assert_allclose([values.min(), values.max()], [0.7, 1.3], atol=1e-6)
    assert polar_coefficients.cans(6, degree=5) == polar_coefficients.polar_express(6, 8.5e-4, 0.0)
    with pytest.raises(ValueError, match="cans: degree must be 3 or 5, got 7"):
        polar_coefficients.cans(6, degree=7)


@pytest.mark.parametrize("name", ["delta", "lower"])
def test_cans_needs_fractions(name):
    for number in (0.0, 1.0):
        with pytest.raises(ValueError, match=rf"cans: {name} must lie in \(0, 1\), got {number}"):
            polar_coefficients.cans(3, **{name: number})


def test_cubic_polynomials_need_two_products():
    def products(name, gram):
        run = polar.gram_newton_schulz if gram else polar.newton_schulz
        how = polar_coefficients.polynomials(name, 3)
        lowered = jax.jit(lambda x: run(x, how)).lower(jnp.ones((2, 5)))
        return lowered.as_text().count("dot_general")

    # The loop of CPUs has one step.
    assert [products(name, False) for name in ("cans", "standard")] == [2, 3]
    assert [products(name, True) for name in ("cans", "standard")] == [8, 11]


@pytest.mark.parametrize("middle", [0.5, 1.0, 2.0])
def test_near_one_singular_value_it_is_taylors_polynomial(middle):
    """p = 1, p′ = p″ = 0 there."""
    a, b, c = polar_coefficients._best(middle - 1e-7, middle + 1e-7)
    p = np.polynomial.Polynomial([0, a, 0, b, 0, c])
    found = [p(middle), middle * p.deriv()(middle), middle**2 * p.deriv(2)(middle)]
    np.testing.assert_allclose(found, [1, 0, 0], atol=1e-12)


def test_there_is_a_longest_iteration():
    steps = lambda count: polar_coefficients.polar_steps("here", "steps", "classical", count)
    assert len(steps(100)) == 100
    for count in (0, 101):
        with pytest.raises(ValueError, match=f"here: .* must have 1 to 100 steps, got {count}"):
            steps(count)


def test_a_triple_is_of_every_step():
    triples = [(3.0, -1.0, 0.5), (2.0, 0.0, 1.0)]
    steps = lambda given: polar_coefficients.polar_steps("test", "backend", given, 3)
    assert steps(triples[0]) == (triples[0],) * 3
    assert steps(triples) == tuple(triples) and steps("svd") == "svd"

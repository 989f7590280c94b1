"""Exact arithmetic: roots with their relations, signs by cases, and digits with error bounds."""

import math
from fractions import Fraction

import pytest

from gdjax.proof.digits import Digits
from gdjax.proof.number import Choice, Unsupported
from gdjax.proof.program import exact
from gdjax.proof.symbols import Symbols, flint


def field(**signs):
    return Symbols(["b"], ["eps"], ["g", "h"], signs, {})


ONE = field(g=1)
B, EPS, G, H = (ONE.symbol[name] for name in ("b", "eps", "g", "h"))
IDENTITIES = {
    "a root squared": (ONE.root(G * G + EPS) ** 2, G * G + EPS),
    "of a square": (ONE.root(G * G), G),
    "of a product": (ONE.root(EPS * (1 - B)), ONE.root(EPS) * ONE.root(1 - B)),
    "of a quotient": (ONE.root(EPS / (1 - B)), ONE.root(EPS) / ONE.root(1 - B)),
    "of a number": (ONE.root(ONE.number(Fraction(8, 9))), ONE.root(ONE.number(2)) * 2 / 3),
    "cubic": (ONE.root(-(G**3) * EPS**4, 3), -G * EPS * ONE.root(EPS, 3)),
    "in a denominator": (1 / (ONE.root(EPS) + 1), (1 - ONE.root(EPS)) / (1 - EPS)),
    "a decay": ((1 - B) / (1 - B * B), 1 / (1 + B)),
    "a power by logarithms": (ONE.function("exp", 3 * ONE.function("log", B)), B**3),
    "half a power": (ONE.function("exp", ONE.function("log", EPS) / 2), ONE.root(EPS)),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities(name):
    left, right = IDENTITIES[name]
    assert ONE.is_zero(left - right)
    assert not ONE.is_zero(left - right * Fraction(1001, 1000))


@pytest.mark.parametrize(
    ("x", "sign"),
    [
        (B, 1),
        (1 - B, 1),
        (B * B - 1, -1),
        (G - G, 0),
        (-EPS * G, -1),
        (ONE.root(EPS) + G * H * H, 1),
    ],
)
def test_signs_that_follow(x, sign):
    assert ONE.sign(x) == sign


def test_a_sign_that_does_not_follow_is_a_choice():
    with pytest.raises(Choice, match="eps - g"):
        ONE.sign(G - EPS)
    chosen = field(g=1, **{"eps - g": -1})
    assert chosen.sign(3 * (chosen.symbol["g"] - chosen.symbol["eps"])) == 1


@pytest.mark.parametrize("x", [G / (H - H), 1 / (H - H), G * math.nan, math.nan / G])
def test_division_by_zero_is_nan_and_equal_to_nothing(x):
    assert math.isnan(x)
    assert not ONE.is_zero(x)


def test_too_many_roots():
    with pytest.raises(Unsupported, match="24 roots"):
        for n in range(2, 40):
            ONE.root(EPS + n)


@pytest.mark.parametrize(
    ("literal", "meant"),
    [
        *((0.1, "1/10"), (1 - 0.9, "1/10"), (2 / 3, "2/3"), (1e-30, f"1/{10**30}")),
        *((-3.0, "-3"), (1 - 0.98, "1/50"), (0.12345678901, "12345678901/100000000000")),
    ],
)
def test_literals(literal, meant):
    assert exact(literal) == Fraction(meant)


def test_digits_know_their_error():
    point = Digits({"b": Fraction(9, 10)})
    b = point.symbol["b"]
    assert point.is_zero(point.root(b) ** 2 - b)
    assert not point.is_zero(b - point.number(Fraction(9, 10) + Fraction(1, 10**39)))
    assert point.sign(b - 1) == -1
    with pytest.raises(ArithmeticError, match="sign"):
        point.sign(flint.arb(0, 1))

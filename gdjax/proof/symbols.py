"""Exact arithmetic on symbols: rational functions with roots, and signs by cases.

A number is a fraction of polynomials in lowest terms. A root, or exp, log, tanh and cos of a
number, is a variable of its own, with the relation rⁿ = argument where it is a root. Where the sign
of a polynomial does not follow from the assumptions, the proof goes through both.
"""

from __future__ import annotations

__all__ = ["BITS", "Symbols", "ball", "flint"]

import math
from fractions import Fraction
from typing import Any

from gdjax.proof.number import Choice, Number, Root, Unsupported

try:
    import flint as _flint
except ImportError:  # `prove` says so
    _flint = None
flint: Any = _flint

_PLACES = 24  # roots and values of functions that one proof may need
BITS = 512  # of numbers whose signs or digits are asked for


class Symbols:
    """The field of rational functions of named symbols, extended by roots as they occur.

    Args:
        decays: Names of symbols in (0, 1). Each is 1 / (1 + a), and a > 0 is the variable.
        positive: Names of symbols above 0.
        others: Names of symbols that are not 0.
        signs: The signs that are chosen, 1 or −1, of polynomials by their text.
        factors: A memory of factorizations, for all cases with the same names.
    """

    def __init__(
        self,
        decays: list[str],
        positive: list[str],
        others: list[str],
        signs: dict[str, int],
        factors: dict[str, Any] | None = None,
    ) -> None:
        places = [f"r{i}" for i in range(_PLACES)]
        odds = [f"odds_{name}" for name in decays]
        names = [*odds, *positive, *others, *places]
        self.context = flint.fmpz_mpoly_ctx.get(names, "degrevlex")
        variables = dict(zip(names, self.context.gens()))
        self.one, self.zero = self.context.constant(1), self.context.constant(0)
        self.signs, self.factors = signs, {} if factors is None else factors
        self.places: list[Root | tuple[str, Any]] = []
        self.variables = self.context.gens()
        self.first_place = len(names) - _PLACES
        self.known_signs = [1] * (len(odds) + len(positive)) + [0] * (len(others) + _PLACES)
        self.symbol = {name: self.fraction(variables[name], self.one) for name in positive + others}
        for name, odd in zip(decays, odds):
            self.symbol[name] = self.fraction(self.one, self.one + variables[odd])

    def number(self, x: Any) -> Any:
        """A number of Python as one of this field; infinities and NaN stay as they are."""
        if isinstance(x, (Number, float)):
            return x
        x = Fraction(x)
        top, bottom = self.context.constant(x.numerator), self.context.constant(x.denominator)
        return Number(self, top, bottom)

    def fraction(self, top: Any, bottom: Any) -> Number:
        """A fraction in lowest terms, with no power of a root that its relation gives."""
        if not top:
            return Number(self, self.zero, self.one)
        for polynomial in (top, bottom):
            if (place := self._high_power(polynomial)) is not None:
                return self._lowered(top, place) / self._lowered(bottom, place)
        common = top.gcd(bottom)
        if common != 1:
            top, bottom = top / common, bottom / common
        if bottom.leading_coefficient() < 0:
            top, bottom = -top, -bottom
        return Number(self, top, bottom)

    def _factored(self, polynomial: Any) -> tuple[int, list[tuple[Any, int]]]:
        key = str(polynomial)
        if key not in self.factors:
            self.factors[key] = _factors(polynomial)
        return self.factors[key]

    def _high_power(self, polynomial: Any) -> int | None:
        if not self.places or polynomial.is_constant():
            return None
        degrees = polynomial.degrees()[self.first_place :]
        for i in reversed(range(len(self.places))):
            place = self.places[i]
            if isinstance(place, Root) and degrees[i] >= place.degree:
                return i
        return None

    def _lowered(self, polynomial: Any, i: int) -> Number:
        """A polynomial with rⁿ replaced by what r is the n-th root of."""
        argument, degree = self.places[i]  # type: ignore
        at, parts = self.first_place + i, {}
        for powers, coefficient in polynomial.to_dict().items():
            whole, left = divmod(powers[at], degree)
            parts.setdefault(whole, {})[(*powers[:at], left, *powers[at + 1 :])] = coefficient
        out = self.number(0)
        for whole, terms in parts.items():
            out = out + Number(self, self.context.from_dict(terms), self.one) * argument**whole
        return out

    def is_zero(self, x: Any) -> bool:
        """Whether x is 0 for all values of the symbols."""
        return isinstance(x, Number) and not x.top

    def rational(self, x: Any) -> Fraction | None:
        """The number without symbols that x is, None if it has some."""
        return x.rational() if isinstance(x, Number) else None

    def sign(self, x: Any) -> int:
        """−1, 0 or 1.

        Raises:
            Choice: The assumptions allow both signs; its argument is what has to be chosen.
        """
        if isinstance(x, float):
            return int(x > 0) - int(x < 0)
        out = 1
        for polynomial in (x.top, x.bottom):
            constant, factors = self._factored(polynomial)
            out *= (constant > 0) - (constant < 0)
            for factor, n in factors:
                out *= self._sign(factor) if n % 2 else 1
        return out

    def _sign(self, factor: Any) -> int:
        """The sign of an irreducible polynomial."""
        if (known := self._known_sign(factor)) is not None:
            return known
        if (ball := self._ball(factor)) is not None:
            return (ball > 0) - (ball < 0)
        for sense in (1, -1):
            if str(sense * factor) in self.signs:
                return sense * self.signs[str(sense * factor)]
        raise Choice(str(factor))

    def _ball(self, polynomial: Any) -> Any:
        """The value of a polynomial in roots of numbers, not 0; None if there are symbols in it."""
        if any(polynomial.degrees()[: self.first_place]):
            return None
        with flint.ctx.workprec(BITS):
            degrees = polynomial.degrees()[self.first_place :]
            values = [self._place_ball(i) if n else None for i, n in enumerate(degrees)]
            total = flint.arb(0)
            for powers, coefficient in polynomial.to_dict().items():
                term = flint.arb(coefficient)
                for value, power in zip(values, powers[self.first_place :]):
                    if power and value is None:
                        return None
                    term = term * value**power if power else term
                total += term
            return total if total > 0 or total < 0 else None

    def _place_ball(self, i: int) -> Any:
        """The value of a root of a number, or of a function of one; None if symbols are in it."""
        meaning = self.places[i]
        argument, kind = (meaning.argument, "") if isinstance(meaning, Root) else meaning[::-1]
        top, bottom = (self._ball(p) for p in (argument.top, argument.bottom))
        if top is None or bottom is None:
            return None
        x = top / bottom
        return x.root(meaning.degree) if isinstance(meaning, Root) else getattr(x, kind)()

    def _known_sign(self, polynomial: Any) -> int | None:
        """The sign, if all terms have the same one."""
        found = set()
        for powers, coefficient in polynomial.to_dict().items():
            sign = (coefficient > 0) - (coefficient < 0)
            for i, power in enumerate(powers):
                if power % 2:
                    sign *= self.known_signs[i] or self.signs.get(str(self.variables[i]), 0)
            found.add(sign)
        return found.pop() if len(found) == 1 and 0 not in found else None

    def root(self, x: Any, degree: int = 2) -> Any:
        """The n-th root of x ≥ 0, or of any x for odd n."""
        if isinstance(x, float) or not x.top:
            return x
        if degree % 2 and self.sign(x) < 0:
            return -self.root(-x, degree)
        out, rest = self.number(1), self.number(1)
        for polynomial, way in ((x.top, 1), (x.bottom, -1)):
            constant, factors = self._factored(polynomial)
            rest = rest * (1 if constant > 0 else -1)
            for prime, n in flint.fmpz(abs(constant)).factor():
                out = out * self._power(self.number(int(prime)), n, degree) ** way
            for factor, n in factors:
                number = Number(self, factor, self.one)
                if sign := self._known_sign(factor):
                    rest = rest * sign**n
                    out = out * self._power(number * sign, n, degree) ** way
                    continue
                whole, left = divmod(n, degree)
                if left:
                    rest = rest * number ** (left * way)
                if whole:
                    size = number if degree % 2 or whole % 2 == 0 else number * self.sign(number)
                    out = out * size ** (whole * way)
        return out if rest == self.number(1) else out * self._variable(Root(rest, degree))

    def _power(self, base: Number, n: int, degree: int) -> Number:
        """base^(n/degree) of a base > 0, by a root of the least degree."""
        whole, left = divmod(n, degree)
        common = math.gcd(left, degree)
        out = base**whole
        if not left:
            return out
        return out * self._variable(Root(base, degree // common)) ** (left // common)

    def floor(self, x: Any) -> int:
        """⌊x⌋ of a constant."""
        if isinstance(x, float) or (rational := x.rational()) is None:
            raise Unsupported(f"the floor of {x}")
        return math.floor(rational)

    def function(self, name: str, x: Any) -> Any:
        """exp, log, tanh or cos of x, exactly where it is rational, else a variable of its own."""
        if isinstance(x, float):
            return getattr(math, name)(x)
        if name == "log" and x == self.number(1) or name == "tanh" and not x.top:
            return self.number(0)
        if name in ("exp", "cos") and not x.top:
            return self.number(1)
        if name == "exp" and (power := self._power_in(x)):
            base, n = power
            return self.root(base, n.denominator) ** n.numerator
        return self._variable((name, x))

    def _power_in(self, x: Number) -> tuple[Number, Fraction] | None:
        """The b and c for which x is c·log b, with a rational c: exp x is bᶜ then."""
        for i, place in enumerate(self.places):
            if not isinstance(place, Root) and place[0] == "log":
                ratio = x / Number(self, self.variables[self.first_place + i], self.one)
                if (n := ratio.rational()) is not None:
                    return place[1], n
        return None

    def _variable(self, meaning: Any) -> Number:
        if meaning not in self.places:
            if len(self.places) == _PLACES:
                raise Unsupported(f"more than {_PLACES} roots and values of functions")
            self.places.append(meaning)
            if isinstance(meaning, Root) or meaning[0] == "exp":
                self.known_signs[self.first_place + len(self.places) - 1] = 1
        at = self.first_place + self.places.index(meaning)
        return Number(self, self.variables[at], self.one)


def ball(x: Fraction) -> Any:
    """A number as an interval of known digits."""
    return flint.arb(flint.fmpq(x.numerator, x.denominator))


def _factors(polynomial: Any) -> tuple[int, list[tuple[Any, int]]]:
    """A constant and irreducible factors with their powers."""
    try:
        constant, factors = polynomial.factor()
        return int(constant), factors
    except OverflowError:  # python-flint cannot sort factors of large coefficients
        return 1, [(polynomial, 1)]

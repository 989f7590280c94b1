"""Exact arithmetic on symbols with π, cosines of its rational multiples, and floors of constants.

cos πq is rational at 0, 1/3, 1/2, 2/3 and 1 only; everywhere else it is a variable, whose square is
(1 + cos 2πq)/2. Every number of 16 digits of a program that is a simple multiple of π means it.
"""

from __future__ import annotations

__all__ = ["Angles"]

import math
from fractions import Fraction
from typing import Any

from gdjax.proof.number import Number, Root, Unsupported
from gdjax.proof.program import exact
from gdjax.proof.symbols import BITS, Symbols, ball, flint

_PI = ("π", None)
_MULTIPLES = {exact(q * math.pi): Fraction(q) for q in (0.25, 0.5, 1.0, 2.0)}
_COSINES = {Fraction(0): 1, Fraction(1, 3): Fraction(1, 2), Fraction(1, 2): 0}


class _Cosine(Root):
    """cos πq as a variable that was not squared yet: q in (0, 1/2), and 2."""


class Angles(Symbols):
    """The fractions of `Symbols`, with π, cosines, sines, and the order of constants."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.cosines: dict[Fraction, Number] = {}
        self.turns: dict[int, Fraction] = {}  # of cosines, by their place
        self.constants: dict[Any, Any] = {}

    def number(self, x: Any) -> Any:
        """A number of Python as one of this field."""
        if isinstance(x, (Number, float)):
            return x
        if x not in self.constants:
            turns = _MULTIPLES.get(x)
            self.constants[x] = super().number(x) if turns is None else self.pi * turns
        return self.constants[x]

    def fraction(self, top: Any, bottom: Any) -> Number:
        """Top / bottom in lowest terms."""
        known = Number(self, top, bottom).rational()
        return super().fraction(top, bottom) if known is None else self.number(known)

    @property
    def pi(self) -> Number:
        """π, a variable."""
        out = self._variable(_PI)
        self.known_signs[self.first_place + self.places.index(_PI)] = 1
        return out

    def function(self, name: str, x: Any) -> Any:
        """exp, log, tanh, cos or sin of x."""
        if name == "log" and (known := self.rational(x)) is not None:
            return self._log(known, x)
        if isinstance(x, float) or name not in ("cos", "sin"):
            return super().function(name, x)
        x = self.pi / 2 - x if name == "sin" else x
        turn = self.rational(x / self.pi)
        return super().function("cos", x) if turn is None else self.cosine(turn)

    def _log(self, known: Fraction, x: Number) -> Any:
        """The log of a constant, as a multiple of an earlier one where x is a power of its y."""
        logs = [place for place in self.places if not isinstance(place, Root) and place[0] == "log"]
        for place in logs if known > 0 and known != 1 else ():
            if (y := self.rational(place[1])) is not None:
                ratio = float(ball(known).log() / ball(y).log())
                power = Fraction(ratio).limit_denominator(64)
                if power and known**power.denominator == y**power.numerator:
                    return self._variable(place) * power
        return super().function("log", x)

    def cosine(self, turn: Fraction) -> Any:
        """Cos πq."""
        turn = min(turn % 2, -turn % 2)
        if turn > Fraction(1, 2):
            return -self.cosine(1 - turn)
        if turn in _COSINES:
            return self.number(_COSINES[turn])
        if turn not in self.cosines:
            self.cosines[turn] = self._variable(_Cosine(turn, 2))  # type: ignore
            self.turns[len(self.places) - 1] = turn
        return self.cosines[turn]

    def _lowered(self, polynomial: Any, i: int) -> Number:
        if isinstance(self.places[i], _Cosine):
            self.places[i] = Root((1 + self.cosine(2 * self.turns[i])) / 2, 2)
        return super()._lowered(polynomial, i)

    def floor(self, x: Any) -> int:
        """⌊x⌋ of a constant."""
        if self.rational(x) is not None or isinstance(x, float):
            return super().floor(x)
        top, bottom = self._ball(x.top), self._ball(x.bottom)
        with flint.ctx.workprec(BITS):
            whole = None if top is None or bottom is None else (top / bottom).floor().unique_fmpz()
        if whole is None:
            raise Unsupported(f"the floor of {x}")
        return int(whole)

    def _place_ball(self, i: int) -> Any:
        if self.places[i] == _PI:
            return flint.arb.pi()
        if i in self.turns:
            return (ball(self.turns[i]) * flint.arb.pi()).cos()
        return super()._place_ball(i)

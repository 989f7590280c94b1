"""Arithmetic with error bounds at a point: every number is an interval of known digits."""

from __future__ import annotations

__all__ = ["DIGITS", "Digits"]

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from gdjax.proof.symbols import BITS, ball, flint

DIGITS = 40


class Digits:
    """Balls of real numbers, with 150 digits to begin with.

    Args:
        values: The point: a rational number for each symbol.
    """

    def __init__(self, values: Mapping[str, Fraction]) -> None:
        flint.ctx.prec = BITS
        self.symbol = {name: self.number(value) for name, value in values.items()}

    def number(self, x: Any) -> Any:
        """A number of Python as a ball; infinities and NaN stay as they are."""
        if isinstance(x, (flint.arb, float)):
            return x
        return ball(Fraction(x))

    def is_zero(self, x: Any) -> bool:
        """Whether the first 40 digits behind the point are 0, with their error."""
        return isinstance(x, flint.arb) and bool(abs(x) < flint.arb(10) ** -DIGITS)

    def rational(self, x: Any) -> Fraction | None:
        """The binary number of few digits that x is, None if it is none."""
        if not (x.is_exact() and x.is_finite()):
            return None
        digits, power = map(int, x.man_exp())
        return Fraction(digits) * Fraction(2) ** power if abs(power) < 10 else None

    def sign(self, x: Any) -> int:
        """−1, 0 or 1; 0 for what is 0 in the first 40 digits.

        Raises:
            ArithmeticError: The digits do not decide.
        """
        if isinstance(x, float) or x > 0 or x < 0 or self.is_zero(x):
            return int(x > 0) - int(x < 0)
        raise ArithmeticError(f"the sign of {x} is not known")

    def floor(self, x: Any) -> int:
        """⌊x⌋, where the digits decide it."""
        whole = None if isinstance(x, float) else x.floor().unique_fmpz()
        if whole is None:
            raise ArithmeticError(f"the floor of {x} is not known")
        return int(whole)

    def root(self, x: Any, degree: int = 2) -> Any:
        """The n-th root of x ≥ 0, or of any x for odd n."""
        if isinstance(x, float) or self.is_zero(x):
            return x if isinstance(x, float) else self.number(0)
        return -((-x).root(degree)) if x < 0 and degree % 2 else x.root(degree)

    def function(self, name: str, x: Any) -> Any:
        """exp, log, tanh or cos of x."""
        return getattr(math, name)(x) if isinstance(x, float) else getattr(x, name)()

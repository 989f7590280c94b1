"""A fraction of polynomials in lowest terms, with the arithmetic of its field."""

from __future__ import annotations

__all__ = ["Choice", "Number", "Root", "Unsupported", "cases"]

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple


class Choice(Exception):
    """The sign of a polynomial is needed, and nothing decides it."""


def cases(judge: Callable[[dict[str, int]], Any]) -> Iterator[tuple[dict[str, int], Any]]:
    """The results of a function of chosen signs, for all combinations of those that it asks for."""
    pending: list[dict[str, int]] = [{}]
    while pending:
        signs = pending.pop()
        try:
            found = judge(signs)
        except Choice as choice:
            pending += [{**signs, choice.args[0]: sign} for sign in (1, -1)]
        else:
            yield signs, found


class Unsupported(ValueError):
    """Something that this arithmetic cannot do."""


class Root(NamedTuple):
    """What a variable stands for: rⁿ = argument."""

    argument: Number
    degree: int


class Number:
    """A fraction of polynomials. Division by zero gives NaN, a Python float."""

    __slots__ = ("bottom", "field", "top")

    def __init__(self, field: Any, top: Any, bottom: Any) -> None:
        self.field, self.top, self.bottom = field, top, bottom

    def __add__(self, other: Any) -> Any:
        other = self.field.number(other)
        if isinstance(other, float):
            return other
        if self.bottom == other.bottom:
            return self.field.fraction(self.top + other.top, self.bottom)
        top = self.top * other.bottom + other.top * self.bottom
        return self.field.fraction(top, self.bottom * other.bottom)

    def __mul__(self, other: Any) -> Any:
        other = self.field.number(other)
        if isinstance(other, float):
            return math.nan if math.isnan(other) else other * self.field.sign(self)
        return self.field.fraction(self.top * other.top, self.bottom * other.bottom)

    def __truediv__(self, other: Any) -> Any:
        other = self.field.number(other)
        if isinstance(other, float):
            return math.nan if math.isnan(other) else self.field.number(0)
        if not other.top:
            return math.nan
        return self.field.fraction(self.top * other.bottom, self.bottom * other.top)

    def __pow__(self, n: int) -> Any:
        if n < 0:
            return 1 / self**-n
        return self.field.fraction(self.top**n, self.bottom**n)

    def __neg__(self) -> Number:
        return Number(self.field, -self.top, self.bottom)

    def __sub__(self, other: Any) -> Any:
        return self + -self.field.number(other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __rtruediv__(self, other: Any) -> Any:
        if isinstance(other, float):  # infinity or NaN
            return other * self.field.sign(self) if self.top else math.nan
        return self.field.number(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Number) and self.top == other.top and self.bottom == other.bottom

    def __hash__(self) -> int:
        return hash((str(self.top), str(self.bottom)))

    def rational(self) -> Fraction | None:
        """The number without symbols that it is, None if it has some."""
        if not (self.top.is_constant() and self.bottom.is_constant()):
            return None
        top, bottom = (int(p.leading_coefficient()) if p else 0 for p in (self.top, self.bottom))
        return Fraction(top, bottom)

    def __repr__(self) -> str:
        bottom = self.bottom
        return str(self.top) if bottom == 1 else f"({self.top}) / ({bottom})"

"""Primitives of JAX that treat every entry of an array on its own, on exact numbers."""

from __future__ import annotations

__all__ = ["ENTRYWISE", "absolute", "compare", "extreme", "power", "sign_of"]

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from gdjax.proof.rounding import remainder


def compare(field: Any, sense: Callable[[int, int], bool], x: Any, y: Any) -> bool:
    """A comparison of two numbers, integers or booleans; infinities are beyond all numbers."""
    if isinstance(x, int) and isinstance(y, int):
        return sense(int(x), int(y))
    if any(isinstance(z, float) and math.isnan(z) for z in (x, y)):
        return sense is operator.ne
    if isinstance(x, float) or isinstance(y, float):
        return sense(*(int(z > 0) - int(z < 0) if isinstance(z, float) else 0 for z in (x, y)))
    return sense(field.sign(x - y), 0)


def power(field: Any, x: Any, y: Any) -> Any:
    """xʸ, for a rational y by roots."""
    if not isinstance(y, (int, Fraction)) and (rational := field.rational(y)) is not None:
        y = rational
    if isinstance(y, (int, Fraction)):
        y = Fraction(y)
        return field.root(x, y.denominator) ** y.numerator if y.denominator > 1 else x**y.numerator
    if field.is_zero(x) and field.sign(y) > 0:
        return x
    return field.function("exp", y * field.function("log", x))


def absolute(field: Any, x: Any) -> Any:
    """|x|."""
    return -x if sign_of(field, x) < 0 else x


def sign_of(field: Any, x: Any) -> int:
    """−1, 0 or 1, of an integer or a number."""
    return (x > 0) - (x < 0) if isinstance(x, int) else field.sign(x)


def _divide(field: Any, x: Any, y: Any) -> Any:
    if isinstance(x, int):
        return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
    return x / y


def extreme(field: Any, way: int, x: Any, y: Any) -> Any:
    """The larger of two, or the smaller for a negative way."""
    return x if compare(field, operator.gt, x, y) == (way > 0) else y


def _clamp(field: Any, low: Any, x: Any, high: Any) -> Any:
    return extreme(field, -1, extreme(field, 1, x, low), high)


def _logic(sense: Callable[[int, int], int]) -> Callable[..., Any]:
    return lambda field, x, y: sense(x, y)


def _comparison(sense: Callable[[int, int], bool]) -> Callable[..., bool]:
    return lambda field, x, y: compare(field, sense, x, y)


def _is_finite(field: Any, x: Any) -> bool:
    return not isinstance(x, float)


ENTRYWISE: dict[str, tuple[int, Callable[..., Any]]] = {
    "add": (2, lambda field, x, y: x + y),
    "add_any": (2, lambda field, x, y: x + y),
    "sub": (2, lambda field, x, y: x - y),
    "mul": (2, lambda field, x, y: x * y),
    "div": (2, _divide),
    "neg": (1, lambda field, x: -x),
    "abs": (1, absolute),
    "sign": (1, lambda f, x: sign_of(f, x) if isinstance(x, int) else f.number(f.sign(x))),
    "square": (1, lambda field, x: x * x),
    "sqrt": (1, lambda field, x: field.root(x)),
    "rsqrt": (1, lambda field, x: 1 / field.root(x)),
    "cbrt": (1, lambda field, x: field.root(x, 3)),
    "pow": (2, power),
    "exp": (1, lambda field, x: field.function("exp", x)),
    "expm1": (1, lambda field, x: field.function("exp", x) - 1),
    "log": (1, lambda field, x: field.function("log", x)),
    "log1p": (1, lambda field, x: field.function("log", 1 + x)),
    "tanh": (1, lambda field, x: field.function("tanh", x)),
    "cos": (1, lambda field, x: field.function("cos", x)),
    "sin": (1, lambda field, x: field.function("sin", x)),
    "max": (2, lambda field, x, y: extreme(field, 1, x, y)),
    "min": (2, lambda field, x, y: extreme(field, -1, x, y)),
    "clamp": (3, _clamp),
    "eq": (2, _comparison(operator.eq)),
    "ne": (2, _comparison(operator.ne)),
    "lt": (2, _comparison(operator.lt)),
    "le": (2, _comparison(operator.le)),
    "gt": (2, _comparison(operator.gt)),
    "ge": (2, _comparison(operator.ge)),
    "and": (2, _logic(operator.and_)),
    "or": (2, _logic(operator.or_)),
    "xor": (2, _logic(operator.xor)),
    "not": (1, lambda field, x: not x if isinstance(x, bool) else ~x),
    "is_finite": (1, _is_finite),
    "floor": (1, lambda field, x: field.number(field.floor(x))),
    "rem": (2, remainder),
}

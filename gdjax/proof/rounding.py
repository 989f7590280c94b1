"""Whole numbers near exact numbers, as JAX rounds."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["remainder", "rounded", "toward_zero"]


def toward_zero(field: Any, x: Any) -> int:
    """A number without its fraction."""
    return field.floor(x) if field.sign(x) >= 0 else -field.floor(-x)


def remainder(field: Any, x: Any, y: Any) -> Any:
    """The remainder x − y·n, where n is x/y without its fraction."""
    if isinstance(x, int):
        return int(math.fmod(x, y))
    return x - y * field.number(toward_zero(field, x / y))


def rounded(field: Any, params: Any, x: Any) -> Any:
    """To the nearest whole number; halves to the even one (1), or away from 0 (0)."""

    def one(x: Any) -> Any:
        low = field.floor(x)
        above = field.sign(x - field.number(low) - field.number(Fraction(1, 2)))
        to_even, away = low + low % 2, low + (field.sign(x) > 0)
        half = to_even if int(params["rounding_method"]) else away
        return field.number(low + 1 if above > 0 else low if above < 0 else half)

    return np.frompyfunc(one, 1, 1)(x)

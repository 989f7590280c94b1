"""Ranges of learning rates: parsing of the command line, and widening."""

from __future__ import annotations

__all__ = ["beyond", "parse_rates"]

import numpy as np

from gdjax.core.rule import errors

_MOST_RATES = 1000


def parse_rates(text: str) -> np.ndarray:
    """Reads learning rates: `1e-4:1:9` are nine in equal ratios, `0.1,0.3,1` are these three.

    >>> parse_rates("1e-2:1:3")
    array([0.01, 0.1 , 1.  ])

    Raises:
        ValueError: It is neither.
    """
    try:
        if ":" in text:
            low, high, count = text.split(":")
            low, high, count = float(low), float(high), int(count)
            if not (0 < low < high < np.inf and 2 <= count <= _MOST_RATES):
                raise ValueError
            values = np.geomspace(low, high, count)
        else:
            values = np.array([float(part) for part in text.split(",")])
    except ValueError:
        values = np.array([])
    if not 0 < values.size <= _MOST_RATES or not ((values > 0) & (values < np.inf)).all():
        must = f"rates must be LOW:HIGH:COUNT with 0 < LOW < HIGH and COUNT from 2 to {_MOST_RATES}"
        errors.fail("race", f"{must}, or positive numbers as 0.1,0.3,1", repr(text))
    return np.unique(_rounded(values))


def beyond(rates: np.ndarray, *, up: bool, count: int = 4) -> np.ndarray:
    """Further rates above or below a range, in its ratio.

    >>> beyond(np.array([0.01, 0.1]), up=True, count=2)
    array([ 1., 10.])
    """
    ratio = (rates[-1] / rates[0]) ** (1 / max(1, len(rates) - 1))
    if not ratio > 1:
        return np.array([])
    powers = ratio ** np.arange(1, count + 1)
    return _rounded(rates[-1] * powers if up else (rates[0] / powers)[::-1])


def _rounded(values: np.ndarray) -> np.ndarray:
    """To eleven digits, so that 0.01 is written as 0.01."""
    return np.array([float(f"{value:.11g}") for value in values])

"""Matrices of any size: polynomials in letters that do not commute, with transposes."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdjax.proof import program
from gdjax.proof.symbols import Symbols
from tests.proof.exact import run

Word = tuple[str, ...]


class Polynomial:
    """A sum of words with coefficients of a field; x′ is the transpose of a letter x."""

    def __init__(self, field: Words, terms: dict[Word, Any]) -> None:
        self.field = field
        self.terms = {word: x for word, x in terms.items() if not field.scalars.is_zero(x)}

    def __add__(self, other: Any) -> Polynomial:
        terms = dict(self.terms)
        for word, x in self.field.number(other).terms.items():
            terms[word] = terms[word] + x if word in terms else x
        return Polynomial(self.field, terms)

    def __mul__(self, other: Any) -> Polynomial:
        terms: dict[Word, Any] = {}
        for left, x in self.terms.items():
            for right, y in self.field.number(other).terms.items():
                word = left + right
                terms[word] = terms[word] + x * y if word in terms else x * y
        return Polynomial(self.field, terms)

    def __rmul__(self, other: Any) -> Polynomial:
        return self.field.number(other) * self

    def __truediv__(self, other: Any) -> Polynomial:
        """By a number."""
        (divisor,) = self.field.number(other).terms.items()
        assert divisor[0] == (), "a matrix has no quotient"
        return Polynomial(self.field, {word: x / divisor[1] for word, x in self.terms.items()})

    def __neg__(self) -> Polynomial:
        return self * -1

    def __sub__(self, other: Any) -> Polynomial:
        return self + -self.field.number(other)

    def __pow__(self, n: int) -> Polynomial:
        out = self.field.number(1)
        for _ in range(n):
            out = out * self
        return out

    __radd__ = __add__

    def transposed(self) -> Polynomial:
        """The words from right to left, each letter transposed."""
        turn = lambda x: x if x in self.field.symmetric else x[:-1] if x.endswith("′") else f"{x}′"
        return Polynomial(
            self.field, {tuple(map(turn, reversed(word))): x for word, x in self.terms.items()}
        )

    def __repr__(self) -> str:
        return " + ".join(f"({x})·{''.join(word)}" for word, x in self.terms.items()) or "0"


class Words:
    """The ring of polynomials in letters.

    Args:
        letters: The names of general matrices.
        symmetric: Of symmetric ones.
        scalars: The field of the coefficients.

    Its arrays are blocks of a larger matrix: a function of matrices [1, 1] that does the same for
    all shapes is run on one letter, a matrix of any size.
    """

    def __init__(self, letters: str, symmetric: str, scalars: Symbols) -> None:
        self.scalars, self.symmetric = scalars, symmetric.split()
        self.symbol = {name: Polynomial(self, {(): x}) for name, x in scalars.symbol.items()}
        one = scalars.number(1)
        for name in letters.split() + self.symmetric:
            self.symbol[name] = Polynomial(self, {(name,): one})

    def array(self, rows: Any) -> np.ndarray:
        """Names of letters and of symbols as an array."""
        rows = rows.split() if isinstance(rows, str) else rows
        return np.frompyfunc(self.symbol.__getitem__, 1, 1)(np.array(rows, object))

    def run(self, function: Any, *args: Any) -> Any:
        """The result of a function of arrays, whose entries are blocks of a matrix."""
        return run(function, args, self, {"transpose": _transpose})

    def number(self, x: Any) -> Any:
        """A number as a polynomial: a multiple of I."""
        known = isinstance(x, Polynomial | float)
        return x if known else Polynomial(self, {(): self.scalars.number(x)})

    def is_zero(self, x: Polynomial) -> bool:
        """Whether x is 0 for all matrices."""
        return not x.terms


def _transpose(field: Any, params: Any, x: np.ndarray) -> list[np.ndarray]:
    """The primitive `transpose` for blocks: those that change places are transposed too."""
    axes = params["permutation"]
    out = np.transpose(x, axes)
    if axes[-1] != len(axes) - 1:
        out = np.frompyfunc(Polynomial.transposed, 1, 1)(out)
    return [program.array(out)]

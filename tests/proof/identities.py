"""Identities of matrix rules: what an exact run of a program must be equal to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gdjax.proof.number import cases
from tests.proof.exact import Exact, equal

_MOST_CASES = 50


class Identity(NamedTuple):
    """Pairs of exact arrays that are equal, if the rules are what they say.

    Attributes:
        rules: The names of the functions and transformations whose programs are run.
        symbols: Names of positive symbols, and of others.
        pairs: A function of an `Exact` with these symbols that yields the pairs.
    """

    rules: tuple[str, ...]
    symbols: tuple[str, str]
    pairs: Callable[[Exact], Any]

    @property
    def name(self) -> str:
        """That of the function."""
        return self.pairs.__name__

    def refuted(self) -> list[str]:
        """What is not equal, for any combination of the signs that the programs ask for."""
        factors: dict[str, Any] = {}
        judge = lambda signs: self._differences(Exact(*self.symbols, signs, factors))
        for count, (_, found) in enumerate(cases(judge), 1):
            assert count <= _MOST_CASES, f"{self.name} has more than {_MOST_CASES} cases"
            if found:
                return found
        return []

    def _differences(self, exact: Exact) -> list[str]:
        found, number = [], -1
        for number, (got, want) in enumerate(self.pairs(exact)):
            if not equal(got, want):
                found.append(f"{self.name}, pair {number}: {got!s:.500} is not {want!s:.500}")
        assert number >= 0, f"{self.name} has no pair"
        return found


def collection() -> tuple[list[Identity], Callable[..., Any]]:
    """A list of identities, and the decorator that adds to it."""
    found: list[Identity] = []

    def identity(*rules: str, positive: str = "", others: str = "") -> Callable[[Any], Any]:
        def add(pairs: Any) -> Any:
            found.append(Identity(rules, (positive, others), pairs))
            return pairs

        return add

    return found, identity

"""Whether the program of a schedule is its formula, at every boundary, for all values.

A schedule counts its steps from 0. Lengths, boundaries and shares of lengths are those of the call,
three times those, and the smallest ones; all other numbers are symbols.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.cached import cached
from gdjax.core.data.hyperparams import Range
from gdjax.core.data.recipe import factories
from gdjax.core.data.schedule import Schedule
from gdjax.core.rule import errors
from gdjax.core.rule.numerics import enable_x64
from gdjax.proof import program
from gdjax.proof.angles import Angles
from gdjax.proof.notation import SameAs
from gdjax.proof.number import Unsupported, cases
from gdjax.proof.pieces import Pieces
from gdjax.proof.stated import formula_of
from gdjax.proof.verdict import Proof

__all__ = ["prove", "values"]

_MOST_CASES = 64  # at one step


def prove(schedule: Any, formula: str | None = None) -> Proof:
    """Proves that the values of a schedule are those of a formula.

    Its program is traced for an integer step, and for a step that may be a fraction with lengths
    that are traced too. Both are run by exact arithmetic beside the formula: at step 0, at every
    boundary, one step before and after it, half-way between two, and beyond the end.

    Args:
        schedule: The schedule.
        formula: As docstrings have it, see `gdjax.proof.pieces`; by default the formula of the
            factory's docstring.

    Returns:
        What was found, with the first difference if there is one.

    Raises:
        TypeError: It is no schedule made by a factory.
        ValueError: There is no formula, it cannot be read, or the program has a primitive that
            exact arithmetic does not know.
    """
    if not isinstance(schedule, Schedule):
        hint = "Decorate a function of your own with gdjax.schedule."
        must = "schedule must be made by a factory of schedules"
        errors.fail("contract.prove", must, schedule, instead=hint, kind=TypeError)
    return _Claim(schedule, formula).proof()


def values(schedule: Schedule, steps: Sequence[Any]) -> list[Any]:
    """The exact values of a schedule's program at some steps, for its numbers as they are written.

    Args:
        schedule: The schedule.
        steps: Integers, or fractions.

    Returns:
        Fractions where the values are rational, else expressions with roots, cosines and powers.
    """
    whole = _complete(schedule)
    whole_numbers = [type(x) is int for x in jax.tree.leaves(whole)]
    traced = _Traced(whole, [""] * len(whole_numbers), whole_numbers)
    field = _field(())
    found = [traced.value(step, field, {}) for step in steps]
    return [x if field.rational(x) is None else field.rational(x) for x in found]


class _Leaf(NamedTuple):
    """A number of a schedule: its path, its range, whether it is a symbol, and its value."""

    name: str
    kind: Range
    symbol: bool
    value: Any


class _Traced:
    """A schedule of certain lengths with its programs.

    Args:
        schedule: With all numbers as leaves.
        names: Of its numbers.
        constant: Which of them are constants of the program for integer steps.
    """

    def __init__(self, schedule: Schedule, names: list[str], constant: list[bool]) -> None:
        self.schedule, self.names, self.constant = schedule, names, constant
        self.numbers, self.structure = jax.tree.flatten(schedule)

    @cached
    def whole(self) -> Any:
        """The program for integer steps; lengths are constants."""
        return self._program(jnp.int32, self.constant)

    @cached
    def real(self) -> Any:
        """The program for steps that may be fractions; lengths are traced."""
        return self._program(jnp.float64, [False] * len(self.numbers))

    def _program(self, dtype: Any, constant: list[bool]) -> Any:
        def value(arguments: Any, step: Any) -> Any:
            left = iter(arguments)
            numbers = [x if fixed else next(left) for fixed, x in zip(constant, self.numbers)]
            return self.structure.unflatten(numbers)(step)

        with enable_x64(True):
            given = [jnp.asarray(x, float) for fixed, x in zip(constant, self.numbers) if not fixed]
            return jax.make_jaxpr(value)(given, jax.ShapeDtypeStruct((), dtype))

    def exact(self, field: Any, known: Mapping[str, Any]) -> list[Any]:
        """All numbers: those known by name, and the others as they are written."""
        written = (field.number(program.exact(x)) for x in self.numbers)
        return [known.get(name, x) for name, x in zip(self.names, written)]

    def value(self, step: Any, field: Any, known: Mapping[str, Any], real: bool = False) -> Any:
        """The value of the program at a step."""
        numbers = self.exact(field, known)
        if real or isinstance(step, Fraction):
            return program.run(self.real, [*numbers, field.number(step)], field)[0][()]
        numbers = [x for fixed, x in zip(self.constant, numbers) if not fixed]
        return program.run(self.whole, [*numbers, step], field)[0][()]

    def pieces(self, field: Any, known: Mapping[str, Any], text: str | None) -> Pieces:
        """The formula, with the numbers."""
        return Pieces(self.structure.unflatten(self.exact(field, known)), field, text)


class _Claim:
    """A schedule, and the formula to be proven."""

    def __init__(self, schedule: Schedule, formula: str | None) -> None:
        self.name, self.schedule, self.text = repr(schedule), _complete(schedule), formula
        self.shown = formula or formula_of(schedule.factory)
        self.leaves = [*_leaves(self.schedule, formula)]
        self.symbols = [leaf for leaf in self.leaves if leaf.symbol]
        bounded = [leaf for leaf in self.symbols if leaf.kind.low == 0]
        self.edges = {leaf.name: int(leaf.kind.open_low) for leaf in bounded}
        self.factors: dict[str, Any] = {}

    def proof(self) -> Proof:
        count, difference, one_step = 0, "", ""
        for traced, step, real, known in self._points():
            one_step = one_step or str(traced.whole)
            more, difference = self._by_cases(traced, step, real, known)
            count += more
            if difference:
                break
        names = tuple(leaf.name for leaf in self.symbols)
        return Proof(self.name, self.shown, one_step, names, count, 0, difference)

    def _points(self) -> Iterator[tuple[_Traced, Any, bool, dict[str, int]]]:
        """Lengths, steps, whether they are real numbers, and the symbols with a special value.

        At the boundaries of the call there is a second pass for rates and powers of 1, and factors
        of 0; of other lengths the boundaries and the steps before them are enough.
        """
        names = [leaf.name for leaf in self.leaves]
        constant = [leaf.kind.whole for leaf in self.leaves]
        for i, schedule in enumerate(self._of_other_lengths()):
            traced = _Traced(schedule, names, constant)
            places = self._boundaries(traced)
            near = (-1, 0, 1) if i == 0 else (-1, 0)
            steps = {int(x) + more for x in places for more in near}
            for step in sorted(steps | {2 * int(places[-1]) + 3}):
                if step >= 0:
                    yield traced, step, False, {}
                if i == 0 and step in places and self.edges:
                    yield traced, step, False, self.edges
            if i == 0:
                middles = [(a + b) / 2 for a, b in itertools.pairwise(places)]
                yield from ((traced, step, True, {}) for step in sorted({*places, *middles}))

    def _of_other_lengths(self) -> Iterator[Schedule]:
        """The schedule, one that is three times as long, and one with the smallest lengths."""
        yield self.schedule
        structure = jax.tree.structure(self.schedule)
        longer, least = [], []
        for leaf in self.leaves:
            x, kind = leaf.value, leaf.kind
            longer.append(3 * x if not leaf.symbol and kind.high > 1 else x)
            least.append(type(x)(kind.low) if not leaf.symbol and kind.low >= 0 else x)
        yield _complete(_later(structure.unflatten(longer)))
        yield _complete(structure.unflatten(least))

    def _boundaries(self, traced: _Traced) -> list[Fraction]:
        """Where a piece may begin: sums of lengths, and what the conditions compare t with."""
        field = _field(())
        bounds = map(field.rational, traced.pieces(field, {}, self.text).bounds())
        found = {Fraction(0), *(x for x in bounds if x is not None)}
        given = [(leaf, Fraction(program.exact(x))) for leaf, x in zip(self.leaves, traced.numbers)]
        lengths = [x for leaf, x in given if leaf.kind.whole]
        lengths = lengths or [x for leaf, x in given if not leaf.symbol]
        for n in (1, 2, len(lengths)):
            found |= {sum(some, Fraction(0)) for some in itertools.combinations(lengths, n)}
        return sorted(found)

    def _by_cases(
        self, traced: _Traced, step: Any, real: bool, special: Mapping[str, int]
    ) -> tuple[int, str]:
        """How many combinations of signs there are, and the first difference."""

        def judge(signs: dict[str, int]) -> str:
            field = _field(self.symbols, signs, self.factors)
            known = field.symbol | {name: field.number(x) for name, x in special.items()}
            want = traced.pieces(field, known, self.text).at(field.number(step))[()]
            got = traced.value(step, field, known, real)
            if field.is_zero(got - want):
                return ""
            where = f"at step {step} of {traced.schedule}"
            return f"{where} the program gives {got}, the formula {want}"

        count = 0
        for _, difference in cases(judge):
            count += 1
            if difference:
                return count, difference
            if count == _MOST_CASES:
                raise Unsupported(f"more than {_MOST_CASES} cases")
        return count, ""


def _field(
    symbols: Sequence[_Leaf], signs: Mapping[str, int] = {}, factors: dict[str, Any] | None = None
) -> Angles:
    decays = [x.name for x in symbols if (x.kind.low, x.kind.high) == (0, 1)]
    above = [x.name for x in symbols if x.name not in decays and x.kind.low == 0]
    others = [x.name for x in symbols if x.name not in (*decays, *above)]
    return Angles(decays, above, others, dict(signs), {} if factors is None else factors)


def _complete(x: Any) -> Any:
    """A schedule with all its numbers as leaves, defaults too, and those inside."""
    if isinstance(x, Schedule):
        return x._with({name: _complete(value) for name, value in x.arguments.items()})
    return type(x)(map(_complete, x)) if type(x) in (list, tuple) else x


def _later(x: Any) -> Any:
    """A schedule whose dicts have steps as keys that are three times as late."""
    if isinstance(x, Schedule):
        return x._with({name: _later(value) for name, value in x.given.items()})
    if type(x) is dict and not any(isinstance(key, str) for key in x):
        return {3 * key: value for key, value in x.items()}
    return type(x)(map(_later, x)) if type(x) in (list, tuple) else x


def _leaves(schedule: Schedule, text: str | None = None, path: str = "") -> Iterator[_Leaf]:
    """The numbers of a schedule and of those inside, in the order of its leaves.

    A number is no symbol if it is a length in steps, or if it says where a piece begins.
    """
    pieces = Pieces(schedule, _field(()), text)
    borrowed = [s.factory for s in pieces.source.statements if isinstance(s, SameAs)]
    ranges = {n: r for made in borrowed for n, r in factories()[made].ranges.items()}
    places, ranges = pieces.places(), {**ranges, **schedule.factory.ranges}
    inside = lambda x: isinstance(x, Schedule) and x is not schedule
    for (key,), value in jax.tree_util.tree_flatten_with_path(schedule, is_leaf=inside)[0]:
        name = f"{path}{key.name}"
        if isinstance(value, Schedule):
            yield from _leaves(value, None, f"{name}.")
        else:
            words = re.findall(r"[A-Za-z_]\w*", key.name)
            kind = ranges[words[-1]]
            yield _Leaf(name, kind, not kind.whole and words[0] not in places, value)

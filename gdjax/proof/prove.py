"""Proves that the program of a transformation is its formula, for all values of the symbols."""

from __future__ import annotations

__all__ = ["Proof", "formula_of", "letters_of", "prove"]

import dataclasses
import inspect
import itertools
import random
import re
import unicodedata
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.recipe import factories
from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.rule import errors
from gdjax.core.rule.numerics import enable_x64
from gdjax.proof import notation, program
from gdjax.proof.digits import DIGITS, Digits
from gdjax.proof.formula import Formula, free_names
from gdjax.proof.symbols import Choice, Symbols, Unsupported, flint

_MOST_CASES = 2000
_POINTS = 100
_SECTION = re.compile(r"^(Args|Returns|Raises|References?|Yields):", re.MULTILINE)
_LETTER = r"[^\s\w,.≥>]|[A-Za-zα-ωΑ-Ω](?:_[a-z]+|max|min)?[₀₁₂₃₄₅₆₇₈₉⁺⁻∞\u0302]*"


@dataclasses.dataclass(frozen=True)
class Proof:
    """What was found; true if the program is the formula.

    Attributes:
        name: The call.
        formula: The text that was read.
        program: One update, as JAX traces it.
        symbols: What was a symbol; everything else had the value of the call.
        cases: How many combinations of signs and of zero gradients were gone through, or points.
        digits: 0 for identity, else to how many digits both agree at the points.
        difference: The first difference, empty if there is none.
    """

    name: str
    formula: str
    program: str
    symbols: tuple[str, ...]
    cases: int
    digits: int = 0
    difference: str = ""

    def __bool__(self) -> bool:
        return not self.difference

    @property
    def verdict(self) -> str:
        """A sentence."""
        if self.difference:
            return f"not proven: {self.difference}"
        named = ", ".join(self.symbols)
        if self.digits:
            return f"equal to {self.digits} digits at {self.cases} points, in {named}"
        return f"proven in {self.cases} cases, for all values of {named}"


def prove(
    tx: Any,
    formula: str | None = None,
    *,
    steps: int = 2,
    shape: tuple[int, ...] = (),
    points: Mapping[str, tuple[float, float]] | None = None,
) -> Proof:
    """Proves that the updates of a transformation are those of a formula.

    Its program is traced with the hyperparameters that the formula names, parameters and gradients
    as symbols, and run by exact arithmetic beside the formula, for every combination of signs and
    of zero gradients. What is no rational function even with roots is compared to 40 digits.

    Args:
        tx: The transformation.
        formula: As docstrings have it, see `gdjax.proof.notation`; by default the formula of the
            factory's docstring.
        steps: How many steps are compared.
        shape: Of the parameter: () where every entry is on its own, (2,) where norms or means of
            a leaf are in the formula.
        points: Intervals of hyperparameters by name. With them the comparison is to 40 digits, at
            100 random points where these numbers are in their intervals.

    >>> import gdjax as gd
    >>> print(gd.contract.prove(gd.trace(0.9)).verdict)
    proven in 5 cases, for all values of decay, θ, g
    >>> print(gd.contract.prove(gd.trace(0.9), "v ← decay·v + g    u = 2v").verdict)
    not proven: in step 1 the program gives g1, the formula 2*g1

    Returns:
        What was found, with the first difference if there is one.

    Raises:
        ValueError: There is no formula, it cannot be read, or the program has a primitive that
            exact arithmetic does not know.
    """
    check_transformation("contract.prove", "tx", tx, "Write contract.prove(scale_by_adam()), say.")
    if flint is None:
        raise ImportError('contract.prove needs python-flint; run pip install "gdjax[proof]".')
    return _Claim(tx, formula, steps, shape, points).proof()


class _Claim:
    """A transformation beside the formula that it may have."""

    def __init__(
        self,
        tx: Any,
        formula: str | None,
        steps: int,
        shape: tuple[int, ...],
        points: Mapping[str, tuple[float, float]] | None,
    ) -> None:
        is_data = isinstance(tx, GradientTransformation)
        self.tx = tx._with(tx.arguments) if is_data else tx  # with all numbers as leaves
        self.arguments = tx.arguments if is_data else {}
        self.ranges = tx.factory.ranges if is_data else {}
        self.steps, self.shape, self.points = steps, shape, points
        self.factors: dict[str, Any] = {}
        self.params = [f"theta{t + 1}" for t in range(steps)]
        self.gradients = [f"g{t + 1}" for t in range(steps)]
        indices = list(np.ndindex(*shape))
        self.entries = {
            name: ["_".join([name, *map(str, index)]) for index in indices]
            for name in (*self.params, *self.gradients)
        }
        if formula is None and not is_data:
            errors.fail("contract.prove", "formula must be given for a tx of another library", None)
        self.text = inspect.cleandoc(formula) if formula else formula_of(tx.factory)
        self.statements = _resolved(notation.read(self.text), repr(tx))
        self.letters = letters_of(tx.factory) if is_data else {}
        leaves = jax.tree_util.tree_flatten_with_path(self.tx)[0] if is_data else []
        self.values = {_leaf_name(path): x for path, x in leaves}
        used = free_names(self.statements)
        self.named = [n for n in self.values if n in used or self.letters.get(n) in used]
        self.flags = {n for n, x in self.arguments.items() if x is not None and x is not False}
        self.closed, self.one_step = self._trace()

    def _trace(self) -> tuple[Any, str]:
        structure = jax.tree.structure(self.tx) if self.values else None
        leaves = list(self.values.values())

        def run(leaves: Any, params: Any, gradients: Any) -> Any:
            tx = structure.unflatten(leaves) if structure else self.tx
            state, updates = tx.init(params[0]), []
            for x, g in zip(params, gradients):
                u, state = tx.update(g, state, x)
                updates.append(u)
            return updates

        with enable_x64(True):
            x = jnp.ones(self.shape, jnp.float64)
            leaves = [jnp.asarray(leaf, jnp.float64) for leaf in leaves]
            closed = jax.make_jaxpr(run)(leaves, [x] * self.steps, [x] * self.steps)
            state = self.tx.init(x)
            one = jax.make_jaxpr(lambda g, s, p: self.tx.update(g, s, p))(x, state, x)
        return closed, str(one)

    def proof(self) -> Proof:
        cases, difference, digits = _POINTS, "", 0
        try:
            if self.points is None:
                cases, difference = self._by_cases()
        except Unsupported:
            digits = DIGITS
        if digits or self.points is not None:
            digits, difference = DIGITS, self._at_points()
        named = (*self.named, "θ", "g")
        return Proof(repr(self.tx), self.text, self.one_step, named, cases, digits, difference)

    def _by_cases(self) -> tuple[int, str]:
        cases = 0
        for zeros in self._zeros():
            pending: list[dict[str, int]] = [{}]
            while pending:
                signs = pending.pop()
                try:
                    difference = self._difference(*self._symbols(zeros, signs))
                except Choice as choice:
                    pending += [{**signs, choice.args[0]: 1}, {**signs, choice.args[0]: -1}]
                    continue
                cases += 1
                if difference:
                    return cases, f"{difference}{_where(zeros, signs)}"
                if cases == _MOST_CASES:
                    raise Unsupported(f"more than {_MOST_CASES} cases")
        return cases, ""

    def _zeros(self) -> Iterator[frozenset[str]]:
        """What is 0: any of the gradients; and all hyperparameters that may be."""
        for n in range(self.steps + 1):
            for chosen in itertools.combinations(self.gradients, n):
                yield frozenset(entry for name in chosen for entry in self.entries[name])
        ranges = self.ranges
        may_be = [n for n in self.named if ranges[n].low == 0 and not ranges[n].open_low]
        if may_be:
            yield frozenset(may_be)

    def _symbols(self, zeros: frozenset[str], signs: dict[str, int]) -> tuple[Any, dict[str, Any]]:
        ranges = self.ranges
        decays = [n for n in self.named if (ranges[n].low, ranges[n].high) == (0, 1)]
        above = [n for n in self.named if n not in decays and ranges[n].low > -np.inf]
        entries = [entry for names in self.entries.values() for entry in names]
        others = [n for n in self.named if n not in (*decays, *above)] + entries
        field = Symbols(decays, above, others, signs, self.factors)
        values = dict(field.symbol)
        for name in above:
            if ranges[name].low:
                values[name] = values[name] + program.exact(ranges[name].low)
        return field, values | {name: field.number(0) for name in zeros}

    def _at_points(self) -> str:
        draw = random.Random(0)
        patterns = list(self._zeros())
        for i in range(_POINTS):
            values = {n: self._rational(n, draw) for n in self.named}
            for name in (entry for names in self.entries.values() for entry in names):
                values[name] = Fraction(draw.choice((-1, 1)) * draw.randint(1, 999), 250)
            zeros = patterns[i // 4 % len(patterns)] if i % 4 == 0 else frozenset()
            values |= dict.fromkeys(zeros, Fraction(0))
            field = Digits(values)
            if difference := self._difference(field, field.symbol):
                return f"{difference} at {values}"
        return ""

    def _rational(self, name: str, draw: random.Random) -> Fraction:
        """A number in the range of a hyperparameter."""
        kind = self.ranges[name]
        low, high = (self.points or {}).get(name, (kind.low, kind.high))
        low = Fraction(str(low)) if low > -np.inf else Fraction(-1)
        high = Fraction(str(high)) if high < np.inf else low + 3
        return low + (high - low) * Fraction(draw.randint(1, 99), 100)

    def _array(self, name: str, values: Mapping[str, Any]) -> np.ndarray:
        out = np.empty(len(self.entries[name]), object)
        out[:] = [values[entry] for entry in self.entries[name]]
        return out.reshape(self.shape)

    def _difference(self, field: Any, values: Mapping[str, Any]) -> str:
        """The first step in which program and formula differ, with both values."""
        numbers = {n: field.number(program.exact(x)) for n, x in self.values.items()}
        numbers |= {n: values[n] for n in self.named}
        params = [self._array(name, values) for name in self.params]
        gradients = [self._array(name, values) for name in self.gradients]
        got = program.run(self.closed, [*numbers.values(), *params, *gradients], field)
        known = numbers | {self.letters[n]: x for n, x in numbers.items() if n in self.letters}
        for name, x in self.arguments.items():
            if name not in known and isinstance(x, int | float) and not isinstance(x, bool):
                known[name] = known[self.letters.get(name, name)] = field.number(program.exact(x))
        formula = Formula(self.statements, known, self.flags, field)
        for t, (theta, g, u) in enumerate(zip(params, gradients, got), 1):
            want = program.array(formula.step(t, g, theta))
            for a, b in zip(u.ravel(), np.broadcast_to(want, u.shape).ravel()):
                if not field.is_zero(a - b):
                    return f"in step {t} the program gives {a}, the formula {b}"
        return ""


def _where(zeros: frozenset[str], signs: Mapping[str, int]) -> str:
    found = [f"{name} = 0" for name in sorted(zeros)]
    found += [f"{name} {'>' if sign > 0 else '<'} 0" for name, sign in signs.items()]
    return f", where {' and '.join(found)}" if found else ""


def _leaf_name(path: Any) -> str:
    return ".".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path)


def _resolved(found: list[Any], name: str) -> list[notation.Statement]:
    """The statements, with those of other factories' formulas where names are the same as theirs.

    What they keep comes first; what they name, last, since it is looked up where it is used.
    """
    statements = [item for item in found if isinstance(item, notation.Statement)]
    own = {s.target for s in statements}
    kept, named = [], []
    for item in found:
        if isinstance(item, notation.Statement):
            continue
        if item.factory not in factories():
            raise notation.Unreadable(f"{name}: {item.factory} is no factory")
        theirs = _resolved(notation.read(formula_of(factories()[item.factory])), item.factory)
        for statement in theirs:
            if statement.target not in ({"u", "θ"} - {*item.names} | own):
                (kept if statement.kept else named).append(statement)
    return [*kept, *statements, *named]


def formula_of(factory: Any) -> str:
    """The first formula of a factory's docstring.

    Raises:
        ValueError: There is none.
    """
    text = inspect.getdoc(factory.function) or ""
    for part in _SECTION.split(text, maxsplit=1)[0].split("\n\n")[1:]:
        if part.startswith("    ") and re.search("←| = ", part):
            return inspect.cleandoc("\n" + part)
    raise notation.Unreadable(f"{factory.name} has no formula in its docstring")


def letters_of(factory: Any) -> dict[str, str]:
    """The letter of each argument that has one: `decay: α, in [0, 1)`."""
    text = unicodedata.normalize("NFD", inspect.getdoc(factory.function) or "")
    found = re.findall(rf"^\s+(\w+): ({_LETTER})(?=[\s,.≥>])", text, re.MULTILINE)
    return dict(found)

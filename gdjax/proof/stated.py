"""The formula that a docstring states for a transformation, with its letters."""

from __future__ import annotations

__all__ = ["SECTION", "StatedRule", "formula_of", "letters_of"]

import inspect
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from gdjax.core.data.compare import is_transformation
from gdjax.core.data.recipe import factories
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.proof import notation, program
from gdjax.proof.formula import Formula, free_names

SECTION = re.compile(r"^(Args|Returns|Raises|References?|Yields):", re.MULTILINE)
_LETTER = r"[^\s\w,.≥>]|[A-Za-zα-ωΑ-Ω](?:_[a-z]+|max|min)?[₀₁₂₃₄₅₆₇₈₉⁺⁻∞*\u0302\u0304]*"


class StatedRule:
    """The formula of a transformation, with those of the transformations inside it."""

    def __init__(self, tx: Any, text: str | None = None) -> None:
        self.text = inspect.cleandoc(text) if text else formula_of(tx.factory)
        self.statements = _resolved(notation.read(self.text), repr(tx))
        is_data = isinstance(tx, GradientTransformation)
        self.letters = letters_of(tx.factory) if is_data else {}
        self.arguments = tx.arguments if is_data else {}
        self.numbers, self.flags = _split(self.arguments)
        called = notation.calls_in(self.statements)
        inside = {n: x for n, x in self.arguments.items() if n in called and is_transformation(x)}
        self.inside = {name: StatedRule(x) for name, x in inside.items()}

    def used(self) -> set[str]:
        """The names in the formula, and in those inside."""
        return free_names(self.statements).union(*(rule.used() for rule in self.inside.values()))

    def named(self, prefix: str, values: Mapping[str, Any]) -> set[str]:
        """The hyperparameters in the formula, as leaves of the outermost transformation."""
        used, found = free_names(self.statements), set()
        for path in values:
            name = path.removeprefix(prefix)
            if path.startswith(prefix) and (name in used or self.letters.get(name) in used):
                found.add(path)
        theirs = [rule.named(f"{prefix}{name}.", values) for name, rule in self.inside.items()]
        return found.union(*theirs)

    def formula(self, numbers: Mapping[str, Any], field: Any) -> Formula:
        """The formula for numbers of a field."""
        known = dict(numbers)
        for name, x in self.numbers.items():
            if name not in known:
                known[name] = field.number(program.exact(x))
        known |= {self.letters[n]: x for n, x in known.items() if n in self.letters}
        inside = {}
        for name, rule in self.inside.items():
            start = f"{name}."
            own = {n.removeprefix(start): x for n, x in numbers.items() if n.startswith(start)}
            inside[name] = rule.formula(own, field)
        return Formula(self.statements, known, self.flags, field, inside)


def _split(arguments: Mapping[str, Any]) -> tuple[dict[str, float], set[str]]:
    """The numbers among arguments, and as flags the names of those given and texts in quotes.

    A pair as `("distance", 0.1)` is a number with a flag.
    """
    numbers, flags = {}, {n for n, x in arguments.items() if x is not None and x is not False}
    for name, x in arguments.items():
        parts = x if isinstance(x, tuple) else (x,)
        flags |= {f'"{part}"' for part in parts if isinstance(part, str)}
        found = [p for p in parts if isinstance(p, int | float) and not isinstance(p, bool)]
        if len(found) == 1:
            numbers[name] = found[0]
    return numbers, flags


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
    for part in SECTION.split(text, maxsplit=1)[0].split("\n\n")[1:]:
        if part.startswith("    ") and re.search("←| = ", part):
            return inspect.cleandoc("\n" + part)
    raise notation.Unreadable(f"{factory.name} has no formula in its docstring")


def letters_of(factory: Any) -> dict[str, str]:
    """The letter of each argument that has one: `decay: α, in [0, 1)`, `betas: β₁ and β₂`."""
    text = unicodedata.normalize("NFD", inspect.getdoc(factory.function) or "")
    found = re.findall(rf"^\s+(\w+): ({_LETTER})(?=[\s,.≥>])", text, re.MULTILINE)
    pairs = re.findall(rf"^\s+(\w+): ({_LETTER}) and ({_LETTER})(?=[\s,.])", text, re.MULTILINE)
    both = {f"{name}[{i}]": letter for name, *two in pairs for i, letter in enumerate(two)}
    return dict(found) | both

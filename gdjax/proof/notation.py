"""Reads the formula of a docstring: the equations of one step, in the letters of the paper.

    m ← b1·m + (1 − b1)·g               m̂ = m / (1 − b1ᵗ)
    u = m̂ / (√(v̂ + eps_root) + eps)

`←` changes what is kept from step to step, and `=` names a value. `u` is the update of this step,
or `θ ←` the parameter after it; `g` is the gradient, `x₋` the x of the step before, `x₀` the first
one (0 where the formula has none), `t` the number of the step, from 1. In front of a line there can
be a condition: `with nesterov:`, `without momentum:`, `step 1:`, `g·g₋ > 0:`; deeper lines below it
belong to it. `m̂ and v̂ of `adam`` takes these from the formula of another factory, and `inner(g)` is
the update for g of a transformation that is the argument `inner`. Norms, ⟨x, y⟩ and Σ x are over
all entries, and `size(x)` is their number; `f` is the loss that `update` gets as `value`.
"""

from __future__ import annotations

__all__ = ["SameAs", "Statement", "Unreadable", "names_in", "read"]

import re
import unicodedata
from typing import Any, NamedTuple

FUNCTIONS = frozenset("max min clip sign tanh exp log cos mean RMS size".split())
_MARK = "[₀₁₂₃₄₅₆₇₈₉₊₋ₜ∞′⁺⁻*\u0302\u0304\u0303]"
_NAME = rf"(?:[A-Za-z][A-Za-z0-9_]*|[α-ωΑ-ΡΤ-Ω](?:_[a-z]+|max|min)?){_MARK}*"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<fraction>[¼½¾⅓⅔])"
    r"|(?P<infinity>∞)"
    r"|(?P<power>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹ᵗᵖ][⁰¹²³⁴⁵⁶⁷⁸⁹ᵗᵖ⁺⁻]*)"
    rf"|(?P<name>{_NAME})"
    r"|(?P<sign>‖₁|[−+·/()|‖√∛Σ⟨⟩,^±]))"
)
_SMALL = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵗᵖ", "0123456789+−tp")
_FRACTIONS = {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
_STATEMENT = re.compile(rf"(?:^|(?<=\s))(?P<target>{_NAME})\s+(?P<op>=|←)\s")
_LABEL = re.compile(r"^(?P<label>[^:=←]+):\s+")
_SAME_AS = re.compile(
    rf"(?:^|,?\s+)(?P<names>{_NAME}(?:(?:, | and ){_NAME})*) of `(?P<factory>\w+)`$"
)
_INSIDE = re.compile("[a-z_]{3,}")  # the name of an argument that is a transformation
_FIRST = re.compile(r",\s+in the first step ")


class Unreadable(ValueError):
    """The text is no formula of this notation."""


class Statement(NamedTuple):
    """`target ← value` or `target = value`.

    Attributes:
        target: The name.
        value: An expression, as nested tuples.
        kept: Whether it changes what is kept from step to step.
        first: The expression in the first step, if it is another.
        label: The condition in front: a flag as text, or a comparison.
    """

    target: str
    value: Any
    kept: bool
    first: Any = None
    label: Any = ""


class SameAs(NamedTuple):
    """Names that are those of another factory's formula."""

    names: tuple[str, ...]
    factory: str


def read(text: str) -> list[Statement | SameAs]:
    """The statements of a formula, line by line."""
    found: list[Statement | SameAs] = []
    label, depth = "", 0
    for line in unicodedata.normalize("NFD", text).splitlines():
        indent, body = len(line) - len(line.lstrip()), line.strip()
        if label and indent <= depth:
            label = ""
        if match := _LABEL.match(body):
            label, depth, body = _label(match["label"].strip()), indent, body[match.end() :]
        elif body.endswith(":"):
            label, depth, body = _label(body[:-1]), indent, ""
        if match := _SAME_AS.search(body):
            names = tuple(re.split(", | and ", match["names"]))
            found.append(SameAs(names, match["factory"]))
            body = body[: match.start()]
        found += _statements(body, label) if body else []
    return found


def _label(text: str) -> Any:
    flag = re.fullmatch(r'with(out)? (\w+|"[^"]*")|step [1t]', text)
    return text if flag else comparison(text)


def _statements(line: str, label: Any) -> list[Statement]:
    starts = [*_STATEMENT.finditer(line)]
    if not starts or line[: starts[0].start()].strip():
        raise Unreadable(f"a statement is `x = value` or `x ← value`, got {line!r}")
    ends = [match.start() for match in starts[1:]] + [len(line)]
    found = []
    for match, end in zip(starts, ends):
        text, *first = _FIRST.split(line[match.end() : end].strip().rstrip(","))
        initial = expression(first[0]) if first else None
        kept = match["op"] == "←"
        found.append(Statement(match["target"], expression(text), kept, initial, label))
    return found


def expression(text: str) -> Any:
    """One expression as nested tuples; `x if y > z and s < t, else w` is one too."""
    if match := re.fullmatch(r"(.*?) if (.*?), else (.*)", text):
        then, test, other = match.groups()
        value = expression(other)
        out = expression(then)
        for one in test.split(" and "):
            out = ("if", comparison(one), out, value)
        return out
    return _Reader(text).whole()


def comparison(text: str) -> Any:
    """`x ≥ y` and the like: the sign of it, and both sides."""
    parts = re.split(r"([≥≤<>≠])", text)
    if len(parts) != 3:
        raise Unreadable(f"a condition is `with name`, `step 1` or `x > y`, got {text!r}")
    return (parts[1], expression(parts[0]), expression(parts[2]))


def names_in(node: Any) -> set[str]:
    """The names in an expression."""
    if not isinstance(node, tuple):
        return set()
    if node[:1] == ("name",):
        return {node[1]}
    return set().union(*map(names_in, node)) if node else set()


def calls_in(node: Any) -> set[str]:
    """The names that are called in an expression, or in several."""
    if not isinstance(node, (tuple, list)):
        return set()
    own = {node[1]} if node[:1] == ("call",) else set()
    return own.union(*map(calls_in, node))


class _Reader:
    """Sums, products and powers, by recursive descent."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text.strip(), 0
        self.tokens: list[tuple[str, str]] = []
        self.bars = 0
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if not match or not match.lastgroup:
                raise Unreadable(f"{self.text[at:]!r} in {self.text!r}")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def whole(self) -> Any:
        value = self.sum()
        if self.at < len(self.tokens):
            raise Unreadable(f"{self.tokens[self.at][1]!r} in {self.text!r}")
        return value

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, *signs: str) -> str | None:
        kind, text = self.peek()
        if kind == "sign" and text in signs:
            self.at += 1
            return text
        return None

    def must(self, sign: str) -> None:
        if not self.take(sign):
            raise Unreadable(f"{sign!r} is missing in {self.text!r}")

    def sum(self) -> Any:
        value = ("neg", self.product()) if self.take("−") else self.product()
        while sign := self.take("+", "−"):
            value = (sign, value, self.product())
        return value

    def product(self) -> Any:
        value = self.beside()
        while sign := self.take("·", "/"):
            value = (sign, value, self.beside())
        return value

    def beside(self) -> Any:
        """Factors side by side, which bind closer than a dot or a slash."""
        value = self.power()
        while self.begins():
            value = ("·", value, self.power())
        return value

    def begins(self) -> bool:
        kind, text = self.peek()
        opens = text in "(√∛Σ⟨" or text in "|‖" and not self.bars
        return kind in ("name", "number", "fraction") or kind == "sign" and opens

    def power(self) -> Any:
        value = self.atom()
        while True:
            kind, text = self.peek()
            if kind == "power":
                self.at += 1
                value = ("^", value, _Reader(text.translate(_SMALL)).whole())
            elif kind == "fraction" and value[0] != "number":
                self.at += 1
                value = ("^", value, ("number", _FRACTIONS[text]))
            elif self.take("^"):
                value = ("^", value, ("neg", self.atom()) if self.take("−") else self.atom())
            else:
                return value

    def atom(self) -> Any:
        kind, text = self.peek()
        self.at += 1
        if kind == "number":
            return ("number", text)
        if kind in ("fraction", "infinity"):
            return ("number", _FRACTIONS.get(text, "inf"))
        if kind == "name":
            if text in FUNCTIONS or _INSIDE.fullmatch(text) and self.peek()[1] == "(":
                self.must("(")
                return ("call", text, *self.arguments(")"))
            return ("name", text)
        if text == "(":
            bars, self.bars = self.bars, 0
            value = self.sum()
            self.must(")")
            self.bars = bars
            return value
        if text in ("|", "‖"):
            self.bars += 1
            value = self.sum()
            self.bars -= 1
            if text == "‖" and self.take("‖₁"):
                return ("call", "sum", ("call", "abs", value))
            self.must(text)
            return ("call", "abs" if text == "|" else "norm", value)
        if text == "⟨":
            return ("call", "sum", ("·", *self.arguments("⟩")))
        if text == "Σ":
            return ("call", "sum", self.power())
        if text in ("√", "∛"):
            return ("root", 2 if text == "√" else 3, self.atom())
        raise Unreadable(f"{text or 'the end'!r} in {self.text!r}")

    def arguments(self, closer: str) -> list[Any]:
        bars, self.bars, values = self.bars, 0, []
        while True:
            values.append(("±", self.sum()) if self.take("±") else self.sum())
            if self.take(closer):
                self.bars = bars
                return values
            self.must(",")

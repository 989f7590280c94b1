"""Reads and runs the formula of a schedule: its value c(t) in pieces, each with its steps.

    c(t) = a + (c₁ − a)·t/W    for t < W
    c(t) = c₂(t − W)           for t ≥ W

`for` ends a line and says where it holds; where several do, they have to agree. An index `i` is the
one for which the condition holds: `c(t) = cᵢ(t − bᵢ)    for bᵢ ≤ t < bᵢ₊₁`. The entries of an
argument that is a list are b₁, …, bₙ or c₀, …, cₙ, as its description says; other sequences have a
first value and a rule, `t₀ = 0,  tᵢ₊₁ = tᵢ + Tᵢ`. A name before a parenthesis is a function where
the argument is a schedule. `cᵢ and Tᵢ of `name`` takes both from another schedule's formula, for
each dict of a list. Everything else is as in `gdjax.proof.notation`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax

from gdjax.core.data.recipe import factories
from gdjax.core.data.schedule import Schedule
from gdjax.core.rule.numerics import enable_x64
from gdjax.proof import notation, program
from gdjax.proof.formula import Formula
from gdjax.proof.notation import SameAs, Statement, Unreadable, names_in
from gdjax.proof.number import Number
from gdjax.proof.program import array
from gdjax.proof.stated import formula_of, letters_of

__all__ = ["Entries", "Pieces", "Source", "read", "source"]

_APPLY = ("name", "Apply")
_CALL = re.compile(r"([^\W\d][\w\u0302\u0304\u0303₀-₉ᵢₙ₊]*)\(")
_MOST_INDICES = 1000
_SIGNS = str.maketrans({"ⁱ": "^i", "ˣ": "^x", "ᵢ": "_i", "ₙ": "_n", "⌊": "(Floor(", "⌋": "))"})
_INDEXED = re.compile(r"(?P<base>\w+)_(?P<index>[in])(?P<next>₊₁)?")
_PAIR = re.compile(r"^\s+(\w+): (\w+)₁ → (\w+)₁", re.MULTILINE)


@functools.cache
def read(text: str) -> tuple[Statement | SameAs, ...]:
    """The statements of a formula; the label of one with `for` is a tuple of comparisons."""
    found: list[Statement | SameAs] = []
    for line in text.translate(_SIGNS).splitlines():
        body, _, condition = line.partition(" for ")
        statements = notation.read(_CALL.sub(_applied, re.sub(r"\b(\w+)\(t\) = ", r"\1 = ", body)))
        if condition:
            if len(statements) != 1 or not isinstance(statements[0], Statement):
                raise Unreadable(f"one statement stands before `for`, got {body!r}")
            statements = [statements[0]._replace(label=("for", *_comparisons(condition)))]
        found += map(_without_memory, statements)
    return tuple(found)


def _without_memory(s: Statement | SameAs) -> Statement | SameAs:
    """A statement that holds at any step alone; a comparison in front is one of `for`."""
    if isinstance(s, SameAs):
        return s
    if s.kept or s.first or isinstance(s.label, str) and s.label.startswith("step"):
        raise Unreadable(f"a schedule keeps nothing from step to step, got {s.target}")
    in_front = isinstance(s.label, tuple) and s.label[0] != "for"
    return s._replace(label=("for", s.label)) if in_front else s


def _applied(match: re.Match) -> str:
    """A name before a parenthesis, as notation has it for functions: `f(t)` is `f Apply (t)`."""
    plain = match[1] in notation.FUNCTIONS or match[1] == "π"
    return match[0] if plain else f"{match[1]} Apply ("


def _comparisons(text: str) -> Iterator[Any]:
    """`a ≤ t < b` as two comparisons."""
    parts = re.split(r"\s*([≥≤<>])\s*", text.strip())
    if len(parts) < 3:
        raise Unreadable(f"`for` needs a comparison, got {text!r}")
    for left, sense, right in zip(parts[::2], parts[1::2], parts[2::2]):
        yield notation.comparison(f"{left} {sense} {right}")


class Source(NamedTuple):
    """A formula, with the letters of the arguments of its factory.

    Attributes:
        statements: What the formula says.
        letters: The letter of each argument that has one; of a list, the one of its first entry.
        pairs: Those of the keys and of the values of an argument that is a dict.
    """

    statements: tuple[Statement | SameAs, ...]
    letters: dict[str, str]
    pairs: dict[str, tuple[str, str]]


@functools.cache
def source(factory: Any, text: str | None = None) -> Source:
    """The formula of a factory's docstring, or another one, in the letters of the docstring."""
    pairs = _PAIR.findall(inspect.getdoc(factory.function) or "")
    found = {name: (keys, values) for name, keys, values in pairs}
    return Source(read(text or formula_of(factory)), letters_of(factory), found)


class Entries(NamedTuple):
    """The entries of a sequence, numbered from `start`."""

    start: int
    values: list[Any]


class Pieces(Formula):
    """The formula of a schedule, for its numbers.

    Args:
        schedule: With numbers of Python, or of the field, as its leaves.
        field: `Angles`.
        text: The formula; by default that of the docstring.
    """

    def __init__(self, schedule: Any, field: Any, text: str | None = None) -> None:
        self.source, self.factory = source(schedule.factory, text), schedule.factory
        self.functions: dict[str, Any] = {"Floor": self._floor}
        self.lists: dict[str, Entries] = {}
        dicts = {name: schedule.arguments[name] or {} for name in self.source.pairs}
        given = {name: x for name, x in schedule.arguments.items() if x is not None}
        flags = {name for name, x in given.items() if x is not False}
        flags |= {x for x in given.values() if isinstance(x, str)}
        statements = [s for s in self.source.statements if isinstance(s, Statement)]
        super().__init__(statements, {"π": field.pi}, flags, field)
        for name, (keys, values) in self.source.pairs.items():
            steps = sorted(dicts[name])
            self.lists[keys] = Entries(1, [self._exact(step) for step in steps])
            self.lists[values] = Entries(1, [self._exact(dicts[name][step]) for step in steps])
        for name, x in given.items():
            if name not in dicts:
                self._take(name, x)

    def _take(self, name: str, x: Any) -> None:
        """An argument, by its name and its letter: a number, a function, or a list of them."""
        letter = self.source.letters.get(name, name)
        kind = self.factory.ranges.get(name)
        function = kind.scheduled if kind else callable(x)
        if isinstance(x, (list, tuple)) and any(isinstance(each, Mapping) for each in x):
            for same in (s for s in self.source.statements if isinstance(s, SameAs)):
                self._borrow(same, x)
        elif isinstance(x, (list, tuple)):
            if letter[-1] not in "₀₁":
                raise Unreadable(f"{name} is a list, so its letter is b₁ or c₀, got {letter}")
            value = self._function if function else self._exact
            self.lists[letter[:-1]] = Entries("₀₁".index(letter[-1]), [value(each) for each in x])
        else:
            if function:
                self.functions[letter] = self._function(x)
            if kind and not callable(x):
                self.known = {**self.known, **dict.fromkeys((name, letter), self._exact(x))}

    def _exact(self, x: Any) -> Any:
        return x if isinstance(x, Number) else self.field.number(program.exact(x))

    def _function(self, x: Any) -> Callable[[Any], Any]:
        """A schedule by its formula, another function by its program, or a number everywhere."""
        if isinstance(x, Schedule):
            return Pieces(x, self.field).at
        if not callable(x):
            return lambda t: array(self._exact(x))
        with enable_x64(True):
            closed = jax.make_jaxpr(x)(1.0)
        return lambda t: program.run(closed, [t], self.field)[0]

    def _borrow(self, same: SameAs, dicts: Any) -> None:
        """The values of a schedule, and its letters, for each dict of its arguments."""
        made = factories()[same.factory]
        parts = [Pieces(made.make._from_arguments(made, dict(each)), self.field) for each in dicts]
        for name in same.names:
            base = name.removesuffix("_i")
            whole = [part.at if base == "c" else part.known[base] for part in parts]
            self.lists[base] = Entries(0, whole)

    def _floor(self, x: Any) -> Any:
        return array(self.field.number(self.field.floor(array(x)[()])))

    @property
    def last(self) -> int | None:
        """n, the index of the last entry of the lists."""
        ends = {entries.start + len(entries.values) - 1 for entries in self.lists.values()}
        if len(ends) > 1:
            raise Unreadable(f"the lists end at different indices: {ends}")
        return next(iter(ends), None)

    def at(self, t: Any) -> Any:
        """The value c(t), an array of no dimensions."""
        return self._name("c", {"t": array(t)})

    def bounds(self) -> list[Any]:
        """The numbers with which the conditions compare the step, for the first three indices."""
        found = []
        for s in self.statements:
            tests = s.label[1:] if isinstance(s.label, tuple) else ()
            for side, i in itertools.product((x for test in tests for x in test[1:]), range(3)):
                with contextlib.suppress(Unreadable):
                    found.append(self._value(side, {"i": i})[()])
        return found

    def places(self) -> set[str]:
        """The arguments on which it depends where a piece begins: by `for`, a floor, or clip."""
        seeds = set()
        for s in self.statements:
            seeds |= names_in(s.label) if isinstance(s.label, tuple) else set()
            seeds |= set().union(*map(names_in, _thresholds(s.value)))
        found, new = set(), {_base(name) for name in seeds}
        while new:
            found |= new
            inside = [names_in(s.value) for s in self.statements if _base(s.target) in new]
            new = {_base(name) for names in inside for name in names} - found
        letters = self.source.letters | {name: pair[1] for name, pair in self.source.pairs.items()}
        both = {name: {name, _base(letters.get(name, name))} for name in self.factory.ranges}
        return {name for name, names in both.items() if names & found}

    def _name(self, name: str, env: dict[str, Any]) -> Any:
        if name == "i" and isinstance(env.get("i"), int):
            return array(self.field.number(env["i"]))
        if name in env or name in self.known:
            return super()._name(name, env)
        if match := _INDEXED.fullmatch(name):
            return array(self._entry(match, env))
        return self._piece(name, env)

    def _entry(self, match: re.Match, env: dict[str, Any]) -> Any:
        """The entry xᵢ, xᵢ₊₁ or xₙ."""
        base, at = match["base"], self.last if match["index"] == "n" else env.get("i")
        if not isinstance(at, int):
            raise Unreadable(f"{match[0]} has no index")
        at += bool(match["next"])
        if base in self.lists and 0 <= at - self.lists[base].start < len(self.lists[base].values):
            return self.lists[base].values[at - self.lists[base].start]
        if at == 0 and f"{base}₀" in self.starts:
            return self._value(self.starts[f"{base}₀"], env)
        for s in self.statements:
            if s.target in (f"{base}_i", f"{base}_i₊₁"):
                i = at - (s.target != f"{base}_i")
                return self._value(s.value, {**_step(env), "i": i})
        raise Unreadable(f"{base} with the index {at} is not defined")

    def _piece(self, name: str, env: dict[str, Any]) -> Any:
        """The value of a name: of all pieces that hold, which have to be equal."""
        found = []
        for s in self.statements:
            if s.target == name:
                found += [self._value(s.value, inside) for inside in self._holds(s.label, env)]
        if not found:
            raise Unreadable(f"{name} is not defined at t = {env.get('t')}")
        if any(not self.field.is_zero(x[()] - found[0][()]) for x in found):
            raise Unreadable(f"the pieces of {name} differ at t = {env['t']}: {found}")
        env[name] = found[0]
        return found[0]

    def _holds(self, label: Any, env: dict[str, Any]) -> list[dict[str, Any]]:
        """The names for which a condition holds: as they are, with an index, or none."""
        if not isinstance(label, tuple):
            return [env]
        tests = label[1:]
        if not any(name.endswith(("_i", "_i₊₁")) for name in names_in(tests)) or "i" in env:
            return [env] if all(self._compare(test, env)[()] for test in tests) else []
        end = _MOST_INDICES if self.last is None else self.last
        for i in range(end):
            inside = {**_step(env), "i": i}
            if all(self._compare(test, inside)[()] for test in tests):
                return [inside]
        return []

    def _value(self, node: Any, env: dict[str, Any]) -> Any:
        if node[0] == "·" and node[1][0] == "·" and node[1][2] == _APPLY:
            return self._named_function(node[1][1], env)(self._value(node[2], env))
        return super()._value(node, env)

    def _named_function(self, node: Any, env: dict[str, Any]) -> Callable[[Any], Any]:
        name = node[1]
        match = _INDEXED.fullmatch(name) if node[0] == "name" else None
        found = self._entry(match, env) if match else self.functions.get(name)
        if not callable(found):
            raise Unreadable(f"{name} is no function")
        return found


def _step(env: dict[str, Any]) -> dict[str, Any]:
    """The names that do not depend on an index."""
    return {"t": env["t"]} if "t" in env else {}


def _base(name: str) -> str:
    """A name without its index."""
    return re.sub(r"_[in]$", "", name.rstrip("₀₁₊"))


def _thresholds(node: Any) -> Iterator[Any]:
    """What a floor is taken of in an expression, and what has t in it in clip, max or min."""
    if isinstance(node, tuple):
        if node[:2] == ("·", ("·", ("name", "Floor"), _APPLY)):
            yield node[2]
        if node[:1] == ("call",) and node[1] in ("clip", "max", "min") and "t" in names_in(node):
            yield node
        yield from itertools.chain.from_iterable(map(_thresholds, node))

"""Runs a formula on exact numbers, step by step, as a program is run."""

from __future__ import annotations

__all__ = ["Formula", "free_names"]

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from gdjax.proof.entrywise import absolute, compare, extreme, power
from gdjax.proof.notation import FUNCTIONS, Statement, Unreadable, names_in
from gdjax.proof.program import array

_NEXT = "ₜ₊₁"
_SENSES = {
    "<": operator.lt,
    ">": operator.gt,
    "≤": operator.le,
    "≥": operator.ge,
    "≠": operator.ne,
}


class Formula:
    """The statements that hold for some flags, and what is kept between steps.

    Args:
        statements: As `notation.read` gives them, without `SameAs`.
        known: Numbers by name: the hyperparameters, and their letters.
        flags: The names of arguments that are given and not False.
        field: `Symbols` or `Digits`.
        inside: The formulas of the transformations inside, by the names of the arguments.
    """

    def __init__(
        self,
        statements: Sequence[Statement],
        known: Mapping[str, Any],
        flags: set[str],
        field: Any,
        inside: Mapping[str, Formula] | None = None,
    ) -> None:
        self.field, self.known, self.inside = field, known, inside or {}
        chosen = _holding(statements, flags)
        self.statements = [s for s in chosen if not s.target.endswith("₀")]
        self.starts = {s.target: s.value for s in chosen if s.target.endswith("₀")}
        self.kept = {s.target for s in self.statements if s.kept} - {"θ", "u", "g"}
        self.before: dict[str, Any] = {}
        self.steps = 0
        always = [s.target for s in self.statements if not s.kept and s.label == ""]
        for name in always:
            if always.count(name) > 1:
                raise Unreadable(f"{name} has two values")

    def step(self, g: Any, theta: Any, given: Mapping[str, Any] | None = None) -> Any:
        """The update u of the next step.

        Args:
            g: The gradient, an array.
            theta: The parameters.
            given: What else `update` gets, by its letter.
        """
        if not self.steps:
            self.first = theta
        self.steps += 1
        env: dict[str, Any] = {"g": g, "θ": theta, "t": array(self.field.number(self.steps))}
        env |= given or {}
        self.given, self.called, self.looked_up = given, {}, set()
        for name in self.kept:
            env[name] = self._before(name, env)
        for statement in self.statements:
            if statement.kept or statement.target not in self.looked_up:
                self._assign(statement, env)
        assigned = any(s.target == "θ" for s in self.statements)
        if "u" not in env and not assigned:
            raise Unreadable("a formula has `u =` or `θ ←`")
        self.before = env
        return env["θ"] - theta if assigned else env["u"]

    def _define(self, name: str, env: dict[str, Any]) -> bool:
        """Gives a name that is looked up its value of this step, by all its statements in turn."""
        self.looked_up.add(name)
        found = [s for s in self.statements if s.target == name and not s.kept]
        for statement in found:
            self._assign(statement, env)
        return name in env

    def _before(self, name: str, env: dict[str, Any]) -> Any:
        """The value of a name in the step before, or the first one."""
        if name in self.before:
            return self.before[name]
        start = self.starts.get(f"{name}₀", ("number", "0"))
        return array(self._value(start, env))

    def _broadcast(self, x: Any, env: dict[str, Any]) -> Any:
        return np.broadcast_to(array(x), env["g"].shape)

    def _assign(self, statement: Statement, env: dict[str, Any]) -> None:
        applies = self._applies(statement.label, env)
        if applies is False:
            return
        first = statement.first is not None and not self.before
        value = array(self._value(statement.first if first else statement.value, env))
        if applies is not True:
            old = env.get(statement.target, self._broadcast(self.field.number(0), env))
            value = _entrywise(lambda yes, new, old: new if yes else old, applies, value, old)
        env[statement.target] = array(value)

    def _applies(self, label: Any, env: dict[str, Any]) -> Any:
        """Whether a condition holds, for each entry where it is a comparison."""
        if isinstance(label, tuple):
            return self._compare(label, env)
        return (not self.before) == (label == "step 1") if label.startswith("step") else True

    def _compare(self, node: Any, env: dict[str, Any]) -> Any:
        sense, left, right = node
        one = lambda x, y: compare(self.field, _SENSES[sense], x, y)
        return _entrywise(one, self._value(left, env), self._value(right, env))

    def _name(self, name: str, env: dict[str, Any]) -> Any:
        if name in env:
            return env[name]
        if name in self.known:
            return array(self.known[name])
        if name.endswith("₋"):
            return self._before(name[:-1], env)
        if name == "θ₀":
            return self.first
        if self._define(name, env):
            return env[name]
        if name.endswith(_NEXT):
            now = name.removesuffix(_NEXT) + "ₜ"
            for statement in self.statements:
                if statement.target == now:
                    return self._value(statement.value, {**env, "t": env["t"] + 1})
        raise Unreadable(f"{name} is not defined")

    def _value(self, node: Any, env: dict[str, Any]) -> Any:
        kind, *rest = node
        if kind == "number":
            return array(self.field.number(math.inf if rest[0] == "inf" else Fraction(rest[0])))
        if kind == "name":
            return self._name(rest[0], env)
        if kind == "call":
            values = [self._value(x, env) for x in rest[1:]]
            if rest[0] not in self.inside:
                return self._call(rest[0], values)
            if rest[0] not in self.called:  # it takes one step, wherever its update stands
                theirs = self.inside[rest[0]]
                self.called[rest[0]] = theirs.step(values[0], env["θ"], self.given)
            return self.called[rest[0]]
        if kind == "root":
            one = functools.partial(self.field.root, degree=rest[0])
            return _entrywise(one, self._value(rest[1], env))
        if kind == "if":
            test = self._compare(rest[0], env)
            then, other = self._value(rest[1], env), self._value(rest[2], env)
            return _entrywise(lambda yes, x, y: x if yes else y, test, then, other)
        if kind == "^" and rest[1][0] == "number":
            number = Fraction(rest[1][1])
            return _entrywise(lambda x: power(self.field, x, number), self._value(rest[0], env))
        values = [self._value(x, env) for x in rest]
        return _entrywise(functools.partial(_OPERATIONS[kind], self.field), *values)

    def _call(self, name: str, values: list[Any]) -> Any:
        field = self.field
        if name in ("max", "min"):
            one = functools.partial(extreme, field, 1 if name == "max" else -1)
            return functools.reduce(lambda x, y: _entrywise(one, x, y), values)
        if name == "clip":
            x, *low, high = values  # clip(x, low, high), or clip(x, ±high)
            low = low or [_entrywise(operator.neg, high)]
            return self._call("max", [self._call("min", [x, high]), *low])
        if name in ("mean", "RMS", "norm", "sum", "size"):
            return self._reduced(name, values[0])
        if name == "abs":
            return _entrywise(lambda x: absolute(field, x), values[0])
        if name == "sign":
            return _entrywise(lambda x: field.number(field.sign(x)), values[0])
        if name not in FUNCTIONS:
            raise Unreadable(f"{name} is neither a function nor a transformation inside")
        return _entrywise(lambda x: field.function(name, x), values[0])

    def _reduced(self, name: str, x: Any) -> Any:
        size = self.field.number(x.size)
        if name == "size":
            return array(size)
        plain = name in ("mean", "sum")
        total = functools.reduce(operator.add, [e if plain else e * e for e in x.ravel()])
        mean = total if name in ("sum", "norm") else total / size
        return array(mean if plain else self.field.root(mean))


def _entrywise(f: Any, *values: Any) -> Any:
    return array(np.frompyfunc(f, len(values), 1)(*values))


def _quotient(field: Any, x: Any, y: Any) -> Any:
    """The quotient, and 0 where y is 0: so every rule has it, which its docstring says."""
    return field.number(0) if field.is_zero(y) else x / y


_OPERATIONS = {
    "+": lambda field, x, y: x + y,
    "−": lambda field, x, y: x - y,
    "·": lambda field, x, y: x * y,
    "/": _quotient,
    "^": power,
    "neg": lambda field, x: -x,
    "±": lambda field, x: x,
}


def _holding(statements: Sequence[Statement], flags: set[str]) -> list[Statement]:
    """The statements for some flags: one with a flag takes the place of an earlier one."""
    found: list[Statement] = []
    for statement in statements:
        words = statement.label.split() if isinstance(statement.label, str) else []
        if words[:1] not in (["with"], ["without"]):
            found.append(statement)
        elif (words[1] in flags) == (words[0] == "with"):
            places = [i for i, s in enumerate(found) if s.target == statement.target]
            statement = statement._replace(label="")
            if places:  # under the condition of what it replaces
                found[places[-1]] = statement._replace(label=found[places[-1]].label)
            else:
                found.append(statement)
    return found


def free_names(statements: Sequence[Statement]) -> set[str]:
    """All names that the statements use."""
    expressions = [x for s in statements for x in (s.value, s.first, s.label) if x]
    return set().union(*map(names_in, expressions))

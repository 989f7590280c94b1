"""The program of a transformation beside its formula, for all values of the symbols."""

from __future__ import annotations

__all__ = ["Claim"]

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.compare import is_transformation
from gdjax.core.engine.facts import facts_of
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.rule import errors
from gdjax.core.rule.numerics import enable_x64
from gdjax.proof import program
from gdjax.proof.digits import DIGITS, Digits
from gdjax.proof.lengths import NORMS
from gdjax.proof.number import Unsupported, cases
from gdjax.proof.stated import StatedRule
from gdjax.proof.symbols import Symbols
from gdjax.proof.verdict import Proof

_MOST_CASES = 2000
_POINTS = 100


class Claim:
    """A transformation beside the formula that it may have."""

    def __init__(
        self,
        tx: Any,
        formula: str | None,
        steps: int,
        shape: Any,
        points: Mapping[str, tuple[float, float]] | None,
    ) -> None:
        is_data = isinstance(tx, GradientTransformation)
        if formula is None and not is_data:
            errors.fail("contract.prove", "formula must be given for a tx of another library", None)
        self.tx = _opened(tx)
        self.rule = StatedRule(self.tx, formula)
        self.points, self.factors = points, {}
        self.steps, self.many = steps, isinstance(shape, list)
        self.shapes: list[tuple[int, ...]] = shape if self.many else [shape]
        facts = facts_of(self.tx)
        self.together = self.many and facts.couples
        extra = [name for name, needed in facts.extra_args.items() if needed]
        if set(extra) - {"value"}:
            raise Unsupported(f"{self.tx!r} needs {', '.join(extra)}, which is no number")
        self.gradients = [f"g{t + 1}" for t in range(steps)]
        self.losses = [f"f{t + 1}" for t in range(steps)] if extra else []
        self.thetas = [f"theta{t + 1}" for t in range(steps)]
        names = (*dict.fromkeys(self.thetas), *self.gradients)
        self.entries = {name: _entries(name, self.shapes) for name in names}
        leaves = jax.tree_util.tree_flatten_with_path(self.tx)[0] if is_data else []
        self.values = {_leaf_name(path): x for path, x in leaves}
        self.named = [name for name in self.values if name in self.rule.named("", self.values)]
        self.closed, self.one_step = self._trace()

    def _trace(self) -> tuple[Any, str]:
        structure = jax.tree.structure(self.tx) if self.values else None
        leaves = list(self.values.values())
        as_tree = lambda arrays: list(arrays) if self.many else arrays[0]

        def run(leaves: Any, params: Any, gradients: Any, losses: Any) -> Any:
            tx = structure.unflatten(leaves) if structure else self.tx
            state, updates = tx.init(as_tree(params[0])), []
            for t, (g, p) in enumerate(zip(gradients, params)):
                extra = {"value": losses[t]} if losses else {}
                u, state = tx.update(as_tree(g), state, as_tree(p), **extra)
                updates.append(u)
            return updates

        with enable_x64(True):
            x = [jnp.ones(shape, jnp.float64) for shape in self.shapes]
            leaves = [jnp.asarray(leaf, jnp.float64) for leaf in leaves]
            losses = [jnp.ones([], jnp.float64) for _ in self.losses]
            closed = jax.make_jaxpr(run)(leaves, [x] * self.steps, [x] * self.steps, losses)
            state, extra = self.tx.init(as_tree(x)), {"value": losses[0]} if losses else {}
            update = lambda g, s, p: self.tx.update(g, s, p, **extra)
            one = jax.make_jaxpr(update)(as_tree(x), state, as_tree(x))
        return closed, str(one)

    def proof(self) -> Proof:
        """What a comparison finds, in all cases or at points."""
        digits = DIGITS if self.points is not None else 0
        difference = ""
        try:
            count, difference = (_POINTS, "") if digits else self._by_cases()
        except Unsupported:
            count, digits = _POINTS, DIGITS
        if digits:
            difference = self._at_points()
        named = (*self.named, "θ", "g", *(["f"] if self.losses else []))
        return Proof(repr(self.tx), self.rule.text, self.one_step, named, count, digits, difference)

    def _by_cases(self) -> tuple[int, str]:
        count = 0
        for zeros in self._zeros():
            judge = lambda signs, zeros=zeros: self._difference(*self._symbols(zeros, signs))
            for signs, difference in cases(judge):
                count += 1
                if difference:
                    return count, f"{difference}{_where(zeros, signs)}"
                if count == _MOST_CASES:
                    raise Unsupported(f"more than {_MOST_CASES} cases")
        return count, ""

    def _zeros(self) -> Iterator[frozenset[str]]:
        """What is 0: any of the gradients, the parameters; all hyperparameters that may be."""
        of = lambda names: frozenset(entry for name in names for entry in self.entries[name])
        for n in range(self.steps + 1):
            for chosen in itertools.combinations(self.gradients, n):
                yield of(chosen)
        if "θ" in self.rule.used():
            yield of(self.thetas)
            yield of((*self.thetas, *self.gradients))
        may_be = [n for n in self.named if (r := self._range(n)).low == 0 and not r.open_low]
        if may_be:
            yield frozenset(may_be)

    def _range(self, name: str) -> Any:
        """The range of a hyperparameter, of this transformation or one inside."""
        tx, (first, *rest) = self.tx, name.split(".")
        while is_transformation(tx.arguments.get(first)):
            tx, (first, *rest) = tx.arguments[first], rest
        return tx.factory.ranges[first.split("[")[0]]

    def _symbols(self, zeros: frozenset[str], signs: dict[str, int]) -> tuple[Any, dict[str, Any]]:
        ranges = {name: self._range(name) for name in self.named}
        decays = [n for n, r in ranges.items() if (r.low, r.high) == (0, 1)]
        above = [n for n, r in ranges.items() if n not in decays and r.low > -np.inf]
        others = [n for n in self.named if n not in (*decays, *above)]
        others += [entry for names in self.entries.values() for entry in names] + self.losses
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
            entries = [entry for names in self.entries.values() for entry in names]
            for name in (*entries, *self.losses):
                values[name] = Fraction(draw.choice((-1, 1)) * draw.randint(1, 999), 256)
            zeros = patterns[i // 4 % len(patterns)] if i % 4 == 0 else frozenset()
            values |= dict.fromkeys(zeros, Fraction(0))
            field = Digits(values)
            if difference := self._difference(field, field.symbol):
                return f"{difference} at {values}"
        return ""

    def _rational(self, name: str, draw: random.Random) -> Fraction:
        """A number in the range of a hyperparameter; binary, so that differences can be 0."""
        kind = self._range(name)
        low, high = (self.points or {}).get(name, (kind.low, kind.high))
        low = Fraction(str(low)) if low > -np.inf else Fraction(-1)
        high = Fraction(str(high)) if high < np.inf else low + 3
        return low + (high - low) * Fraction(draw.randint(1, 127), 128)

    def _arrays(self, name: str, values: Mapping[str, Any]) -> list[np.ndarray]:
        """The parameters or gradients of a name, an array for each leaf."""
        entries, out = iter(self.entries[name]), []
        for shape in self.shapes:
            flat = np.empty(math.prod(shape), object)
            flat[:] = [values[next(entries)] for _ in range(flat.size)]
            out.append(flat.reshape(shape))
        return out

    def _parts(self, leaves: list[np.ndarray]) -> list[np.ndarray]:
        """What a formula is of: each leaf, or all entries together."""
        return [np.concatenate([x.ravel() for x in leaves])] if self.together else leaves

    def _difference(self, field: Any, values: Mapping[str, Any]) -> str:
        """The first step in which program and formula differ, with both values."""
        numbers = {n: field.number(program.exact(x)) for n, x in self.values.items()}
        numbers |= {n: values[n] for n in self.named}
        thetas = [self._arrays(name, values) for name in self.thetas]
        gradients = [self._arrays(name, values) for name in self.gradients]
        losses = [program.array(values[name]) for name in self.losses]
        flat = [x for arrays in (*thetas, *gradients) for x in arrays]
        got = program.run(self.closed, [*numbers.values(), *flat, *losses], field, NORMS)
        leaves = len(self.shapes)
        formulas = [self.rule.formula(numbers, field) for _ in self._parts(gradients[0])]
        for t, (theta, g) in enumerate(zip(thetas, gradients)):
            given = {"f": losses[t]} if losses else {}
            u = self._parts(got[t * leaves : (t + 1) * leaves])
            for formula, x, *at in zip(formulas, u, self._parts(g), self._parts(theta)):
                want = program.array(formula.step(at[0], at[1], given))
                for a, b in zip(x.ravel(), np.broadcast_to(want, x.shape).ravel()):
                    if not field.is_zero(a - b):
                        return f"in step {t + 1} the program gives {a}, the formula {b}"
        return ""


def _opened(tx: Any) -> Any:
    """The transformation with all its numbers as leaves, and those of the ones inside."""
    if not isinstance(tx, GradientTransformation):
        return tx
    return tx._with({name: _opened(x) for name, x in tx.arguments.items()})


def _entries(name: str, shapes: list[tuple[int, ...]]) -> list[str]:
    """Names of the entries of all leaves: g1_0, or g1_b_0 in the second of several."""
    out = []
    for i, shape in enumerate(shapes):
        leaf = f"{name}_{chr(ord('a') + i)}" if len(shapes) > 1 else name
        out += ["_".join([leaf, *map(str, index)]) for index in np.ndindex(*shape)]
    return out


def _where(zeros: frozenset[str], signs: Mapping[str, int]) -> str:
    found = [f"{name} = 0" for name in sorted(zeros)]
    found += [f"{name} {'>' if sign > 0 else '<'} 0" for name, sign in signs.items()]
    return f", where {' and '.join(found)}" if found else ""


def _leaf_name(path: Any) -> str:
    parts = (getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))) for key in path)
    return ".".join(map(str, parts))

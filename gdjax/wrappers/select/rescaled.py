"""Hyperparameters for another batch size and another amount of data.

An optimizer that was tuned with batches of B examples (or tokens) on D of them is changed for B′
and D′, κ = B′/B and δ = D′/D:

    "sqrt"         Adam: η·√κ, β₁ and β₂ to 1 − κ·(1 − β), eps/√κ
    "linear"       SGD: η·κ
    "half-life"    Adam with small batches: β₂^κ

and in all of them weight decay λ to λ·κ/(δ·f), f the factor of the rate: the time in which decay
forgets, 1/(η·λ) steps, stays the same part of an epoch. Lengths of schedules, which count steps, do
not change: an epoch has δ/κ times as many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.compare import show
from gdjax.core.data.hyperparams import is_known, is_number
from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.rule import errors
from gdjax.core.rule.roles import map_fields
from gdjax.wrappers.select.edit_chain import Times, product

__all__ = ["rescaled"]

RATE, DECAY = "learning rate", "weight decay"  # roles of arguments
MOMENTS = ("b1", "b2", "eps")


class Change(NamedTuple):
    """An argument before and after."""

    where: str  # names of the transformations down to it
    argument: str
    before: Any
    after: Any
    reason: str


class Rescaled(NamedTuple):
    """A changed optimizer, and what was changed in it; printed as a table."""

    tx: Any
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        """A line for each argument."""
        if not self.changes:
            return "no argument changed"
        rows = [
            (f"{x.where}/{x.argument}", f"{_shown(x.before)} → {_shown(x.after)}", x.reason)
            for x in self.changes
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {why}" for a, b, why in rows)


class _Rule(NamedTuple):
    """What a rule makes of an optimizer; κ is the ratio of the batch sizes."""

    rate: Callable[[Any], tuple[Any, str]]
    moments: dict[str, tuple[Callable[[Any, Any], Any], str]]


RULES = {
    "sqrt": _Rule(
        lambda k: (k**0.5, "× √κ"),
        {
            "b1": (lambda b, k: 1 - k * (1 - b), "1 − κ·(1 − β)"),
            "b2": (lambda b, k: 1 - k * (1 - b), "1 − κ·(1 − β)"),
            "eps": (lambda eps, k: eps / k**0.5, "/ √κ"),
        },
    ),
    "linear": _Rule(lambda k: (k, "× κ"), {}),
    "half-life": _Rule(lambda k: (1, ""), {"b2": (lambda b, k: b**k, "β^κ")}),
}


def rescaled(tx: Any, rule: str, batch: float = 1.0, data: float = 1.0) -> Rescaled:
    """Batch-size scaling: learning rate, betas and weight decay for other batches and other data.

        κ: ratio of batch sizes, new to old        δ: ratio of the amounts of data
        sqrt         η·√κ, β₁ and β₂ to 1 − κ·(1 − β), eps/√κ        Adam
        linear       η·κ                                             SGD
        half-life    β₂^κ                                            Adam with small batches
        all          λ·κ/(δ·f), f the factor of the rate             weight decay scaled by the rate

    Betas and eps are those of second moments; momentum of SGD, Lion or Muon does not change. Weight
    decay changes where one factory has it beside a learning rate, as in `adamw`; that of
    `add_decayed_weights` may be L2 regularization, and stays, and so does `max_learning_rate` of
    `adamc`. Lengths of schedules are in steps, and stay: an epoch has δ/κ times as many.

    >>> import gdjax as gd
    >>> found = gd.rescaled(gd.adamw(1e-3, b2=0.95, weight_decay=0.1), "sqrt", batch=4)
    >>> found.tx
    adamw(learning_rate=0.002, b1=0.6, b2=0.8, eps=5e-09, weight_decay=0.2)
    >>> print(found)
    adamw/learning_rate  0.001 → 0.002  × √κ
    adamw/b1             0.9 → 0.6      1 − κ·(1 − β)
    adamw/b2             0.95 → 0.8     1 − κ·(1 − β)
    adamw/eps            1e-08 → 5e-09  / √κ
    adamw/weight_decay   0.1 → 0.2      the same time in epochs

    Args:
        tx: The optimizer, whose numbers were tuned.
        rule: `"sqrt"`, `"linear"` or `"half-life"`.
        batch: κ > 0, the new batch size over the old, in examples or tokens.
        data: δ > 0, the new amount of data over the old: the training set, or what a run of one
            epoch reads.

    Returns:
        The changed optimizer, and a tuple of the changes; printed, a table of them.

    Raises:
        ValueError: Unknown `rule`; `batch` or `data` is not above 0; `"sqrt"` would make a beta
            negative; a beta is a schedule; a row of `groups` has numbers of its own.

    Reference: Malladi, Lyu, Panigrahi and Arora, On the SDEs and scaling rules for adaptive
        gradient algorithms, 2022, https://arxiv.org/abs/2205.10287; Goyal et al., Accurate, large
        minibatch SGD: training ImageNet in 1 hour, 2017, https://arxiv.org/abs/1706.02677; Marek,
        Lotfi, Somasundaram, Wilson and Goldblum, Small batch size training for language models,
        2025, https://arxiv.org/abs/2507.07101; Wang and Aitchison, How to set AdamW's weight decay
        as you scale model and dataset size, 2024, https://arxiv.org/abs/2405.13698
    """
    check_transformation("rescaled", "tx", tx, "Write rescaled(tx, rule, batch, data).")
    if rule not in RULES:
        hint = errors.nearest(str(rule), RULES)
        errors.fail("rescaled", f"rule must be one of {', '.join(RULES)}", rule, instead=hint)
    for name, ratio in (("batch", batch), ("data", data)):
        if is_known(ratio) and not ratio > 0:
            errors.fail("rescaled", f"{name} must be above 0", ratio)
    changes: list[Change] = []
    return Rescaled(_edited(tx, tx.name, RULES[rule], batch, data, changes), tuple(changes))


def _edited(value: Any, where: str, rule: _Rule, batch: Any, data: Any, done: list[Change]) -> Any:
    """A transformation, or what holds some, changed; the changes are added to `done`."""
    inside = lambda key, x: _edited(x, _path(where, key, x), rule, batch, data, done)
    if isinstance(value, GradientTransformation):
        mine = list(_changes(value, where, rule, batch, data))
        done += mine
        given = {name: inside("", x) for name, x in value.given.items()}
        return value._with({**given, **{x.argument: x.after for x in mine}})
    if type(value) is dict:
        for name, x in value.items():
            _no_number(str(name), x)
        return {key: inside(str(key), x) for key, x in value.items()}
    if type(value) in (list, tuple):
        return type(value)(inside("", x) for x in value)
    return value


def _path(where: str, key: str, x: Any) -> str:
    if not isinstance(x, GradientTransformation):
        return where
    return f"{where}/{key or x.name}"


def _no_number(name: str, value: Any) -> None:
    """Checks that a row of `groups` has no number that would have to change."""
    *_, last = name.split("/")
    numbers = ("learning_rate", "weight_decay", *MOMENTS)
    held = isinstance(value, (Times, GradientTransformation)) or _is(value, 0)
    if last in numbers and not held:
        must = f"rows of groups must have factors, times(...), and {name} has a value"
        hint = "Write groups(rescaled(inner, ...).tx, *rows)."
        errors.fail("rescaled", must, show(value), instead=hint)


def _changes(tx: Any, where: str, rule: _Rule, batch: Any, data: Any) -> Iterator[Change]:
    """The changes of the arguments of one transformation."""
    given = tx.arguments
    factor, reason = rule.rate(batch)
    rates = [name for name in tx.having(RATE) if given[name] is not None]
    for name in [] if _is(factor, 1) else rates:
        after = product("rescaled", name, given[name], factor)
        yield Change(where, name, given[name], after, reason)
    adam = "adam_" if "adam_b2" in given else ""  # of Muon, whose own b1 is a momentum
    if not _is(batch, 1) and (adam or "b2" in given and _has_squares(tx)):
        for kind, (change, how) in rule.moments.items():
            if (name := adam + kind) in given:
                after = _of_moment(name, given[name], change, batch)
                yield Change(where, name, given[name], after, how)
    slower = _rounded(batch / (data * factor))
    for name in tx.having(DECAY) if rates and not _is(slower, 1) else []:
        if given[name] is not None and not _is(given[name], 0):
            after = product("rescaled", name, given[name], slower)
            yield Change(where, name, given[name], after, "the same time in epochs")


def _of_moment(name: str, value: Any, change: Callable[[Any, Any], Any], batch: Any) -> Any:
    if not is_number(value):
        errors.fail("rescaled", f"{name} must be a number", show(value))
    after = change(value, batch)
    if is_known(after) and jnp.any(jnp.asarray(after) < 0):
        must = f"batch must be at most 1/(1 − {name}), where the rule makes {name} 0"
        errors.fail("rescaled", must, batch, instead='See "half-life".')
    return _rounded(after)


def _is(value: Any, number: int) -> bool:
    return isinstance(value, (int, float)) and value == number


def _has_squares(tx: Any) -> bool:
    """Whether a transformation keeps second moments."""
    found: list[bool] = []

    def note(state: Any, name: str, role: Any, value: Any) -> None:
        found.append(role is not None and role.square)

    map_fields(note, jax.eval_shape(tx.init, jax.ShapeDtypeStruct((), jnp.float32)))
    return any(found)


def _rounded(x: Any) -> Any:
    """A Python number without the last digits, which are of the arithmetic: 0.6 for 0.6000…01."""
    return float(f"{x:.12g}") if isinstance(x, (int, float)) else x


def _shown(x: Any) -> str:
    return f"{x:.6g}" if isinstance(x, (int, float)) else show(x)

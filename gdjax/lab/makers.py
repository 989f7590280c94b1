"""Optimizers of a race, as functions of the learning rate: names, calls, chains, sweeps."""

from __future__ import annotations

__all__ = ["RATE", "makers", "read_sweep", "swept"]

import ast
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gdjax.core.data.compare import show
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.rule import errors
from gdjax.lab import catalogue

RATE = "RATE"  # stands in a call for the learning rate
Make = Callable[[Any], Any]


def makers(optimizers: Sequence[Any] | Mapping[str, Any]) -> dict[str, Make]:
    """Functions of the learning rate, by label.

    >>> makers(["sgd", "chain(clip(1.0), adam(RATE))"])["chain(clip(1.0), adam(RATE))"](0.5)
    chain(clip(max_delta=1.0), adam(learning_rate=0.5))

    Args:
        optimizers: Names, calls without a learning rate, calls with `RATE` in its place,
            transformations; or a dict of these by label, and of functions of the rate.

    Raises:
        ValueError: The text is none of the catalogue, or one stands twice.
        TypeError: It has no learning rate.
    """
    if isinstance(optimizers, (str, GradientTransformation)) or callable(optimizers):
        optimizers = [optimizers]
    named = isinstance(optimizers, Mapping)
    made: dict[str, Make] = {}
    for label, given in optimizers.items() if named else ((None, x) for x in optimizers):
        if not callable(given) or label is None:
            label, given = _of(given, label)
        if label in made:
            errors.fail("race", "every optimizer must be another one", f"{label} twice")
        made[label] = given
    if not made:
        errors.fail("race", "there must be at least one optimizer", "none")
    return made


def _of(given: Any, label: str | None) -> tuple[str, Make]:
    if isinstance(given, str) and _has_rate(given):
        make = lambda rate: catalogue.read(given, {RATE: rate})
        tx = make(0.5)  # what is wrong with it is found before anything is computed
        if not isinstance(tx, GradientTransformation):
            must = "an optimizer must be a call that makes a transformation"
            errors.fail("race", must, given, kind=TypeError)
        return label or " ".join(given.split()), make
    tx = catalogue.optimizer(given)
    return label or _short_call(tx), lambda rate: tx.replace(learning_rate=rate)


def _short_call(tx: GradientTransformation) -> str:
    """The call without its learning rate."""
    given = {k: v for k, v in tx.given.items() if k != "learning_rate"}
    inside = ", ".join(f"{k}={show(v)}" for k, v in given.items())
    return f"{tx.name}({inside})" if inside else tx.name


def _has_rate(text: str) -> bool:
    try:
        nodes = ast.walk(ast.parse(text.strip(), mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.Name) and node.id == RATE for node in nodes)


def read_sweep(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Reads hyperparameters and their values, `b2=0.9,0.99`.

    >>> read_sweep(["b2=0.9,0.99", "nesterov=True,False"])
    {'b2': [0.9, 0.99], 'nesterov': [True, False]}

    Raises:
        ValueError: It is no name and values.
    """
    found: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        try:
            read = ast.literal_eval(f"({values},)") if equals else ()
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            read = ()
        if not read or not name.strip().replace("/", "_").isidentifier():
            must = "--sweep must be NAME=VALUE,VALUE,..., as b2=0.9,0.99"
            errors.fail("race", must, repr(text))
        found[name.strip()] = list(read)
    return found


def swept(optimizers: Sequence[Any], sweep: Mapping[str, Sequence[Any]]) -> dict[str, Make]:
    """Every optimizer with every combination of values of hyperparameters, by label.

    >>> list(swept(["adam", "lion"], {"b2": [0.9, 0.99]}))
    ['adam(b2=0.9)', 'adam(b2=0.99)', 'lion(b2=0.9)', 'lion(b2=0.99)']

    Args:
        optimizers: As `makers` takes them.
        sweep: Values by the name of the hyperparameter.

    Raises:
        TypeError: An optimizer has no such hyperparameter.
    """
    made: dict[str, Make] = {}
    for label, make in makers(optimizers).items():
        for values in itertools.product(*sweep.values()):
            given = dict(zip(sweep, values))
            made[_label(label, given)] = lambda rate, make=make, given=given: make(rate).replace(
                **given
            )
            made[_label(label, given)](0.5)
    return made


def _label(label: str, given: Mapping[str, Any]) -> str:
    """`adam(b1=0.8)` with `b2=0.9` added."""
    if not given:
        return label
    added = ", ".join(f"{name}={value!r}" for name, value in given.items())
    if label.startswith("chain(") or RATE in label:
        return f"{label}, {added}"
    return f"{label[:-1]}, {added})" if label.endswith(")") else f"{label}({added})"

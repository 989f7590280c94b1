"""Calls of optax's factories: which there are, and a random one of each."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import NamedTuple

from tests.compat.optax.fuzz.arguments import ARGUMENTS, ARGUMENTS_OF, ELSEWHERE
from tests.compat.optax.fuzz.data import TREES
from tests.compat.optax.fuzz.draws import Draw
from tests.compat.optax.fuzz.functions import FUNCTIONS

__all__ = ["LANES", "Call", "call", "kind_of", "names", "table"]

SPACES = ("losses", "projections", "", "contrib", "schedules", "transforms", "tree")
LANES = 8  # calls of one structure, which share what is compiled


class Call(NamedTuple):
    """One call: optax's function, the text with `N[i]` for numbers, the numbers, the tree."""

    name: str
    seed: int
    text: str
    numbers: tuple[float, ...]
    tree: str
    bad: bool  # whether some gradients are not finite

    @property
    def pasteable(self) -> str:
        """The text with its numbers."""
        text = self.text
        for i, value in reversed(list(enumerate(self.numbers))):
            text = text.replace(f"N[{i}]", repr(value))
        return text


@functools.cache
def names() -> tuple[str, ...]:
    """What makes transformations, schedules or numbers in optax, each under its first name."""
    found = {}
    for space in SPACES:
        module = importlib.import_module(f"optax.{space}".rstrip("."))
        for name in sorted(dir(module)):
            value = getattr(module, name)
            full = f"{space}.{name}".lstrip(".")
            if name.startswith("_") or not inspect.isfunction(value) or full in ELSEWHERE:
                continue
            if value not in found.values():
                found[full] = value
    return (*found, "MultiSteps")


def parameters(name: str) -> list[inspect.Parameter]:
    """The arguments of a function of optax."""
    space, _, last = name.rpartition(".")
    function = getattr(importlib.import_module(f"optax.{space}".rstrip(".")), last)
    return list(inspect.signature(function).parameters.values())


def kind_of(name: str) -> str:
    """What is compared: a transformation, a schedule, or the numbers of a function."""
    if name in FUNCTIONS:
        return "function"
    shape = (
        name.endswith(("_schedule", "_schedules", "exponential_decay")) and "scale_by" not in name
    )
    return "schedule" if shape else "transformation"


def table(name: str) -> dict[str, str]:
    """The kinds of the arguments of a function."""
    return FUNCTIONS[name] if name in FUNCTIONS else {**ARGUMENTS, **ARGUMENTS_OF.get(name, {})}


def call(name: str, seed: int) -> Call:
    """The call of a seed; seeds that differ by less than `LANES` differ in their numbers alone."""
    draw = Draw(f"{name} {seed // LANES}", f"{name} {seed}")
    tree, bad = draw.pick(*TREES), draw.chance(0.5)
    text = SPECIAL[name](draw) if name in SPECIAL else f"o.{name}({_arguments(name, draw)})"
    bad = bad and any(part in text for part in ("finite", "zero_nans"))
    return Call(name, seed, text, tuple(draw.numbers), tree, bad)


def _arguments(name: str, draw: Draw) -> str:
    """All that must be given, and half of the rest; some of the first ones by position."""
    kinds, given, by_position = table(name), [], draw.chance(0.5)
    share = draw.pick(0.2, 0.5, 0.8)
    for p in parameters(name):
        required = p.default is p.empty and p.kind is not p.VAR_POSITIONAL
        if not kinds.get(p.name) or not (required or draw.chance(share)):
            by_position = False
            continue
        value = draw.of(kinds[p.name])
        by_position = by_position and p.kind is p.POSITIONAL_OR_KEYWORD
        given.append(value if by_position else f"{p.name}={value}")
    return ", ".join(given)


def _of(name: str, **more: str):
    """A call written by hand, with the rest of the arguments as usual."""

    def drawn(draw: Draw) -> str:
        first = ", ".join(f"{k}={draw.of(v)}" for k, v in more.items())
        return f"o.{name}({first})"

    return drawn


def _injected(name: str):
    def drawn(draw: Draw) -> str:
        factory, arguments = draw.injected()
        return f"o.{name}({factory})({arguments})"

    return drawn


def _many(draw: Draw) -> str:
    every = draw.pick("1", "2", "3", "lambda step: 1 + step % 2")
    more = draw.pick("", ", use_grad_mean=False", ", should_skip_update_fn=o.skip_not_finite")
    return f"o.MultiSteps({draw.of('inner')}, {every}{more}).gradient_transformation()"


def _search(name: str):
    """A line search along the negative gradient, or along Adam's direction."""

    def drawn(draw: Draw) -> str:
        way = draw.pick("o.sgd(1.0)", "o.adam(1.0)")
        return f"o.chain({way}, o.{name}({_arguments(name, draw)}))"

    return drawn


SPECIAL = {
    "chain": lambda d: f"o.chain({', '.join(d.of('inner') for _ in range(d.pick(0, 1, 3)))})",
    "named_chain": lambda d: f"o.named_chain(('z', {d.of('inner')}), ('a', {d.of('inner')}))",
    "inject_hyperparams": _injected("inject_hyperparams"),
    "inject_stateful_hyperparams": _injected("inject_stateful_hyperparams"),
    "MultiSteps": _many,
    "join_schedules": lambda d: f"o.join_schedules({d.of('schedules')})",
    "sgdr_schedule": lambda d: f"o.sgdr_schedule([{d.of('cosine')}, {d.of('cosine')}])",
    "measure_with_ema": lambda d: (
        f"o.monitor({{'a': o.measure_with_ema({_arguments('measure_with_ema', d)})}})"
    ),
    **{
        name: _search(name)
        for name in ("scale_by_backtracking_linesearch", "scale_by_zoom_linesearch")
    },
    "tree.add": lambda d: f"o.tree.add({d.pick('T, U', 'T, U, T')})",
    "losses.make_fenchel_young_loss": lambda d: (
        "o.losses.make_fenchel_young_loss(jax.nn.logsumexp)(X[0], P[0])"
    ),
    "conditionally_mask": _of("conditionally_mask", inner="inner", should_transform_fn="condition"),
    "conditionally_transform": _of(
        "conditionally_transform", inner="inner", should_transform_fn="condition"
    ),
}

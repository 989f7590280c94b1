"""What is known of an optimizer without running it: arguments, parts, bytes of state."""

from __future__ import annotations

import functools
import inspect
import json
import pathlib
import re
from typing import Any, NamedTuple

import jax

import gdjax as gd
from gdjax.compat import optax, torch
from gdjax.core.data.compare import show
from gdjax.core.data.recipe import factories
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.lab import catalogue
from gdjax.programs import models
from optimizer_pages import landscapes

__all__ = [
    "CHIPS",
    "FAMILIES",
    "Argument",
    "arguments",
    "bytes_of_state",
    "cost",
    "equal",
    "example",
    "families",
    "parts",
]

ROOT = pathlib.Path(__file__).parents[3]
CHIPS = {"cpu": "CPU", "v5e:1": "TPU v5e", "h200": "H200"}
FAMILIES = {
    "sgd": "Gradient descent",
    "adam": "Adam and its relatives",
    "adaptive": "Adaptive rates",
    "sign": "Sign descent",
    "factored": "Factored second moments",
    "matrix": "Matrix optimizers",
    "layerwise": "Layer-wise rates",
    "parameter_free": "Parameter-free",
    "schedule_free": "Schedule-free",
    "line_search": "Line search",
}
_TORCH = {
    "adadelta": "Adadelta",
    "adafactor": "Adafactor",
    "adagrad": "Adagrad",
    "adam": "Adam",
    "adamax": "Adamax",
    "adamw": "AdamW",
    "nadam": "NAdam",
    "radam": "RAdam",
    "rmsprop": "RMSprop",
    "rprop": "Rprop",
    "sgd": "SGD",
}
# What others call an argument, by what it is here.
_OTHERS = {
    "learning_rate": ("lr",),
    "b1": ("beta", "beta1"),
    "b2": ("beta2",),
    "decay": ("rho", "alpha"),
    "max_norm": ("l2_norm_clip",),
    "key": ("seed",),
    "eta_minus": ("eta_minus", "etas[0]"),
    "eta_plus": ("eta_plus", "etas[1]"),
    "min_step_size": ("step_sizes[0]",),
    "max_step_size": ("step_sizes[1]",),
    "mu_dtype": ("accumulator_dtype",),
    "clipping_threshold": ("d",),
    "weight_decay_rate": ("weight_decay",),
}
_TUPLES = {"betas": ("b1", "b2"), "etas": ("eta_minus", "eta_plus")}
_TUPLES["step_sizes"] = ("min_step_size", "max_step_size")


# Calls of those that need more than a rate.
_EXAMPLES = {
    "adamc": "adamc(learning_rate=0.001, max_learning_rate=0.001)",
    "dpsgd": "dpsgd(learning_rate=0.001, max_norm=1.0, noise_multiplier=1.0, key=0)",
}


class Argument(NamedTuple):
    """An argument: its default here and elsewhere ("" where there is none), and what it means."""

    name: str
    default: str
    optax: str
    torch: str
    meaning: str


def families() -> dict[str, list[str]]:
    """Names of optimizers by family."""
    found: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for name, made in sorted(factories().items()):
        if made.is_ours and made.kind == "optimizer":
            found[made.module.split(".")[2]].append(name)
    return found


def arguments(name: str) -> list[Argument]:
    """The arguments of an optimizer, beside those that optax and torch have for the same."""
    made = factories()[name]
    said = _said(inspect.getdoc(made.function) or "")
    theirs = _defaults(_optax(name)), _defaults(getattr(torch, _TORCH.get(name, ""), None))
    found = []
    for p in made.signature.parameters.values():
        default = "" if p.default is p.empty else show(p.default)
        others = [_theirs(p.name, defaults) for defaults in theirs]
        found.append(Argument(p.name, default or "–", *others, said.get(p.name, "")))
    return found


def _said(text: str) -> dict[str, str]:
    """What the section `Args` says, by argument."""
    section = re.search(r"^Args:\n((?:    .*\n?|\n)*)", text, re.MULTILINE)
    entries = re.split(r"^    (?=\w+:)", section[1] if section else "", flags=re.MULTILINE)
    pairs = (entry.split(":", 1) for entry in entries if entry.strip())
    return {name: " ".join(meaning.split()) for name, meaning in pairs}


def _optax(name: str) -> Any:
    """The function of optax's namespace, whose signature is optax's."""
    found = (getattr(space, name, None) for space in (optax, optax.contrib))
    return next((function for function in found if callable(function)), None)


def _defaults(function: Any) -> dict[str, str] | None:
    """Defaults by name, those in tuples apart; None where there is no such function."""
    if not callable(function):
        return None
    found: dict[str, str] = {}
    for p in inspect.signature(function).parameters.values():
        default = "–" if p.default is p.empty else show(p.default)
        found[p.name] = default
        if p.name in _TUPLES and p.default is not p.empty and not isinstance(p.default, str):
            found |= {part: show(value) for part, value in zip(_TUPLES[p.name], p.default)}
    return found


def _theirs(name: str, defaults: dict[str, str] | None) -> str:
    names = (name, *_OTHERS.get(name, ()))
    return next((defaults[n] for n in names if n in defaults), "") if defaults else ""


def equal(one: str, other: str) -> bool:
    """Whether two defaults are one number, None and 0 being none of something."""
    if {one, other} <= {"None", "0", "0.0"}:
        return True
    try:
        return float(one) == float(other)
    except ValueError:
        return False


def example(name: str) -> GradientTransformation:
    """An optimizer at the rate 0.001, with examples of what else it needs."""
    return catalogue.example(_EXAMPLES.get(name, name))


def parts(name: str) -> tuple[str, list[str]]:
    """What an optimizer is made of, as a call, and the names of all that is in it.

    The call is empty where the optimizer is a rule of its own.
    """
    body = factories()[name].invoke({**example(name).arguments})
    if not isinstance(body, GradientTransformation):
        return "", []
    return _short(body), _names(body)


def _short(value: Any) -> str:
    """A call without arguments that are at their defaults."""
    if not isinstance(value, GradientTransformation):
        return re.sub(r"<(\w+)>", r"\1", show(value))
    stages = value.arguments.get("transformations")
    known = factories()[value.name].signature.parameters
    given = [_short(stage) for stage in stages] if isinstance(stages, tuple) else []
    named = list(stages.items()) if isinstance(stages, dict) else []
    for key, argument in value.given.items():
        default = known[key].default if key in known else None
        if key != "transformations" and show(argument) != show(default):
            named.append((key, argument))
    given += [f"{key}={_short(argument)}" for key, argument in named]
    return f"{value.name}({', '.join(given)})"


def _names(value: Any) -> list[str]:
    """Names of the transformations in a transformation, outermost first, each once."""
    found: list[str] = []
    if isinstance(value, GradientTransformation):
        found = [value.name]
        inside = list(value.arguments.values())
    elif isinstance(value, dict):
        inside = list(value.values())
    else:
        inside = list(value) if isinstance(value, (list, tuple)) else []
    for part in inside:
        found += _names(part)
    return list(dict.fromkeys(found))


@functools.cache
def bytes_of_state(name: str) -> float:
    """Bytes of state a parameter of GPT-2 in float32, without computing anything."""
    params = models.gpt2()
    count = sum(x.size for x in jax.tree.leaves(params))
    return gd.state.nbytes(jax.eval_shape(example(name).init, params)) / count


@functools.cache
def _budgets() -> dict[str, Any]:
    return json.loads((ROOT / "tests" / "programs" / "budgets.json").read_text("utf-8"))


def cost(name: str) -> dict[str, dict[str, Any]]:
    """What a compiled step costs, by chip: of the budgets where they have it, else as measured."""
    found = {}
    for chip, title in CHIPS.items():
        budget = _budgets().get(chip, {}).get(name, {}).get("gdjax")
        if row := budget or landscapes.data().get(chip, {}).get(name):
            found[title] = row
    return found

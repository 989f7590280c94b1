"""Search spaces of the optimizers that race under equal budgets on characters.

Every rate has a range of two decades, every weight decay one of three. What is not searched is the
same for all: gradients are clipped to norm 1, the rate rises in a twentieth of the steps and falls
linearly to zero in their last nine tenths; Schedule-Free AdamW has the warm-up alone.
"""

from __future__ import annotations

__all__ = ["PROBLEMS", "SPACES", "line", "problem", "spaces"]

import os
from collections.abc import Mapping, Sequence
from typing import Any

import gdjax as gd
from gdjax.core.rule import errors
from gdjax.lab.charlm import charlm, charlm_small
from gdjax.lab.problem import Problem
from gdjax.lab.spaces import Space, decay, ratio

# Queries, keys and values are three matrices in one array; Muon leaves embeddings to AdamW.
_HIDDEN: dict[str, str | None] = {
    r"blocks/.*/qkv": "in (3 out)",
    r"blocks/.*/(proj|up|down)": "in out",
}
_TABLES: dict[str, str | None] = {r"embed/.*": "in out"}
_WARMUP = 0.05


def line(peak: Any, steps: int) -> Any:
    """A rate that rises in a twentieth of the steps and falls linearly in their last nine tenths.

    >>> [round(float(line(1.0, 100)(step)), 2) for step in (0, 5, 10, 55, 100)]
    [0.0, 1.0, 1.0, 0.5, 0.0]
    """
    return gd.warmup_stable_decay_schedule(peak, steps, _WARMUP, 0.9)


def _clipped(*stages: Any) -> Any:
    return gd.chain(gd.clip_by_global_norm(1.0), *stages)


def _adamw(steps: int, learning_rate: Any, **setting: Any) -> Any:
    return _clipped(gd.adamw(line(learning_rate, steps), mask="matrices", **setting))


def _lion(steps: int, learning_rate: Any, **setting: Any) -> Any:
    return _clipped(gd.lion(line(learning_rate, steps), mask="matrices", **setting))


def _momentum(steps: int, learning_rate: Any, decay: Any, weight_decay: Any) -> Any:
    decayed = gd.add_decayed_weights(weight_decay, "matrices")
    return _clipped(decayed, gd.momentum(line(learning_rate, steps), decay))


def _schedule_free_adamw(steps: int, learning_rate: Any, **setting: Any) -> Any:
    warmup = max(1, round(_WARMUP * steps))
    return _clipped(gd.schedule_free_adamw(learning_rate, warmup, mask="matrices", **setting))


def _soap(steps: int, learning_rate: Any, **setting: Any) -> Any:
    about: Any = {"mask": "matrices", "matrix_axes": gd.matrix_axes(_HIDDEN | _TABLES)}
    rate = line(learning_rate, steps)
    return _clipped(gd.soap(rate, max_precond_dim=128, **about, **setting))


def _of_hidden(factory: Any, *args: Any) -> Any:
    """An optimizer of the hidden matrices, AdamW for the rest."""

    def make(steps: int, learning_rate: Any, adam_learning_rate: Any, **setting: Any) -> Any:
        rest: Any = {"adam_learning_rate": line(adam_learning_rate, steps), "adam_b2": 0.99}
        axes, rate = gd.matrix_axes(_HIDDEN), line(learning_rate, steps)
        return _clipped(factory(rate, *args, matrix_axes=axes, **rest, **setting))

    return make


_DECAY, _B1, _B2 = ratio(1e-3, 1.0), decay(0.8, 0.98), decay(0.9, 0.999)
_ADAM = {"learning_rate": ratio(3e-4, 3e-2), "weight_decay": _DECAY, "b1": _B1, "b2": _B2}
_MUON = {
    "learning_rate": ratio(2e-3, 0.2),
    "adam_learning_rate": ratio(3e-4, 3e-2),
    "weight_decay": _DECAY,
    "b1": _B1,
}
_LION = _ADAM | {"learning_rate": ratio(3e-5, 3e-3), "weight_decay": ratio(1e-2, 10.0)}
_SGD = {"learning_rate": ratio(0.03, 3.0), "weight_decay": ratio(1e-5, 1e-2), "decay": _B1}

# The baseline first.
SPACES: Mapping[str, Space] = {
    "adamw": Space(_adamw, _ADAM),
    "muon": Space(_of_hidden(gd.muon, "polar_express"), _MUON),
    "normuon": Space(_of_hidden(gd.normuon), _MUON | {"learning_rate": ratio(5e-4, 5e-2)}),
    "soap_muon": Space(_of_hidden(gd.soap_muon), _MUON),
    "soap": Space(_soap, _ADAM),
    "schedule_free_adamw": Space(_schedule_free_adamw, _ADAM),
    "lion": Space(_lion, _LION),
    "momentum": Space(_momentum, _SGD),
}
PROBLEMS = {"charlm": charlm, "charlm_small": charlm_small}


def problem(name: str, text: str | os.PathLike[str] | None = None) -> Problem:
    """A problem whose optimizers have search spaces.

    Args:
        name: A key of `PROBLEMS`.
        text: The training text; see `charlm`.

    Raises:
        ValueError: There are no search spaces for the problem.
    """
    if name not in PROBLEMS:
        must = f"with --budget the problem must be one of {', '.join(PROBLEMS)}"
        errors.fail("race", must, repr(name), instead="Write --rates LOW:HIGH:COUNT for others.")
    return PROBLEMS[name](text)


def spaces(optimizers: Sequence[str] = ()) -> dict[str, Space]:
    """The search spaces of optimizers, the baseline first.

    Args:
        optimizers: Names of optimizers beside the baseline; none for all.

    Raises:
        ValueError: An optimizer has no search space.
    """
    base = next(iter(SPACES))
    for one in optimizers:
        if one not in SPACES:
            must = f"with --budget an optimizer must be one of {', '.join(SPACES)}"
            errors.fail("race", must, repr(one), instead="Give rates: --rates 1e-3:1e-1:5.")
    return {name: SPACES[name] for name in dict.fromkeys([base, *(optimizers or SPACES)])}

"""Tuned optimizers of a problem: the contestants of its long race.

The hyperparameters were searched with one seed each. AdamW: four learning rates, cosine decay as in
nanoGPT or linear decay (better), weight decay, warm-up. Muon: three learning rates. NorMuon: two.
SOAP and SOAP-Muon: both sides of matrices or the shorter one. Schedule-Free AdamW: nothing. All
others are the defaults or those of nanoGPT. Muon, its variants and SOAP were tuned in runs of 1000
steps; the race runs SOAP-Muon for fewer steps and SOAP for more.
"""

from __future__ import annotations

__all__ = ["CHARLM", "PROBLEMS", "contestants", "problem"]

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

import gdjax as gd
from gdjax.core.rule import errors
from gdjax.lab.charlm import charlm, warmup_cosine
from gdjax.lab.problem import Problem
from gdjax.lab.trials import Contestant

# Queries, keys and values are three matrices in one array; Muon leaves embeddings to AdamW.
_HIDDEN: dict[str, str | None] = {
    r"blocks/.*/qkv": "in (3 out)",
    r"blocks/.*/(proj|up|down)": "in out",
}
_TABLES: dict[str, str | None] = {r"embed/.*": "in out"}


def _line(peak: float, steps: int, warmup: float = 0.02) -> Any:
    """Warm-up in a fiftieth of the steps, a short constant phase, linear decay in nine tenths."""
    return gd.warmup_stable_decay_schedule(peak, steps, warmup, 0.9)


def _clipped(tx: Any) -> Any:
    return gd.chain(gd.clip_by_global_norm(1.0), tx)


def _rest(rate: float, steps: int) -> Any:
    """AdamW for all parameters but hidden matrices."""
    return {"adam_learning_rate": _line(rate, steps), "adam_b2": 0.99}


def _adamw(rate: float, steps: int) -> Any:
    rate = _line(rate, steps, 0.05)
    return _clipped(gd.adamw(rate, b1=0.8, b2=0.95, weight_decay=0.1, mask="matrices"))


def _setting(rate: float, steps: int) -> Any:
    """AdamW as in nanoGPT, whose loss on Shakespeare's plays is published."""
    rate = warmup_cosine(rate, steps)
    return _clipped(gd.adamw(rate, b2=0.99, weight_decay=0.1, mask="matrices"))


def _muon(rate: float, steps: int, **more: Any) -> Any:
    axes, rest = gd.matrix_axes(_HIDDEN), _rest(3e-3, steps)
    matrices: Any = {"matrix_axes": axes, "weight_decay": 0.01}
    return gd.muon(_line(rate, steps), "polar_express", **matrices, **rest, **more)


def _muon_bfloat16(rate: float, steps: int) -> Any:
    return _muon(rate, steps, dtype=jnp.bfloat16)


def _normuon(rate: float, steps: int) -> Any:
    axes, rest = gd.matrix_axes(_HIDDEN), _rest(3e-3, steps)
    return gd.normuon(_line(rate, steps), weight_decay=0.01, matrix_axes=axes, **rest)


def _soap(rate: float, steps: int) -> Any:
    axes, rate = gd.matrix_axes(_HIDDEN | _TABLES), _line(rate, steps, 0.05)
    about: Any = {"mask": "matrices", "matrix_axes": axes, "max_precond_dim": 128}
    return _clipped(gd.soap(rate, weight_decay=0.1, **about))


def _soap_muon(rate: float, steps: int) -> Any:
    axes, rest = gd.matrix_axes(_HIDDEN), _rest(3e-3, steps)
    return gd.soap_muon(_line(rate, steps), weight_decay=0.01, matrix_axes=axes, **rest)


def _schedule_free_adamw(rate: float, steps: int) -> Any:
    free = gd.schedule_free_adamw(rate, 100, 0.9, 0.99, weight_decay=0.1, mask="matrices")
    return _clipped(free)


# Name: how many of the problem's 2000 steps, the rate, and what makes the optimizer of rate and
# steps; the baseline first.
CHARLM: Mapping[str, tuple[int, float, Callable[[float, int], Any]]] = {
    "adamw": (2000, 4e-3, _adamw),
    "muon": (1000, 0.02, _muon),
    "muon_bfloat16": (1000, 0.02, _muon_bfloat16),
    "normuon": (1000, 5e-3, _normuon),
    "soap_muon": (800, 0.02, _soap_muon),
    "soap": (1600, 3e-3, _soap),
    "schedule_free_adamw": (2000, 6e-3, _schedule_free_adamw),
    "adamw_nanogpt": (2000, 1e-3, _setting),
}
PROBLEMS = {"charlm": CHARLM}


def problem(name: str, text: str | os.PathLike[str] | None = None) -> Problem:
    """A problem with tuned optimizers.

    Args:
        name: A key of `PROBLEMS`.
        text: The training text; see `charlm`.

    Raises:
        ValueError: The problem has no tuned optimizers.
    """
    if name not in PROBLEMS:
        must = f"for the problem {name} there must be rates, as 1e-4:1:9"
        errors.fail("race", must, "tuned", instead=f"Tuned ones are for {', '.join(PROBLEMS)}.")
    return charlm(text)


def contestants(
    name: str, optimizers: Sequence[str] = (), steps: int | None = None
) -> list[Contestant]:
    """The contestants of a problem, the baseline first.

    Args:
        name: A key of `PROBLEMS`.
        optimizers: Names of the contestants beside the baseline; none for all.
        steps: Steps of the baseline, 10 or more; those of the others are in proportion. By default
            the steps of the tuned race.

    Raises:
        ValueError: Unknown optimizer, or too few steps.
    """
    numbers = PROBLEMS[name]
    base = next(iter(numbers))
    for one in optimizers:
        if one not in numbers:
            must = f"with tuned rates an optimizer must be one of {', '.join(numbers)}"
            errors.fail("race", must, repr(one), instead="Give rates: --rates 1e-3:1e-1:5.")
    full = numbers[base][0]
    if steps is not None and steps < 10:
        errors.fail("race", "steps must be 10 or more", steps)
    made = []
    for one in dict.fromkeys([base, *(optimizers or numbers)]):
        count, rate, make = numbers[one]
        count = count if steps is None else max(5, count * steps // full)
        made.append(Contestant(one, count, make(rate, count)))
    return made

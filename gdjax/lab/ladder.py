"""The ladder of sizes: hyperparameters found at one million parameters, used up to 124 million.

Width and depth of the character transformer both grow, heads keep 32 channels. All rungs have the
same context and batch; steps are such that a run reads a quarter of a character for each parameter.
Rates, weight decays and eps are carried by `width_groups` and `depth_groups` (muP, CompleteP).
"""

from __future__ import annotations

__all__ = ["BASE", "OPTIMIZERS", "RUNGS", "Rung", "carried", "climb", "problem", "spaces"]

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

import gdjax as gd
from gdjax.core.rule import errors
from gdjax.lab import charlm_configs
from gdjax.lab.charlm import Shape, Text, charlm, library
from gdjax.lab.outcomes import search
from gdjax.lab.problem import Problem
from gdjax.lab.rungs import OCTAVES, moved, outermost, scaled
from gdjax.lab.spaces import Space, decay, ratio
from gdjax.lab.trials import Contestant, trials

_CHARACTERS = 0.25  # that a run reads, for each parameter
_HEAD = 32


class Rung(NamedTuple):
    """One size of the transformer."""

    name: str
    layers: int
    width: int
    context: int = 128
    batch: int = 4

    @property
    def parameters(self) -> int:
        """Of the blocks: matrices alone, without embeddings."""
        return 12 * self.layers * self.width**2

    @property
    def steps(self) -> int:
        """Those in which a run reads a quarter of a character for each parameter, in tens."""
        read = _CHARACTERS * self.parameters / (self.batch * self.context)
        return max(10, 10 * round(read / 10))

    def shape(self, base: Rung) -> Shape:
        """The transformer with the hyperparameters of another rung."""
        ratios = self.width / base.width, self.layers / base.layers
        heads = max(1, self.width // _HEAD)
        return Shape(self.layers, heads, self.width, self.context, self.batch, *ratios)


BASE = Rung("1", 3, 160)
RUNGS: Mapping[str, Rung] = {
    rung.name: rung
    for rung in (
        BASE,
        Rung("3", 4, 256),
        Rung("10", 6, 384),
        Rung("30", 8, 576),
        Rung("124", 12, 928),
    )
}


def _schedule_free_plus(
    steps: int, learning_rate: Any, b1: Any, b2: Any, weight_decay: Any, rows: Any = ()
) -> Any:
    inner, warm = gd.scale_by_adam(b1, b2), max(1, round(0.05 * steps))
    if rows:  # the Polyak step size is one number of all parameters, so directions are scaled
        parts = [gd.masked(gd.scale(x), rule, outside="pass") for rule, x in rows]
        inner = gd.chain(inner, *parts)
    rate: Any = gd.linear_schedule(0.0, learning_rate, warm)
    plus = gd.schedule_free_plus(inner, rate, weight_decay=weight_decay, mask="matrices")
    return gd.chain(gd.clip_by_global_norm(1.0), plus)


# Its rate is a factor of the Polyak step size.
_PLUS = {
    "learning_rate": ratio(0.1, 10.0),
    "weight_decay": ratio(1e-2, 10.0),
    "b1": decay(0.8, 0.98),
    "b2": decay(0.9, 0.999),
}
OPTIMIZERS: Mapping[str, Space] = {
    **{name: charlm_configs.SPACES[name] for name in ("adamw", "muon", "soap_muon")},
    "schedule_free_plus": Space(_schedule_free_plus, _PLUS),
}


def problem(rung: Rung, text: Text | None = None, base: Rung = BASE) -> Problem:
    """The transformer of a rung on a text; text and shape are part of its digest.

    Args:
        rung: One of `RUNGS`, or your own.
        text: The standard library's sources by default.
        base: The rung whose hyperparameters it has.
    """
    text = library() if text is None else text
    made = charlm(text, shape := rung.shape(base))
    digest = " ".join([text.digest, *(f"{x:g}" for x in shape)])
    return dataclasses.replace(made, name=f"ladder_{rung.name}", steps=rung.steps, digest=digest)


def carried(name: str, rung: Rung, base: Rung = BASE) -> tuple[tuple[Any, Any], ...]:
    """The rows for `groups` with which an optimizer of the base trains a rung.

    AdamW has those of `depth_groups`. Muon and SOAP-Muon have those of `width_groups`: of matrices
    within blocks, of Adam for the rest. Those of Schedule-Free+ are AdamW's factors of the rate.

    >>> from gdjax.lab.ladder import RUNGS, carried
    >>> [change for _, change in carried("schedule_free_plus", RUNGS["3"])]
    [0.625]

    Args:
        name: A key of `OPTIMIZERS`.
        rung: Whose parameters are trained.
        base: Whose hyperparameters are known.
    """
    wide, small = (_shapes(one, rung.layers) for one in (rung, base))
    if name == "adamw":
        deeper = rung.layers / base.layers
        return gd.depth_groups(wide, small, deeper, "blocks/.*", weight_decay=True)
    if name == "schedule_free_plus":
        # The tied embedding is an input layer too, and its outputs are divided: factor 1.
        return gd.width_groups(wide, small, "adam", outputs="divided")
    inside, inside_small = ({"blocks": x.pop("blocks")} for x in (wide, small))
    return (
        *gd.width_groups(inside, inside_small, "matrix"),
        *gd.width_groups(wide, small, "adam", outputs="divided"),
    )


def _shapes(rung: Rung, layers: int) -> Any:
    shape = rung._replace(layers=layers).shape(rung)
    return jax.eval_shape(charlm(None, shape).init, jax.random.key(0))


def spaces(names: Sequence[str], rung: Rung, base: Rung = BASE) -> dict[str, Space]:
    """The search spaces of optimizers that train a rung with settings of the base.

    Args:
        names: Of `OPTIMIZERS` beside AdamW, which is always there; none for all.
        rung: Whose parameters are trained.
        base: Whose hyperparameters are searched.

    Raises:
        ValueError: An optimizer is none of `OPTIMIZERS`.
    """
    for name in names:
        if name not in OPTIMIZERS:
            must = f"an optimizer must be one of {', '.join(OPTIMIZERS)}"
            errors.fail("ladder", must, repr(name), instead=errors.nearest(name, OPTIMIZERS))
    wanted = dict.fromkeys(["adamw", *(names or OPTIMIZERS)])
    return {name: _space(OPTIMIZERS[name], carried(name, rung, base)) for name in wanted}


def _space(space: Space, rows: tuple[tuple[Any, Any], ...]) -> Space:
    if not rows:
        return space
    if space.make is _schedule_free_plus:
        return space._replace(make=functools.partial(_schedule_free_plus, rows=rows))
    return space._replace(make=lambda steps, **x: gd.groups(space.make(steps, **x), *rows))


def climb(
    rungs: Sequence[Rung],
    text: Text | None,
    names: Sequence[str],
    budget: int,
    seeds: int,
    path: str | os.PathLike[str],
    progress: Callable[[str, int, int], None] | None = None,
    base: Rung = BASE,
) -> list[dict[str, Any]]:
    """Searches at the base, then runs the best of each optimizer at rungs, with three rates.

    Args:
        rungs: Where the best settings are run.
        text: See `problem`.
        names: See `spaces`.
        budget: How many settings of each optimizer are searched at the base.
        seeds: How many runs of each rate, from seed 1.
        path: A file of runs; those in it are not repeated.
        progress: See `trials`.
        base: The rung of the search.

    Returns:
        The runs of the search and of the rungs.

    Raises:
        ValueError: A number is less than 1, or an optimizer is unknown.
    """
    if seeds < 1:
        errors.fail("ladder", "seeds must be a positive integer", seeds)
    at_base = problem(base, text, base)
    runs, best = search(at_base, spaces(names, base, base), budget, path, progress=progress)
    for rung in rungs:
        here, made = problem(rung, text, base), spaces(names, rung, base)
        todo = {name: list(OCTAVES) for name in made}
        while todo:
            wanted = [
                Contestant(name, here.steps, made[name].make(here.steps, **setting), setting)
                for name, octaves in todo.items()
                for setting in (scaled(best[name], octave) for octave in octaves)
            ]
            runs += trials(here, wanted, range(1, seeds + 1), path, progress)
            todo = {
                name: [further]
                for name in todo
                if (further := outermost(moved(runs, here.name, name, best[name])[1])) is not None
            }
    return runs

"""Chains with the arguments of one of their stages replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp

from gdjax.core.data.compare import is_transformation
from gdjax.core.data.hyperparams import is_number
from gdjax.core.data.recipe import Recipe, factory
from gdjax.core.data.schedule import Live, live
from gdjax.core.engine.chain import chain
from gdjax.core.engine.facts import facts_of
from gdjax.core.engine.transformation import GradientTransformation, name_of
from gdjax.core.engine.walk import distinct
from gdjax.core.rule import errors
from gdjax.schedules.scaled import scaled_schedule

__all__ = [
    "Times",
    "chain_like",
    "edited",
    "faster",
    "is_chain",
    "leading",
    "parts_of",
    "product",
    "times",
]

P = ParamSpec("P")
RATE = "learning rate"  # a role of arguments, see `gdjax.core.data.hyperparams`


class Times(Recipe):
    """A factor of an argument of the base transformation; made by `times`."""


def _as_times(function: Callable[P, Any]) -> Callable[P, Times]:
    return factory(function, Times, "rule")


@_as_times
def times(factor: float) -> Any:
    """For `groups`: an argument of the base transformation, multiplied by a factor.

    >>> import gdjax as gd
    >>> tx = gd.groups(gd.adamw(1e-3, weight_decay=0.1), ("embed", dict(weight_decay=gd.times(2))))
    >>> tx.arguments["rows"][0]
    ('embed', {'weight_decay': times(factor=2)})

    Args:
        factor: The factor of a number, or of each value of a schedule.
    """


def is_chain(tx: Any) -> bool:
    """Whether a transformation is a chain; an alias of one is not."""
    return isinstance(tx, GradientTransformation) and tx.made_by(chain)


def parts_of(tx: Any) -> dict[Any, Any]:
    """The stages of a chain, by name or by index."""
    given = tx.arguments
    return dict(given["named"]) or dict(enumerate(given["transformations"]))


def chain_like(like: Any, stages: list[Any]) -> Any:
    """A chain of stages under the names of another chain; of fewer, the last is new."""
    if not (names := list(like.arguments["named"])):
        return chain(*stages)
    if len(stages) < len(names):
        names = distinct([*names[: len(stages) - 1], "rest"])
    return chain(**dict(zip(names, stages)))


def _stages(tx: Any, path: str = "", keys: tuple = ()) -> Iterator[tuple[str, tuple, Any]]:
    """The stages of a chain and of chains in it, aliases whole: path, keys, stage."""
    if not is_chain(tx):
        yield path, keys, tx
        return
    parts = parts_of(tx)
    names = distinct([k if isinstance(k, str) else name_of(part) for k, part in parts.items()])
    for name, (key, part) in zip(names, parts.items()):
        yield from _stages(part, f"{path}/{name}" if path else name, (*keys, key))


def _arguments(stage: Any) -> list[str]:
    """The names that can be changed in a stage."""
    if not isinstance(stage, GradientTransformation):
        return []
    parameters = stage.factory.signature.parameters.values()
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _edit(tx: Any, keys: tuple, changes: dict[str, Any]) -> Any:
    """The transformation with other arguments in one of its stages."""
    if keys:
        key, *deeper = keys
        parts = parts_of(tx)
        return chain_like(
            tx, list({**parts, key: _edit(parts[key], tuple(deeper), changes)}.values())
        )
    given = tx.arguments
    of = lambda name, x: product("groups", name, given[name], x.arguments["factor"])
    return tx.replace(**{k: of(k, x) if isinstance(x, Times) else x for k, x in changes.items()})


def product(where: str, name: str, value: Any, factor: Any) -> Any:
    """An argument, a number or a schedule, multiplied by a factor."""
    if isinstance(value, Live):
        return live(value.arguments["value"] * factor)
    if callable(value):
        return scaled_schedule(value, factor)
    if not is_number(value):
        errors.fail(where, f"{name} must be a number or a schedule to be multiplied", value)
    return value * factor


def edited(base: Any, changes: dict[str, Any]) -> Any:
    """The base with the arguments of a dict, each in the one stage that has it."""
    for key, value in changes.items():
        *_, name = key.split("/")
        known = [(f"{path}/{n}", n, keys) for path, keys, s in _stages(base) for n in _arguments(s)]
        fits = [spot for spot in known if f"/{spot[0]}".endswith(f"/{key}")]
        paths = [path.removeprefix("/") for path, *_ in (fits or known)]
        if not fits:
            must = "an argument of a row must be one of a stage of inner"
            hint = errors.nearest(
                key, {n for _, n, _ in known} | (set(paths) if "/" in key else set())
            )
            hint += " A wrapper goes around groups: accumulate(groups(...), 4)." * _wraps(base)
            errors.fail("groups", must, repr(key), instead=hint.strip())
        if len(fits) > 1:
            must = (
                f"an argument of a row must be one of one stage, and {key!r} is one of {len(fits)}"
            )
            errors.fail("groups", must, ", ".join(paths), instead=f"Write {{{paths[-1]!r}: ...}}.")
        base = _edit(base, fits[0][2], {name: value})
    return base


def _wraps(base: Any) -> bool:
    """Whether a stage contains transformations, as wrappers do."""
    held = [x for *_, stage in _stages(base) for x in getattr(stage, "arguments", {}).values()]
    return any(map(is_transformation, held))


def faster(base: Any, factor: Any) -> tuple[Any, Any]:
    """The base with another learning rate; or unchanged, and the factor of its updates."""
    spots = [(keys, stage) for _, keys, stage in _stages(base) if _rates(stage)]
    if len(spots) != 1 or spots[0][1].arguments[_rates(spots[0][1])[0]] is None:
        return base, factor
    ((keys, stage),) = spots
    rates = [name for name in _rates(stage) if stage.arguments[name] is not None]
    return _edit(base, keys, dict.fromkeys(rates, times(factor))), None


def _rates(stage: Any) -> list[str]:
    return stage.having(RATE) if isinstance(stage, GradientTransformation) else []


def leading(stages: list[Any]) -> int:
    """How many of the first stages stay where another transformation replaces the rest.

    Those before any rule or learning rate, up to the last that couples all leaves, which may be in
    a chain at the end.
    """
    count = 0
    for i, stage in enumerate(stages):
        if _remembers(stage) or any(_rates(part) for *_, part in _stages(stage)):
            inside = is_chain(stage) and leading(list(parts_of(stage).values()))
            return i if inside and i + 1 == len(stages) else count
        if facts_of(stage).couples:
            count = i + 1
    return count


def _remembers(stage: Any) -> bool:
    """Whether a stage has arrays in its state: a rule does, a clip has scalars at most."""
    state = jax.eval_shape(stage.init, {"w": jax.ShapeDtypeStruct((7, 11), jnp.float32)})
    return any(x.ndim for x in jax.tree.leaves(state))

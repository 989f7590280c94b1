"""Chains: the composition of gradient transformations."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import (
    NOW,
    GradientTransformation,
    call,
    name_of,
    transformation,
)
from gdjax.core.engine.walk import trained
from gdjax.core.rule import errors


@transformation
def chain(*transformations: Any, **named: Any):
    """Composes transformations: the updates of one are the gradients of the next.

    Transformations of optax and other libraries with the same `(init, update)` form can be used
    directly. With names the state is a dict of the states of the parts, else a tuple.

    >>> import gdjax as gd
    >>> gd.chain(clip=gd.clip_by_global_norm(1.0), opt=gd.adamw(1e-3))
    chain(clip=clip_by_global_norm(max_norm=1.0), opt=adamw(learning_rate=0.001))

    Args:
        *transformations: The parts, in order.
        **named: The parts, in order, with names; either all have names or none.

    Raises:
        TypeError: A part is not a transformation, or only some have names. Errors of a part have
            a note with the stage.
    """
    if transformations and named:
        must = "either all transformations have names or none"
        errors.fail("chain", must, f"{len(transformations)} without", kind=TypeError)
    places: list[Any] = list(named) or list(range(len(transformations)))
    parts = transformations or tuple(named.values())
    children = []
    for place, part in zip(places, parts):
        if not hasattr(part, "init") or not hasattr(part, "update"):
            check_transformation("chain", f"stage {place}", part, "Write chain(a, b).")
        name = place if named else ""
        children.append(Child(name, part, at=place, named=bool(named)))
    if NOW.trying:
        _warn_of_growth(parts)

    def init(params):
        states = []
        for place, part in zip(places, parts):
            try:
                states.append(part.init(params))
            except Exception as error:
                _note(error, place, part)
                raise
        return dict(zip(named, states)) if named else tuple(states)

    def through(which: str, updates: Any, state: Any, params: Any, /, **extra: Any) -> Any:
        """Updates by all stages but the last, which updates or steps (`which`)."""
        alike = isinstance(state, dict if named else tuple) and len(state) == len(parts)
        if not alike or (named and set(state) != set(named)):
            _other_state(state, named, len(parts))
        after = []
        for place, part in zip(places, parts):
            now = which if len(after) == len(parts) - 1 else "update"
            try:
                updates, inner = call(now, part, updates, state[place], params, extra)
            except Exception as error:
                _note(error, place, part)
                raise
            after.append(inner)
        return updates, dict(zip(named, after)) if named else tuple(after)

    def update(updates, state, params=None, **extra):
        return through("update", updates, state, params, **extra)

    step = functools.partial(through, "step")
    moves = lambda params: trained(parts[-1], params) if parts else params
    return Rule(init, update, step if parts else None, children=tuple(children), moves=moves)


def _other_state(state: Any, named: dict[str, Any], count: int) -> NoReturn:
    wanted = f"a dict with {', '.join(named)}" if named else f"a tuple of {count} states"
    got = errors.kind_of(state) + (f" of {len(state)}" if type(state) in (tuple, dict) else "")
    must = f"state must be the one returned by init, {wanted}"
    errors.fail("chain", must, got, instead="Write state = tx.init(params).")


def _warn_of_growth(parts: Sequence[Any]) -> None:
    """Warns if a term to be added to gradients comes after a learning rate, which changes signs."""
    turned = None  # the stage after which updates are directions of descent
    for part in filter(lambda part: isinstance(part, GradientTransformation), parts):
        given, ranges = part.arguments, part.factory.ranges
        factors = [given[name] for name in part.having("factor")]
        rated = any(given[name] is not None for name in part.having("learning rate"))
        rated = rated and all(given[name] for name in part.having("turns"))
        if rated or part.factory.kind == "optimizer":
            turned = part
        elif any(isinstance(x, (int, float)) and x < 0 for x in factors):
            turned = part if turned is None else None
        elif turned is not None and any(r.uphill for r in ranges.values()):
            what = f"chain: {part.name} after {turned.name} makes weights grow: it is for gradients"
            hint = f"Write it before {turned.name}, or write decay_weights instead"
            warnings.warn(f"{what}, before the change of sign. {hint}.", stacklevel=6)


def _note(error: Exception, place: Any, part: Any) -> None:
    error.add_note(f"in stage {place} of chain: {name_of(part)}")

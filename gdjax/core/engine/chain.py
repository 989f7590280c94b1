"""Transformations one after another."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from gdjax.core.data.compare import is_transformation
from gdjax.core.engine.extra_args import call_update, called
from gdjax.core.engine.transformation import GradientTransformation, Pair, transformation
from gdjax.core.rule import errors
from gdjax.core.rule.leaf import defer, force

__all__ = ["chain", "stages"]


@transformation
def chain(*transformations: Any, **named: Any):
    """Applies transformations one after another; the updates of one are the gradients of the next.

    Transformations of optax and other libraries that follow the same `(init, update)` form are
    taken as they are. With names the state is a dict of the parts' states, else a tuple.

    >>> import gdjax as gd
    >>> gd.chain(clip=gd.clip_by_global_norm(1.0), opt=gd.adamw(1e-3))
    chain(clip=clip_by_global_norm(max_norm=1.0), opt=adamw(learning_rate=0.001))

    Args:
        *transformations: The parts, in order.
        **named: The parts, in order, with names; either all have names or none.

    Raises:
        TypeError: A part is not a transformation, or only some have names. What a part raises
            carries a note of the stage.
    """
    parts = stages(transformations, named)

    def init(params: Any) -> Any:
        states = [_at(name, part, part.init, params) for name, part in parts]
        return dict(zip(named, states)) if named else tuple(states)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        states = _states(state, named, len(parts))
        after = []
        for (name, part), inner in zip(parts, states):
            updates, inner = _at(name, part, _lazily, part, updates, inner, params, extra)
            after.append(inner)
        return updates, dict(zip(named, after)) if named else tuple(after)

    def held(state: Any) -> list[tuple[str, Any, Any]]:
        labels = list(named) or distinct([called(part) for _, part in parts])
        inner = _states(state, named, len(parts))
        return [(label, part, s) for label, (_, part), s in zip(labels, parts, inner)]

    batched = bool(parts) and getattr(parts[0][1], "batched", False)
    return Pair(init, update, parts=held, fuses=True, batched=batched, named=bool(named))


def _lazily(part: Any, updates: Any, state: Any, params: Any, extra: dict[str, Any]) -> Any:
    """Updates of a stage, to which its rule may have been added only (`gdjax.core.rule.leaf`)."""
    if isinstance(part, GradientTransformation):
        updates, state = part._machine.lazily("update", updates, state, params, extra)
    else:
        updates, state = call_update(part, force(updates, whole=True), state, params, extra)
    return defer(updates), state


def distinct(names: list[str]) -> list[str]:
    """Numbers the names that come more than once: scale, scale_1."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}_{k}" for k in itertools.count(1))
        free = (n for n in itertools.chain([name], numbered) if n not in found)
        found.append(next(free))
    return found


def stages(transformations: tuple, named: dict[str, Any]) -> list[tuple[str, Any]]:
    """The parts of a chain with what they are called in messages."""
    if transformations and named:
        must = "either all transformations have names or none"
        errors.fail("chain", must, f"{len(transformations)} without", kind=TypeError)
    parts = list(named.items()) or [(str(i), part) for i, part in enumerate(transformations)]
    for name, part in parts:
        if not is_transformation(part):
            must = f"stage {name} must be a transformation, which has init and update"
            hint = (
                "Call the factory." if callable(part) else "Write chain(a, b), not chain([a, b])."
            )
            errors.fail("chain", must, part, instead=hint, kind=TypeError)
    return parts


def _states(state: Any, named: dict[str, Any], count: int) -> list[Any]:
    wanted = f"a dict with {', '.join(named)}" if named else f"a tuple of {count} states"
    fits = (
        isinstance(state, dict) and set(state) == set(named)
        if named
        else (isinstance(state, tuple) and len(state) == count)
    )
    if not fits:
        got = f"{type(state).__name__}" + (f" of {len(state)}" if hasattr(state, "__len__") else "")
        errors.fail("chain", f"state must be {wanted}, as init of this chain makes it", got)
    return [state[name] for name in named] if named else list(state)


def _at(name: str, part: Any, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except Exception as error:
        error.add_note(f"in stage {name} of chain: {called(part)}")
        raise

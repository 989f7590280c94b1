"""Extra arguments of `update`: which a transformation names, which it gets, which are misspelt."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from gdjax.core.rule import errors

__all__ = ["call_update", "called", "check_extra", "extra_names", "signature_of", "taken_extra"]


def call_update(tx: Any, updates: Any, state: Any, params: Any, extra: dict[str, Any]) -> Any:
    """Calls `update` of a transformation of any origin with the extra arguments that it takes."""
    if hasattr(tx, "extra_args"):  # one of ours, which judges for itself
        return tx.update(updates, state, params, **extra)
    taken = taken_extra(called(tx), tx.update, {}, extra)
    return tx.update(updates, state, params, **taken)


def taken_extra(
    where: str, update: Callable[..., Any], inside: dict[str, bool], extra: dict[str, Any]
) -> dict[str, Any]:
    """Judges extra arguments, and gives those that an `update` takes; see `check_extra`.

    Args:
        where: The transformation that judges.
        update: What is to be called.
        inside: The names that transformations inside of it take.
        extra: What was given.
    """
    own, takes_all = signature_of(update)
    check_extra(where, own, {**inside, **own}, extra)
    return extra if takes_all else {k: v for k, v in extra.items() if k in own}


def called(tx: Any) -> str:
    """The name of a transformation of any origin: its factory's."""
    if hasattr(tx, "extra_args"):
        return tx.name
    return getattr(tx.update, "__qualname__", type(tx).__name__).split(".")[0]


def signature_of(update: Callable[..., Any]) -> tuple[dict[str, bool], bool]:
    """The extra arguments that an `update` names (is it required?), and whether it takes others."""
    parameters = inspect.signature(update).parameters.values()
    names = {p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}
    return names, any(p.kind is p.VAR_KEYWORD for p in parameters)


def extra_names(tx: Any) -> dict[str, bool]:
    """The extra arguments that a transformation of any origin names; True for those it needs."""
    known = getattr(tx, "extra_args", None)
    return signature_of(tx.update)[0] if known is None else known


def check_extra(
    where: str, own: dict[str, bool], known: dict[str, bool], extra: dict[str, Any]
) -> None:
    """Misspelt extra arguments raise, and missing ones where they are used.

    Args:
        where: The transformation that judges.
        own: Names that its `update` takes, True for those that it needs.
        known: These, and the names that the transformations inside of it take.
        extra: What was given. Names that nobody knows and that are like none are let pass.
    """
    absent = [name for name in known if name not in extra]
    for name in extra:
        if name not in known and (close := difflib.get_close_matches(name, absent, cutoff=0.8)):
            must = "extra arguments of update must be ones that it knows"
            hint = f"Did you mean {close[0]}?"
            errors.fail(where, must, name, instead=hint, kind=TypeError)
    for name, needed in own.items():
        if needed and name not in extra:
            must = f"update needs the extra argument {name!r}"
            got = ", ".join(extra) or "none"
            errors.fail(where, must, got, instead=f"Write update(..., {name}=...).", kind=TypeError)

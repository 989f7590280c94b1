"""Extra arguments of `update`: which a transformation names, which it gets, which are misspelt."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from gdjax.core import errors

__all__ = ["call_update", "check_extra", "extra_names", "signature_of"]


def call_update(update: Callable[..., Any], updates: Any, state: Any, params: Any, extra: dict):
    """Calls an `update` of any origin with those extra arguments that its signature takes."""
    names, takes_all = signature_of(update)
    taken = extra if takes_all else {k: v for k, v in extra.items() if k in names}
    return update(updates, state, params, **taken)


def signature_of(update: Callable[..., Any]) -> tuple[dict[str, bool], bool]:
    """The extra arguments that an `update` names (is it required?), and whether it takes others."""
    parameters = inspect.signature(update).parameters.values()
    names = {p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}
    return names, any(p.kind is p.VAR_KEYWORD for p in parameters)


def extra_names(tx: Any) -> dict[str, bool]:
    """The extra arguments that a transformation of any origin names; True for those it needs."""
    known = getattr(tx, "extra_args", None)
    return signature_of(tx.update)[0] if known is None else known


def check_extra(where: str, named: dict[str, bool], extra: dict[str, Any]) -> None:
    """Missing extra arguments raise, and those that nobody names and that look misspelt."""
    for name, needed in named.items():
        if needed and name not in extra:
            must = f"update needs the extra argument {name!r}"
            got = ", ".join(extra) or "none"
            errors.fail(where, must, got, instead=f"Write update(..., {name}=...).", kind=TypeError)
    absent = [name for name in named if name not in extra]
    for name in extra:
        if name not in named and (close := difflib.get_close_matches(name, absent, cutoff=0.8)):
            must = "extra arguments of update must be ones that it knows"
            hint = f"Did you mean {close[0]}?"
            errors.fail(where, must, name, instead=hint, kind=TypeError)

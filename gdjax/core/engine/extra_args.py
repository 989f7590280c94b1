"""Extra arguments of `update`: names that a transformation takes, and misspelt names."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from gdjax.core.rule import errors


def signature_of(rule: Any) -> tuple[dict[str, bool], bool]:
    """The extra arguments that a rule names, True if required; and whether it takes others.

    Args:
        rule: A rule, or another library's transformation.
    """
    parameters = inspect.signature(rule.update).parameters.values()
    names = {p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}
    names |= dict.fromkeys(getattr(rule, "needs", ()), True)
    return names, any(p.kind is p.VAR_KEYWORD for p in parameters)


def extra_names(rule: Any) -> dict[str, bool]:
    """The extra arguments named by a rule or another library's transformation; True if required."""
    return signature_of(rule)[0]


def taken(where: str, rule: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """The given extra arguments that the `update` of a rule takes.

    Args:
        where: The transformation, for messages.
        rule: A rule, or another library's transformation.
        extra: The extra arguments that were given.

    Raises:
        TypeError: A required extra argument is missing.
    """
    own, takes_all = signature_of(rule)
    for name, needed in own.items():
        if needed and name not in extra:
            must = f"update needs the extra argument {name!r}"
            hint = f"Write update(..., {name}=...)."
            errors.fail(where, must, ", ".join(extra) or "none", instead=hint, kind=TypeError)
    return extra if takes_all else {k: v for k, v in extra.items() if k in own}


def check_spelling(where: str, known: dict[str, bool], extra: dict[str, Any]) -> None:
    """Raises for extra arguments that are probably misspelt; other unknown names are allowed.

    Args:
        where: The transformation, for messages.
        known: The names that it and the transformations inside it take.
        extra: The extra arguments that were given.
    """
    absent = [name for name in known if name not in extra]
    for name in extra:
        if name not in known and (close := difflib.get_close_matches(name, absent, cutoff=0.8)):
            must = "extra arguments of update must be among those that it takes"
            hint = f"Did you mean {close[0]}?"
            errors.fail(where, must, name, instead=hint, kind=TypeError)

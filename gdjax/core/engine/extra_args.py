"""Extra arguments of `update`: which a transformation names, which it gets, which are misspelt."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from gdjax.core.rule import errors


def signature_of(rule: Any) -> tuple[dict[str, bool], bool]:
    """The extra arguments that a rule names (is it needed?), and whether its update takes others.

    Args:
        rule: A rule, or another library's transformation.
    """
    parameters = inspect.signature(rule.update).parameters.values()
    names = {p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}
    names |= dict.fromkeys(getattr(rule, "needs", ()), True)
    return names, any(p.kind is p.VAR_KEYWORD for p in parameters)


def extra_names(rule: Any) -> dict[str, bool]:
    """The extra arguments that a rule, or another library's transformation, names: is it needed?"""
    return signature_of(rule)[0]


def taken(where: str, rule: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """Those extra arguments that the `update` of a rule takes.

    Args:
        where: The transformation, for messages.
        rule: What is to be called, or another library's transformation.
        extra: What was given.

    Raises:
        TypeError: One that it needs was not given.
    """
    own, takes_all = signature_of(rule)
    for name, needed in own.items():
        if needed and name not in extra:
            must = f"update needs the extra argument {name!r}"
            hint = f"Write update(..., {name}=...)."
            errors.fail(where, must, ", ".join(extra) or "none", instead=hint, kind=TypeError)
    return extra if takes_all else {k: v for k, v in extra.items() if k in own}


def check_spelling(where: str, known: dict[str, bool], extra: dict[str, Any]) -> None:
    """Misspelt extra arguments raise; names that nobody knows and that are like none pass.

    Args:
        where: The transformation, for messages.
        known: The names that it and the transformations inside of it take.
        extra: What was given.
    """
    absent = [name for name in known if name not in extra]
    for name in extra:
        if name not in known and (close := difflib.get_close_matches(name, absent, cutoff=0.8)):
            must = "extra arguments of update must be ones that it knows"
            hint = f"Did you mean {close[0]}?"
            errors.fail(where, must, name, instead=hint, kind=TypeError)

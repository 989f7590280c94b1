"""How errors are told: what must hold, what was got, where, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, NoReturn

RULE = "rule"  # where an error is that is raised for whatever transformation runs


def fail(
    where: str, must: str, got: Any, *, instead: str = "", kind: type = ValueError
) -> NoReturn:
    """Raises `<where>: <must>, got <got>.`, followed by what to write instead.

    Args:
        where: The factory or function that judges, e.g. `"adamw"`.
        must: What must hold, e.g. `"b1 must lie in [0, 1)"`.
        got: The value that does not hold; a long one is shortened.
        instead: A sentence that says what to write.
        kind: The built-in exception to raise.
    """
    message = f"{where}: {must}, got {shorten(got)}."
    error = kind(f"{message} {instead}".rstrip())
    error.where = where
    raise error


def rename(error: Exception, name: str, *, alias: bool) -> None:
    """Lets an error name what the user called, where it was raised by what that is made of.

    Args:
        error: Of `fail`; others stay as they are.
        name: The factory that was called.
        alias: Whether it stands for another transformation, in which the error was raised.
    """
    where = getattr(error, "where", None)
    if where in (None, name) or not (alias or where == RULE):
        return
    message = str(error.args[0]).removeprefix(f"{where}:")
    error.args = (f"{name}:{message}",)
    error.__notes__ = [] if where == RULE else [f"in {where}, which is a part of {name}"]
    error.where = name  # type: ignore[attr-defined]


def shorten(value: Any, width: int = 80) -> str:
    """Writes a value in at most `width` characters; strings that are sentences pass as they are."""
    text = value if isinstance(value, str) else repr(value)
    text = re.sub(r" at 0x[0-9a-f]+", "", " ".join(text.split()))  # the address of a function
    return text if len(text) <= width else text[: width - 3] + "..."


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Says which of `names` the wrong `name` may have meant; all of them where there are few."""
    names = sorted(names)
    by_lower = {known.lower(): known for known in names}  # AdamW is adamw here
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=cutoff)
    if name.lower() in by_lower:
        close = close[:1]
    if close:
        return f"Did you mean {' or '.join(by_lower[found] for found in close)}?"
    return f"Known: {', '.join(names)}." if 0 < len(names) <= 20 else ""


def need_params(where: str, params: Any) -> None:
    """Raises where `update` was called without the parameters that its rule reads."""
    if params is None:
        hint = "Write update(grads, state, params)."
        fail(where, "update needs the parameters", params, instead=hint)

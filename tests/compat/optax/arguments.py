"""A table of the arguments that a factory has in optax and in gdjax, where they differ.

What optax has is read from `gdjax.compat.optax`, whose signatures are those of optax 0.2.8.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gdjax as gd
from gdjax.compat.optax.names import NAMES
from gdjax.core.data.renamed import ARGUMENTS

__all__ = ["markdown", "row"]

EVERYWHERE = {"axis_name"}  # the page has one sentence for it
Parameters = Mapping[str, inspect.Parameter]


def markdown() -> str:
    """The rows of all names that both have."""
    head = "| factory | called otherwise | other defaults | only in gdjax | only in optax |"
    lines = [f"| `{name}` | {' | '.join(cells)} |" for name, *cells in rows()]
    return "\n".join([head, "| --- " * 5 + "|", *lines])


def rows() -> Iterator[tuple[str, ...]]:
    from gdjax.compat import optax

    for space in ("", "contrib"):
        module = getattr(optax, space) if space else optax
        for name in NAMES[space]:
            ours, theirs = getattr(gd, name, None), getattr(module, name)
            if callable(ours) and not inspect.isclass(ours):
                cells = row(theirs, ours)
                if any(cells):
                    yield f"{space}.{name}".lstrip("."), *cells


def row(theirs: Callable[..., Any], ours: Callable[..., Any]) -> tuple[str, ...]:
    """What differs between two signatures: names, defaults, and what one alone has."""
    a, b = inspect.signature(theirs).parameters, inspect.signature(ours).parameters
    names = {old: now(old, a, b) for old in a if now(old, a, b) is not None}
    renamed = [f"`{old}` → `{new}`" for old, new in names.items() if old != new]
    defaults = [
        f"`{new}`: {shown(a[old])} → {shown(b[new])}"
        for old, new in names.items()
        if shown(a[old]) != shown(b[new])
    ]
    more = [f"`{name}`" for name in b if name not in {*names.values(), *EVERYWHERE}]
    gone = [f"`{name}`" for name in a if name not in names]
    return tuple(", ".join(cell) for cell in (renamed, defaults, more, gone))


def now(old: str, theirs: Parameters, ours: Parameters) -> str | None:
    """What an argument of optax is called in gdjax, if it is there."""
    new = ARGUMENTS.get(old)
    return old if old in ours else new if new in ours and new not in theirs else None


def shown(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is inspect.Parameter.empty:
        return "required"
    if callable(default) or isinstance(default, tuple):
        return "another"
    return f"`{default!r}`"

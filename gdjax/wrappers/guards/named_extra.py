"""Extra arguments of `update` whose names are themselves arguments of a factory."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["needing"]


def needing(name: str | None, update: Callable[..., Any]) -> Any:
    """Declares an extra argument that the code of an `update(..., **extra)` does not name.

    Args:
        name: The argument, from now on needed; None for none.
        update: A function whose last parameter is `**extra`. It is changed and returned.
    """
    if name is not None:
        signature = inspect.signature(update)
        *rest, others = signature.parameters.values()
        own = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
        told = signature.replace(parameters=[*rest, own, others])
        setattr(update, "__signature__", told)  # noqa: B010 - functions have it for this
    return update

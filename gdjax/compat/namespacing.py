"""Factories in a namespace of their own: `optax.masked` beside gdjax's `masked`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gdjax.core.data.recipe import CATALOGUE
from gdjax.core.engine.transformation import transformation

__all__ = ["named"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def named(space: str, make: Decorator = transformation) -> Decorator:
    """Decorator for factories that print, and are written in JSON, as `<space>.<name>`.

    They are not in gdjax's own catalogue.

    Args:
        space: The name of the other library.
        make: `transformation` or `schedule`.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__name__ = f"{space}.{function.__name__}"
        CATALOGUE.pop(function.__name__, None)  # a module that is loaded again
        call = make(function)
        call.factory.module = space  # type: ignore[attr-defined]
        return call

    return decorate

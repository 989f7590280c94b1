"""Cached properties without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from functools import cached_property as cached
else:

    class cached:  # noqa: N801 - used as a decorator, like `property`
        """A property that is computed when it is first read, and then stored in the object.

        `functools.cached_property` of Python 3.11 holds one lock for each *class* while it
        computes: two threads whose objects read each other's properties deadlock. Here two
        concurrent threads both compute the value, and both get the one that was stored first.
        """

        def __init__(self, function: Callable[[Any], Any]) -> None:
            self.function, self.__doc__ = function, function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self.name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            return instance.__dict__.setdefault(self.name, self.function(instance))

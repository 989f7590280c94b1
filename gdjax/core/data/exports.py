"""Lazy loading of public names, listed in the stub files for type checkers."""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

STUBS = {"gdjax": "__init__.pyi", "gdjax.states": "states.pyi"}  # in the folder of the library


@functools.cache
def homes(module: str) -> dict[str, str]:
    """The module that defines each public name of a module of `STUBS`."""
    text = (Path(__file__).parents[2] / STUBS[module]).read_text("utf-8")
    lines = re.findall(r"^from (\S+) import (.+)$", text, re.MULTILINE)
    return {each.split()[0]: home for home, names in lines for each in names.split(", ")}


def lazy(
    module: str, hint: Callable[[str], str], more: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `__getattr__`, `__dir__` and `__all__` for a module of `STUBS`.

    Args:
        module: Its name.
        hint: Returns the hint for a name that the module does not have.
        more: Names that the module defines itself.
    """
    names = homes(module)
    every = sorted(names)

    def look(name: str) -> Any:
        if name not in names:
            more = "" if name.startswith("_") else hint(name)  # not asked for by people
            raise AttributeError(f"module {module!r} has no attribute {name!r}. {more}".rstrip())
        if names[name] == module:  # a module inside of this one
            return importlib.import_module(f"{module}.{name}")
        value = getattr(importlib.import_module(names[name]), name)
        setattr(sys.modules[module], name, value)  # the next access is a plain one
        return value

    return look, lambda: [*every, *more], every

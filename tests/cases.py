"""Rows for the contract: a transformation, and what the promises have to know of it.

The tests of a source file, `tests/<folder>/test_<file>.py`, have its rows in a list `ROWS`.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import pathlib
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import gdjax
from gdjax.contract import Subject
from gdjax.core.data import recipe
from gdjax.core.engine.transformation import GradientTransformation

HERE = pathlib.Path(__file__).parent
PACKAGE = pathlib.Path(gdjax.__file__).parent
# A test module that has one of these is read here: it imports no client of gdjax on its top level.
KNOWN = re.compile(r"^(ROWS|AGREE|PLAIN|ITS_OWN) = ", re.M)


@dataclasses.dataclass(frozen=True)
class Row:
    """A transformation and what the contract has to know of it."""

    tx: Any
    extra: Any = dataclasses.field(default_factory=dict)
    descends: bool = True
    label: str = ""
    batch: int = 0

    @property
    def subject(self) -> Subject:
        return Subject(self.tx, self.extra, self.descends, batch=self.batch)

    def __str__(self) -> str:
        return self.label or self.tx.name


@functools.cache
def modules() -> dict[str, ModuleType]:
    """The test modules with rows or references, by dotted name."""
    files = sorted(f for f in HERE.glob("*/**/test_*.py") if KNOWN.search(f.read_text()))
    names = (".".join(f.relative_to(HERE.parent).with_suffix("").parts) for f in files)
    return {name: importlib.import_module(name) for name in names}


def gather(name: str) -> Iterator[tuple[str, Any]]:
    """The value of a name in every test module that has it, beside the name of the file."""
    for module, found in modules().items():
        if hasattr(found, name):
            yield module.split(".test_")[-1], getattr(found, name)


@functools.cache
def rows() -> tuple[Row, ...]:
    """All rows, in the order of the files."""
    return tuple(row for _, found in gather("ROWS") for row in found)


@functools.cache
def first() -> dict[str, Row]:
    """A row of each factory: the one without a label, or else the first."""
    return {row.tx.name: row for row in sorted(reversed(rows()), key=lambda r: not r.label)}


def parametrized() -> list[tuple[Row, bool]]:
    """The rows, and whether each is slow: those of a factory after its first are."""
    return [(row, first()[row.tx.name] is not row) for row in rows()]


def factories() -> dict[str, str]:
    """The transformations of the catalogue, with the modules that define them."""
    return {
        name: made.module
        for name, made in recipe.factories().items()
        if made.make is GradientTransformation and made.module.startswith("gdjax.")
    }


def test_file(module: str) -> str:
    """The path of the tests of a module: `gdjax.a.b` has them in `tests/a/test_b.py`."""
    *folders, name = module.split(".")[1:]
    return "/".join(["tests", *folders, f"test_{name}.py"])


def missing_rows(factories: dict[str, str]) -> list[str]:
    """What to write where: for each factory without a row in the tests of its file."""
    files = {module: found for module, found in modules().items() if hasattr(found, "ROWS")}
    seen = {(row.tx.name, name) for name, found in files.items() for row in found.ROWS}
    return [
        f"add a row of '{name}', Row(gd.{name}(...)), to ROWS in {test_file(module)}"
        for name, module in factories.items()
        if (name, test_file(module).removesuffix(".py").replace("/", ".")) not in seen
    ]


def sources(*folders: str) -> Iterator[str]:
    """The modules in folders of the package in which a factory is defined, imported or not."""
    for folder in folders:
        for file in sorted((PACKAGE / folder).rglob("*.py")):
            body = ast.parse(file.read_text()).body
            if any(isinstance(node, ast.FunctionDef) and _is_factory(node) for node in body):
                yield ".".join(["gdjax", *file.relative_to(PACKAGE).with_suffix("").parts])


def _is_factory(function: ast.FunctionDef) -> bool:
    calls = [d.func if isinstance(d, ast.Call) else d for d in function.decorator_list]
    public = not function.name.startswith("_")
    return public and any(ast.unparse(d).split(".")[-1] == "transformation" for d in calls)

"""Entries of the catalogue: what a factory or a function is called and does, from its docstring."""

from __future__ import annotations

__all__ = ["FUNCTION", "KINDS", "Entry", "entries", "functions", "reference"]

import functools
import importlib
import inspect
import json
import pathlib
import re
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from gdjax.core.data.exports import homes
from gdjax.core.data.factory import Kind, call_text
from gdjax.core.data.recipe import factories

KINDS = typing.get_args(Kind)
FUNCTION = "function"  # the kind of what is no factory
_ROOMS = ("projections", "sharding", "state")  # public modules with functions of their own
_SECTION = re.compile(r"^(Args|Returns|Raises|Reference|References|Yields):", re.MULTILINE)
_YEAR = re.compile(r"\b(?:1[89]|20)\d\d\b")
_LAST_AUTHORS = re.compile(r"(?:[\w.'’\-]+ )*(?:and (?:[\w.'’\-]+ )*[\w.'’\-]+|et al\.?)$")


class Entry(NamedTuple):
    """What the catalogue knows of one factory or function."""

    name: str
    kind: str  # one of KINDS, or FUNCTION
    module: str
    summary: str  # the first sentence of the docstring
    reference: str  # authors and year, empty where the docstring names none
    formula: str  # the indented lines of the docstring above its sections
    signature: str
    url: str = ""  # of the first reference
    oracles: tuple[str, ...] = ()  # the packages and transcriptions that it is tested against
    text: str = ""  # the docstring
    proven: str = ""  # how far its program is proven to be its formula


def entries() -> list[Entry]:
    """All factories of the library, by kind and name."""
    own = [made for made in list(factories().values()) if made.is_ours]
    found = [_entry(made.name, made.kind, made.function, str(made)) for made in own]
    return sorted(found, key=lambda e: (KINDS.index(e.kind), e.name))


def functions() -> list[Entry]:
    """The public functions of the library that are no factories, by name.

    >>> [entry.name for entry in functions() if "huber" in entry.name]
    ['huber_loss']
    """
    public = {name: (home, name) for name, home in homes("gdjax").items() if home != "gdjax"}
    for room in _ROOMS:
        home = f"gdjax.{room}"
        names = [name for name in vars(importlib.import_module(home)) if name[0] != "_"]
        public |= {f"{room}.{name}": (home, name) for name in names}
    made = factories()
    found = {
        name: getattr(importlib.import_module(home), attribute)
        for name, (home, attribute) in sorted(public.items())
        if name.split(".")[-1] not in made
    }
    return [
        _entry(name, FUNCTION, value, call_text(name, inspect.signature(value)))
        for name, value in found.items()
        if inspect.isfunction(value)
    ]


def _entry(name: str, kind: str, function: Callable[..., Any], signature: str) -> Entry:
    text = inspect.getdoc(function) or ""
    body, url = _SECTION.split(text, maxsplit=1)[0], ""
    first = " ".join(body.strip().split("\n\n")[0].split())
    sentence = re.match(r".*?[.!](?=\s+[^a-z\s]|$)", first)
    source = _paragraph(text, "Reference")
    if found := re.search(r"https?://[^\s;,]+", source):
        url = found.group().rstrip(".")
    lines = [line for line in body.splitlines()[1:] if line.startswith("    ") or not line.strip()]
    formula = inspect.cleandoc("\n" + "\n".join(lines)) if any(map(str.strip, lines)) else ""
    formula = re.sub(r"\n{3,}", "\n\n", formula).strip()
    return Entry(
        name,
        kind,
        function.__module__,
        sentence.group() if sentence else first,
        reference(source),
        formula,
        signature,
        url,
        tuple(_written("oracles").get(name, ())),
        text,
        _written("proven").get(name, ""),
    )


@functools.cache
def _written(what: str) -> dict[str, Any]:
    """What `python -m tests.update` knows of factories: what they agree with, what is proven."""
    return json.loads(pathlib.Path(__file__).with_name(f"{what}.json").read_text())


def _paragraph(text: str, section: str) -> str:
    """The text of a section of a docstring on one line, without its heading."""
    found = re.search(rf"^{section}s?:(.*?)(?:\n[ \t]*\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""


def reference(text: str) -> str:
    """Authors and year of the first of the works that a `Reference:` paragraph names.

    >>> reference("Duchi, Hazan and Singer, Adaptive subgradient methods, 2011, https://jmlr.org")
    'Duchi, Hazan and Singer, 2011'
    """
    parts = re.split(r",\s+", re.split(r";|https?://", text, maxsplit=1)[0].strip(" ,."))
    if not parts[0]:
        return ""
    years = [year for part in parts for year in _YEAR.findall(part)]
    if years and years[0] in parts[1:2]:  # "Polyak, 1964, and Nesterov, 1983, in the form of ..."
        return f"{parts[0]}, {years[0]}"
    # A title may hold commas and "and" as well: authors go on only as long as they look like names.
    count = 1
    for i, part in enumerate(parts[:-1]):
        if not part[:1].isupper() or len(part.split()) > 5:
            break
        if _LAST_AUTHORS.match(part):
            count = i + 1
            break
    return ", ".join(parts[:count] + years[-1:])

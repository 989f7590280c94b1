"""Full-text search of the catalogue: names, first lines and docstrings, best hits first."""

from __future__ import annotations

__all__ = ["search"]

import fnmatch
import re

from gdjax.lab.entries import Entry, entries, functions

_ENDING = re.compile(
    r"(?<=[a-z]{3})(?:ati(?:on|ng)s?|ate[ds]?|ing?s?|ed|es|e|s)$"  # averaging, averages, average
)
_BRITISH = re.compile(r"is(?=e[ds]?$|ing$|ations?$)")
_DOUBLED = re.compile(r"([bdgmnpt])\1$")  # clipp-ed
_SECTIONS = re.compile(r"^(?:Args|Returns|Raises|Yields):\n(?:[ ]+.*\n?|\n(?=[ ]))*", re.MULTILINE)


def search(pattern: str) -> list[Entry]:
    """Finds what words or a pattern for the name mean; all there is by an empty one.

    Case, hyphens and endings do not count: "warmups" finds "Warm-up". Names come before first
    lines, and these before the rest of docstrings, which is read where no name fits.

    >>> [entry.name for entry in search("one cycle")][:2]
    ['cosine_onecycle_schedule', 'linear_onecycle_schedule']
    >>> [entry.name for entry in search("*_onecycle_*")]
    ['cosine_onecycle_schedule', 'linear_onecycle_schedule']

    Args:
        pattern: Words in any form, or a pattern of `fnmatch` for the name.
    """
    known = [*entries(), *functions()]
    if any(sign in pattern for sign in "*?["):
        return [e for e in known if fnmatch.fnmatchcase(e.name, pattern.lower())]
    words = _stems(pattern)
    if not words:
        return known if not pattern.strip() else []
    ranks = {e: _rank(e, words) for e in known}
    worst = _BODY if any(rank < _LINE for rank in ranks.values()) else _NOWHERE
    found = [e for e, rank in ranks.items() if rank < worst]
    strange = {e: len(set(words) - set(_stems(e.name))) for e in found}
    return sorted(found, key=lambda e: (ranks[e], strange[e]))  # and then by kind and name


_LINE, _INSIDE, _BODY, _NOWHERE = 3, 5, 6, 7


def _rank(entry: Entry, words: list[str]) -> int:
    """Where the words are found, the best place first."""
    whole, begins = _phrase(words)
    name, line = _text(entry.name), _text(f"{entry.summary} {_family(entry)}")
    places = (
        whole.fullmatch(name),
        whole.search(name),
        begins.search(name),
        whole.search(line),  # _LINE
        set(words) <= set(f"{name} {line}".split()),
        len(words[0]) > 3 and " ".join(words) in name,  # _INSIDE
        whole.search(_text(_SECTIONS.sub("", entry.text))),  # _BODY
    )
    return next((rank for rank, found in enumerate(places) if found), _NOWHERE)


def _family(entry: Entry) -> str:
    """Folder and file that it is in, which have names of families: layerwise, trust_ratio."""
    return " ".join(entry.module.split(".")[2:])


def _phrase(words: list[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of the words in a row, written as one or apart, and of what begins with them."""
    row = " ?".join(map(_apart, words))
    return re.compile(rf"\b{row}\b"), re.compile(rf"\b{' ?'.join(words)}")


def _apart(word: str) -> str:
    """A pattern of a word, or of two words that it is made of: warmup, warm-up."""
    halves = [f"{word[:i]} {word[i:]}" for i in range(2, len(word) - 1)]
    return f"(?:{'|'.join([word, *halves])})"


def _text(text: str) -> str:
    return " ".join(_stems(text))


def _stems(text: str) -> list[str]:
    """Words in a text, in lower case, without hyphens and endings; digits apart.

    >>> _stems("Newton–Schulz, quantises, clipped, µP, 8bit")
    ['newton', 'schulz', 'quantiz', 'clip', 'mup', '8', 'bit']
    """
    text = re.sub("[µμ]", "mu", text).lower()
    return [_stem(_BRITISH.sub("iz", word)) for word in re.findall(r"\d+|[^\W\d_]+", text)]


def _stem(word: str) -> str:
    shorter = _ENDING.sub("", word)
    return word if shorter == word else _stem(_DOUBLED.sub(r"\1", shorter))

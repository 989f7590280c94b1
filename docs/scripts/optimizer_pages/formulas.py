"""The body of a docstring as Markdown: formulas as displayed TeX, paragraphs as they are."""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

from gdjax.core.data.recipe import factories
from gdjax.proof.stated import SECTION
from optimizer_pages import tex

__all__ = ["Row", "blocks", "body", "display", "has_formula", "rows"]

_RELATION = re.compile(r" (\\leftarrow|=|\\leq|\\geq|<|>) ")

_LONG = 16  # letters of a remark that finds no place beside a formula


class Row(NamedTuple):
    """A line of formulas: when they hold, the formulas, and a remark; all as TeX."""

    label: str
    formulas: list[str]
    remark: str


def blocks(name: str) -> list[str]:
    """The paragraphs of a docstring between its first one and its sections, without examples."""
    text = inspect.getdoc(factories()[name].function) or ""
    parts = SECTION.split(text, maxsplit=1)[0].strip("\n").split("\n\n")[1:]
    return [part.rstrip() for part in parts if part.strip() and not part.startswith(">>>")]


def is_formula(block: str) -> bool:
    """Whether a paragraph is indented and says what becomes of something, so that it is no code."""
    return block.startswith("    ") and bool(re.search("←| [=≤] ", block))


def has_formula(name: str) -> bool:
    """Whether a docstring has a formula of its own."""
    return any(map(is_formula, blocks(name)))


def body(name: str) -> str:
    """What a docstring says after its first paragraph, as Markdown."""
    return "\n\n".join(_paragraph(block) for block in blocks(name))


def _paragraph(block: str) -> str:
    if is_formula(block):
        return display(block)
    if block.startswith("    "):
        return f"```\n{inspect.cleandoc(block)}\n```"
    return block.replace("*", r"\*").replace("_", r"\_") if "`" not in block else block


def rows(block: str) -> list[Row]:
    """The lines of a block.

    Formulas on a line stand two spaces or more apart; what holds no relation is a remark. What
    comes before a colon says when a formula holds.
    """
    found = []
    for line in block.splitlines():
        parts = [part for part in re.split(r",?\s{2,}", line.strip().rstrip(",")) if part]
        label, formulas, remarks = "", [], []
        if parts and (split := re.match(r"([^:]*):(?: (.*)|$)", parts[0])):
            rest = split[2] or ""
            if not rest or re.search("[←=]", rest):
                label = tex.translate(split[1])
                parts = [rest, *parts[1:]] if rest else parts[1:]
        for part in parts:
            alone = re.sub(r"\(.*?\)", "", part)  # a relation in parentheses is no statement
            stated = re.search("[←=≤≥]", alone) and not re.match("[a-z]{2,}[ ,:]", part)
            (formulas if stated or part == parts[0] else remarks).append(tex.translate(part))
        found.append(Row(label, formulas, r",\;".join(remarks)))
    return found


def display(block: str) -> str:
    """A block as Markdown: a row for each formula, aligned at what it is set to.

    A line of words alone, which says when the lines below hold, stands between two displays.
    """
    lines, parts = rows(block), [[]]
    for row in lines:
        parts[-1:] = [parts[-1] + [row]] if row.formulas else [parts[-1], [row], []]
    shown = [
        _aligned(part) if part[0].formulas else f"${part[0].label}:$" for part in parts if part
    ]
    return "\n\n".join(shown)


def _aligned(lines: list[Row]) -> str:
    first, out = ["", ""] if any(row.label for row in lines) else [], []
    for row in lines:
        for i, formula in enumerate(row.formulas):
            label = ["", f"{row.label}:"] if row.label and i == 0 else first
            left, relation, right = _split(formula)
            out.append([*label, left, f"{relation} {right}"])
        if len(re.sub(r"\\[a-z]+|\W", "", row.remark)) > _LONG:
            out.append([*first, "", rf"\quad {row.remark}"])
        elif row.remark:
            out[-1] += ["", row.remark]
    inside = " \\\\[4pt]\n".join(" & ".join(cells) for cells in out)
    return f"$$\n\\begin{{aligned}}\n{inside}\n\\end{{aligned}}\n$$"


def _split(formula: str) -> tuple[str, str, str]:
    found = _RELATION.search(formula)
    if found is None:
        return "", "", formula
    return formula[: found.start()], found[1], formula[found.end() :]

"""The Markdown of the catalogue: a page for each optimizer, and the index by family."""

from __future__ import annotations

import functools
import re

import numpy as np

from gdjax.lab import catalogue
from optimizer_pages import facts, formulas, landscapes
from optimizer_pages.notes import notes

__all__ = ["INDEX", "SECTIONS", "index", "page"]

SECTIONS = ["Formula", "For and against", "Pictures", "Arguments", "Cost", "Agrees with"]
INDEX = "optimizers.md"  # catalogue.md is catalogue/index.html already
_NONE = "–"
_WHOLE = '{ style="white-space: nowrap" }'  # a name that breaks off is no name
_NORM = "It starts at a random matrix whose norm is that of the minimizer, all others at zero."
_ON_DIGITS = {
    "dpsgd": "Every image is an example, with `max_norm=1` and `noise_multiplier=1`.",
    "adam_hyperball": _NORM,
    "muon_hyperball": _NORM,
    "apollo": "With `rank=4` and `every=50`.",
    "apollo_mini": "With `every=50`.",
    "fira": "With `rank=4` and `every=50`.",
    "galore": "With `rank=4` and `every=50`.",
    "polyak_sgd": "Swept is `max_learning_rate`; `f_min` is the least loss.",
}
_FALLING = "The learning rate is the best of a sweep, and falls to zero in a straight line."
_LEVEL = "The learning rate is the best of a sweep, and stays as it is."
_CIRCLE = (
    f"{_FALLING} The norm of the matrix stays what it is, so that paths are parts of a circle "
    "about zero; on Rosenbrock's function the minimum lies on another one, and beyond a hill."
)
_PATHS = {
    "dpsgd": f"{_FALLING} The function is one example; `max_norm=1`, `noise_multiplier=0.1`.",
    "apollo": f"{_FALLING} With `rank=1` and `every=10`.",
    "apollo_mini": f"{_FALLING} With `every=10`.",
    "fira": f"{_FALLING} With `rank=1` and `every=10`.",
    "galore": f"{_FALLING} With `rank=1` and `every=10`: one of the two directions at a time.",
    "polyak_sgd": "The rate is `max_learning_rate`, the best of a sweep; it falls to zero.",
    "auto": "There is no learning rate; the path is that of the average.",
    "lbfgs": "The line search finds how far each step goes.",
    "rprop": "The rate is that of the first step.",
    "schedule_free_adamw": _LEVEL,
    "schedule_free_sgd": _LEVEL,
    "adam_hyperball": _CIRCLE,
    "muon_hyperball": _CIRCLE,
}


@functools.cache
def entries() -> dict[str, catalogue.Entry]:
    """What the catalogue knows, by name."""
    return {entry.name: entry for entry in catalogue.entries()}


def page(name: str) -> str:
    """The page of an optimizer, which shows `NAME.paths.png` and `NAME.digits.png` beside it."""
    entry = entries()[name]
    family = facts.FAMILIES[landscapes.family(name)]
    source = f"[{entry.reference}]({entry.url})" if entry.url else entry.reference
    head = f"# {name}\n\n{_text(entry.summary)}\n\n{source} · family: [{family}]({INDEX})\n\n"
    call = f"```python\ngd.{_call(name)}\n```\n"
    written = {
        "Formula": _formula(name),
        "For and against": _note(name),
        "Arguments": _arguments(name),
        "Cost": _cost(name),
        "Agrees with": _agrees(entry),
        "Pictures": _pictures(name),
    }
    return head + call + "".join(f"\n## {s}\n\n{written[s].strip()}\n" for s in SECTIONS)


def index() -> str:
    """All optimizers by family, each with its path on Rosenbrock's function."""
    out = [
        "# Optimizers\n\nA page for each: formula, what it is for and against, defaults beside "
        "those of optax and torch, cost, references, pictures. Each small picture is "
        f"{landscapes.STEPS} steps on Rosenbrock's function from the best learning rate of a "
        "sweep; the star is the minimum.\n"
    ]
    for family, names in facts.families().items():
        out.append(f"\n## {facts.FAMILIES[family]}\n\n| | | |\n| --- | --- | --- |\n")
        for name in names:
            image = f"[![Path of {name}]({name}.small.png){{ width=110 }}]({name}.md)"
            summary = _cell(entries()[name].summary)
            out.append(f"| {image} | [`{name}`{_WHOLE}]({name}.md) | {summary} |\n")
    return "".join(out)


def _call(name: str) -> str:
    """The shortest call, as one types it."""
    tx = facts.example(name)
    given = ", ".join(f"{k}={v!r}" for k, v in tx.given.items() if k != "learning_rate")
    rate = "1e-3" if "learning_rate" in tx.given else ""
    return f"{name}({', '.join(filter(None, [rate, given]))})"


def _formula(name: str) -> str:
    """The docstring, and the formulas of the stages that the optimizer is a chain of."""
    out = [formulas.body(name)]
    chain, names = facts.parts(name)
    stages = [n for n in names if formulas.has_formula(n) and n != name]
    if chain:
        out.append(f"It is made of:\n\n```python\n{_wrapped(chain)}\n```")
    for stage in stages:
        summary = _text(entries()[stage].summary)
        link = f"[`{stage}`]({stage}.md)" if stage in _optimizers() else f"`{stage}`"
        shown = [b for b in formulas.blocks(stage) if formulas.is_formula(b)]
        out.append(f"{link}: {summary}\n\n" + "\n\n".join(map(formulas.display, shown)))
    return "\n\n".join(out)


@functools.cache
def _optimizers() -> set[str]:
    return {name for names in facts.families().values() for name in names}


def _wrapped(call: str, width: int = 88) -> str:
    """A call over several lines where it is long: one argument a line, as a formatter does."""
    if len(call) <= width:
        return call
    head, inside = call.split("(", 1)
    parts, depth, now = [], 0, ""
    for char in inside[:-1]:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append(now.strip())
            now = ""
        else:
            now += char
    lines = []
    for part in [*parts, now.strip()]:
        name, equals, value = (
            part.partition("=") if re.match(r"\w+=\w+\(", part) else ("", "", part)
        )
        text = name + equals + (_wrapped(value, width - 4) if "(" in value else value)
        lines.append("    " + text.replace("\n", "\n    ") + ",")
    return "\n".join([f"{head}(", *lines, ")"])


def _note(name: str) -> str:
    note = notes()[landscapes.family(name)][name]
    items = lambda sentences: "".join(f"- {sentence}\n" for sentence in sentences)
    return f"**For**\n\n{items(note.pro)}\n**Against**\n\n{items(note.con)}"


def _arguments(name: str) -> str:
    rows = facts.arguments(name)
    columns = [o for o in ("optax", "torch") if any(getattr(row, o) for row in rows)]
    head = ["argument", "default", *columns, "meaning"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in rows:
        cells = [f"`{row.name}`{_WHOLE}", _value(row.default)]
        cells += [_other(getattr(row, o), row.default) for o in columns]
        lines.append(f"| {' | '.join([*cells, _cell(row.meaning)])} |")
    legend = "– in the place of a default: the argument must be given."
    if columns:
        legend += (
            f" Bold: what is another default in {' or in '.join(columns)}; an empty cell: no such "
            "argument there."
        )
    return "\n".join(lines) + f"\n\n{legend}"


def _value(default: str) -> str:
    return default if default in ("", _NONE) else f"`{_cell(default)}`{_WHOLE}"


def _other(theirs: str, ours: str) -> str:
    same = theirs == ours or facts.equal(theirs, ours)
    return _value(theirs) if same or theirs in ("", _NONE) else f"**{_value(theirs)}**"


def _cost(name: str) -> str:
    size = facts.bytes_of_state(name)
    out = f"State: **{size:.3g} bytes a parameter** of GPT-2 in float32"
    out += f" (Adam: {facts.bytes_of_state('adam'):.3g}).\n\n" if name != "adam" else ".\n\n"
    costs = facts.cost(name)
    if not costs:
        return out + "A step needs more than gradients, so that its program is not listed here."
    out += "| a compiled step | bytes moved | temporary bytes | kernels | copies |\n"
    out += "| --- | --- | --- | --- | --- |\n"
    for chip, row in costs.items():
        keys = ("bytes", "temporary", "kernels", "copies")
        cells = [f"{row[key]:g}" for key in keys]
        out += f"| {chip} | {' | '.join(cells)} |\n"
    missing = set(facts.CHIPS.values()) - set(costs)
    absent = f" It was not compiled for {' and '.join(sorted(missing))}." if missing else ""
    return out + (
        "\nBytes are those a parameter of a small GPT-2 in float32, as the compilers of jax 0.10.2 "
        "have it; of a kernel they count operands and results, and a loop once. See "
        f"[benchmarks](../benchmarks.md#on-chips-that-are-not-here).{absent}"
    )


def _agrees(entry: catalogue.Entry) -> str:
    items = "".join(f"- {oracle}\n" for oracle in entry.oracles)
    items = items.replace("- NumPy\n", "- a transcription of the paper in NumPy\n")
    return f"{items}\nThe tests compare trajectories in float64; see [numerics](../numerics.md)."


def _pictures(name: str) -> str:
    what = (
        "The matrix is diagonal: drawn are its two entries, whose sizes are the singular values; "
        "its other entries stay zero. "
        if landscapes.is_matrix(name)
        else ""
    )
    more = _PATHS.get(name, _FALLING)
    out = f"![Paths of {name}]({name}.paths.png)\n\n*Paths of `{name}`. {what}{more}*\n\n"
    out += f"![Final losses of {name} on digits]({name}.digits.png)\n\n"
    return out + f"*{_digits(name)}*\n"


def _digits(name: str) -> str:
    told = "Softmax regression on 8×8 digits, full batch: the distance from the least loss"
    if "steps" in landscapes.data()["digits"][name]:
        return f"{told}, by step."
    rates, gaps = landscapes.sweep(name)
    best = int(np.argmin(gaps[:, 0]))
    good = rates[gaps[:, 0] <= 10 * gaps[best, 0]]
    near = "at no other rate of the sweep is it within ten times of that"
    if len(good) > 1:
        near = f"from {good.min():g} to {good.max():g} it is within ten times of that"
    gap = f"{gaps[best, 0]:.2g} from the least loss"
    if gaps[best, 0] <= landscapes.FLOOR:
        gap = "where it is at the least loss to rounding"
    found = f"`{name}` is best at {rates[best]:g}, {gap}; {near}"
    return " ".join(filter(None, [f"{told} after 500 steps. {found}.", _ON_DIGITS.get(name, "")]))


def _text(sentence: str) -> str:
    """A sentence of a docstring, whose signs mean nothing to Markdown."""
    return sentence.replace("*", r"\*").replace("_", r"\_") if "`" not in sentence else sentence


def _cell(text: str) -> str:
    return text.replace("|", r"\|")

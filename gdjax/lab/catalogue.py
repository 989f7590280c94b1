"""The catalogue of transformations, schedules, rules and functions, from their docstrings.

`describe` and `markdown` show it. `read` and `optimizer` parse calls that are written as text, such
as `adamw(weight_decay=0.1)`.
"""

from __future__ import annotations

__all__ = [
    "Entry",
    "describe",
    "entries",
    "example",
    "lookup",
    "markdown",
    "optimizer",
    "read",
    "reference",
]

import ast
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from gdjax.core.data.compare import show
from gdjax.core.data.factory import Factory
from gdjax.core.data.recipe import Recipe, factories
from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.rule import errors
from gdjax.lab.entries import FUNCTION, KINDS, Entry, entries, functions, reference


def lookup(name: str) -> Factory:
    """Finds a factory by name: one of gdjax, else the only one of that name that a user defined.

    Raises:
        ValueError: There is none; the message has the nearest names.
    """
    if name not in factories():
        users = [made for made in list(factories().values()) if made.name == name]
        if len(users) == 1:
            return users[0]
        hint = errors.nearest(name, factories())
        errors.fail("name", "it must be one that gdjax list shows", repr(name), instead=hint)
    return factories()[name]


def markdown(found: Sequence[Entry] | None = None) -> str:
    """The catalogue, or some of its entries, as Markdown tables, one for each kind."""
    blocks = []
    for kind in (*KINDS, FUNCTION):
        rows = [e for e in found or entries() if e.kind == kind]
        if not rows:
            continue
        head = kind.capitalize(), "What it does", "Reference", "Agrees with", "Formula"
        lines = [f"| {' | '.join(head)} |", "| --- | --- | --- | --- | --- |"]
        for e in rows:
            source = f"[{_cell(e.reference)}]({e.url})" if e.url else _cell(e.reference)
            oracles = ", ".join(e.oracles)
            lines.append(f"| `{e.name}` | {_cell(e.summary)} | {source} | {oracles} | {e.proven} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def describe(name: str) -> str:
    """Describes a factory or a function: call, docstring, stages, state.

    Raises:
        ValueError: Nothing has that name.
    """
    if name not in factories():
        for entry in functions():
            if entry.name == name:
                return f"{entry.signature}\n{entry.kind}, from {entry.module}\n\n{entry.text}\n"
    made = lookup(name)
    text = inspect.getdoc(made.function) or ""
    blocks = [f"{made}\n{made.kind}, from {made.module}", text.strip()]
    tx = _example(made)
    if isinstance(tx, GradientTransformation):
        body = made.invoke({**tx.arguments})
        if isinstance(body, GradientTransformation):
            stages = body.arguments.get("transformations") or (body,)
            blocks.append("Parts:\n" + "\n".join(f"    {show(stage)}" for stage in stages))
        blocks.append("State:\n" + "\n".join(f"    {line}" for line in _state(tx)))
    if oracles := next((e.oracles for e in entries() if e.name == name), ()):
        blocks.append(f"Agrees with:\n    {', '.join(oracles)}")
    if proven := next((e.proven for e in entries() if e.name == name), ""):
        blocks.append(f"Its program and its formula:\n    {proven}")
    return "\n\n".join(blocks) + "\n"


def example(text: str) -> Any:
    """Parses a call that is written as text; a name alone gets examples of its numbers.

    >>> example("adamw"), example("adamw(0.1)")
    (adamw(learning_rate=0.001), adamw(learning_rate=0.1))

    Args:
        text: A name, or a call as `read` takes it.

    Raises:
        ValueError: As `read`; or the factory needs more than numbers.
    """
    made = factories().get(text)
    if made is None:
        return read(text)
    if (found := _example(made)) is None:
        must = f"{text} needs more than numbers"
        errors.fail("call", must, text, instead=f"Write a call: {made}.")
    return found


def _example(made: Factory) -> Any:
    """An object of this factory, with examples of its required numbers."""
    required = [
        p.name
        for p in made.signature.parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    numbers = {
        n: 0.001 if n == "learning_rate" else made.ranges[n].example
        for n in required
        if n in made.ranges
    }
    if any(p.kind is p.VAR_POSITIONAL for p in made.signature.parameters.values()):
        return None  # it is what its parts are
    try:
        return made.call(**numbers)
    except (TypeError, ValueError):  # it needs more than numbers: a function, other parts
        return None


def _state(tx: GradientTransformation) -> list[str]:
    import jax

    try:
        state = jax.eval_shape(tx.init, {"w": jax.ShapeDtypeStruct((2, 2), "float32")})
    except (TypeError, ValueError):
        return ["depends on the parameters"]
    stages = state if type(state) is tuple else (state,)
    return [_fields(stage) for stage in stages] or ["none"]


def _fields(node: Any) -> str:
    if not hasattr(node, "_fields"):
        return type(node).__name__
    nested = [hasattr(value, "_fields") for value in node]
    inner = [f"{f}={_fields(v)}" if deep else f for f, v, deep in zip(node._fields, node, nested)]
    return f"{type(node).__name__}({', '.join(inner)})"


def read(text: str, names: Mapping[str, Any] | None = None, /, **also: Any) -> Recipe:
    """Parses a call that is written as text: factories of the catalogue and literals only.

    >>> read("adamw(weight_decay=0.1)", learning_rate=0.5)
    adamw(learning_rate=0.5, weight_decay=0.1)

    Args:
        text: A name, or a call whose arguments are literals or such calls.
        names: Values of further words that may stand as arguments.
        **also: Arguments to add, which the text must not have.

    Raises:
        ValueError: The text is no such call, a name is unknown, or an argument is out of range.
        TypeError: The factory has no such argument.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        _refuse(text)
    call = ast.Call(node, [], []) if isinstance(node, ast.Name) else node
    if not isinstance(call, ast.Call):
        _refuse(text)
    if also and (call.args or any(k.arg in also for k in call.keywords)):
        must = (
            f"arguments must stand by keyword and without {', '.join(also)}, which is set already"
        )
        errors.fail("call", must, text)
    return _call(call, text, also, names or {})


def _call(node: ast.Call, text: str, also: dict[str, Any], names: Mapping[str, Any]) -> Any:
    given = [k.arg for k in node.keywords]
    if not isinstance(node.func, ast.Name) or None in given:
        _refuse(text)
    if len(set(given)) < len(given):
        errors.fail("call", "an argument must stand once", text)
    made = lookup(node.func.id)
    args = [_value(arg, text, names) for arg in node.args]
    named = {str(k.arg): _value(k.value, text, names) for k in node.keywords}
    return made.call(*args, **named, **also)


def _value(node: ast.expr, text: str, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.Call):
        return _call(node, text, {}, names)
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_value(item, text, names) for item in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        _refuse(text)


def _refuse(text: str) -> NoReturn:
    hint = "Write for instance adamw or adamw(b2=0.99, weight_decay=0.1)."
    must = "it must be a name, or a call with numbers, strings, lists, dicts or such calls"
    errors.fail("call", must, repr(text), instead=hint)


def optimizer(given: Any) -> GradientTransformation:
    """An optimizer with a learning rate, from a name, a call as text, or a transformation.

    Raises:
        ValueError: The text is unknown, or has the learning rate, which the race sets.
        TypeError: The transformation has no learning rate.
    """
    if isinstance(given, str):
        name = given.split("(")[0].strip()
        known = [
            n for n, made in factories().items() if "learning_rate" in made.signature.parameters
        ]
        if name.isidentifier() and name not in known:
            hint = errors.nearest(name, known)
            must = "an optimizer must be one of the catalogue, with a learning rate"
            rate = "Write RATE for the learning rate: chain(clip(1.0), adam(RATE))."
            hint = rate if name in factories() else hint or "gdjax list shows all."
            errors.fail("race", must, repr(name), instead=hint)
        given = read(given, learning_rate=0.5)
    if not isinstance(given, GradientTransformation) or "learning_rate" not in given.arguments:
        must = "an optimizer must be a name, a call or a transformation with a learning_rate"
        hint = 'Write "chain(clip(1.0), adam(RATE))", or {label: function of the rate}.'
        if callable(given) and (made := getattr(given, "factory", None)) and made.is_ours:
            hint = f'Write "{made.name}".'
        errors.fail("race", must, show(given), instead=hint, kind=TypeError)
    return given

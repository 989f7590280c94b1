"""Error messages: what must hold, what was got, where, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, NoReturn

import jax
import numpy as np

RULE = "rule"  # the name in messages until the transformation that runs is known


def fail(
    where: str, must: str, got: Any, *, instead: str = "", kind: type = ValueError
) -> NoReturn:
    """Raises `<where>: <must>, got <got>.`, followed by what to write instead.

    Args:
        where: The factory or function that raises, e.g. `"adamw"`.
        must: What must hold, e.g. `"b1 must lie in [0, 1)"`.
        got: The wrong value; a long one is shortened.
        instead: A sentence that says what to write.
        kind: The built-in exception to raise.
    """
    message = f"{where}: {must}, got {shorten(got)}."
    error = kind(f"{message} {instead}".rstrip())
    error.where = where
    raise error


def check_counts(where: str, **numbers: Any) -> None:
    """Raises unless numbers, such as a rank or a period, are 1 or more."""
    for name, number in numbers.items():
        if number < 1:
            fail(where, f"{name} must be 1 or more", number)


def rename(error: Exception, name: str, *, alias: bool) -> None:
    """Makes an error name the factory that the user called, instead of a part of it.

    Args:
        error: An error of `fail`; others do not change.
        name: The factory that was called.
        alias: Whether the factory returns another transformation, in which the error was raised.
    """
    where = getattr(error, "where", None)
    if where in (None, name) or not (alias or where == RULE):
        return
    message = str(error.args[0]).removeprefix(f"{where}:")
    error.args = (f"{name}:{message}",)
    error.__notes__ = [] if where == RULE else [f"in {where}, which is a part of {name}"]
    error.where = name  # type: ignore[attr-defined]


def shorten(value: Any, width: int = 80) -> str:
    """A value as text of at most `width` characters, without addresses and names of tracers."""
    text = value if isinstance(value, str) else _printed(value)
    if "Trace" in text and not isinstance(value, str):
        text = repr(jax.tree.map(_Traced.of, value))
    text = re.sub(r" at 0x[0-9a-f]+", "", " ".join(text.split()))  # the address of a function
    return text if len(text) <= width else text[: width - 3] + "..."


def _printed(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # integers of more than 4300 digits, what is nested too deeply
        return kind_of(value)


class _Traced(str):
    """What messages show for a traced value."""

    def __repr__(self) -> str:
        return str(self)

    @classmethod
    def of(cls, x: Any) -> Any:
        """A traced array as `traced float32[3]`; other leaves as they are."""
        if not isinstance(x, jax.core.Tracer):
            return x
        return cls(f"traced {x.dtype}[{','.join(map(str, x.shape))}]")


def kind_of(value: Any) -> str:
    """What a value is, for messages: `None`, `an array`, `a tuple`."""
    if value is None:
        return "None"
    name = "array" if isinstance(value, (jax.Array, np.ndarray)) else type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """A hint for a wrong name: the nearest of `names`, or all of them if they are few."""
    names = sorted(names)
    by_lower = {known.lower(): known for known in names}  # AdamW is adamw here
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=cutoff)
    if name.lower() in by_lower:
        close = close[:1]
    if close:
        return f"Did you mean {' or '.join(by_lower[found] for found in close)}?"
    return f"Known: {', '.join(names)}." if 0 < len(names) <= 20 else ""


def need_params(where: str, params: Any) -> None:
    """Raises if `update` was called without params by a rule that needs them."""
    if params is None:
        hint = "Write update(grads, state, params)."
        fail(where, "update needs the parameters", params, instead=hint)

"""Closure conversion: traced values that a function closes over become its arguments.

A function in `shard_map` over Explicit axes must not close over values traced outside it; a rule
for one matrix closes over the step count and values computed from it.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import jax


def closure_convert(
    function: Callable[..., Any],
) -> tuple[list[Any], Callable[..., Callable[..., Any]]]:
    """The traced values in a function's closure, and the function with these as arguments.

    >>> def scaled(factor):
    ...     return lambda x: x * factor
    >>> @jax.jit
    ... def six(factor):
    ...     values, closed = closure_convert(scaled(factor))
    ...     return closed([value + 1 for value in values])(2)
    >>> int(six(2))
    6

    Trees of values and functions in the closure are searched as well.
    """
    values: list[Any] = []
    _visit(function, lambda x: values.append(x) or x, {})

    def closed(others: Any) -> Callable[..., Any]:
        left = iter(others)
        return _visit(function, lambda x: next(left), {})

    return values, closed


def _visit(x: Any, change: Callable[[Any], Any], seen: dict[int, Any]) -> Any:
    """A copy with traced values replaced, visited in a deterministic order."""
    if isinstance(x, jax.core.Tracer):
        return change(x)
    if isinstance(x, types.FunctionType):
        if x.__closure__ is None or id(x) in seen:
            return seen.get(id(x), x)
        cells = tuple(types.CellType() for _ in x.__closure__)
        new = types.FunctionType(x.__code__, x.__globals__, x.__name__, x.__defaults__, cells)
        new.__kwdefaults__ = x.__kwdefaults__
        seen[id(x)] = new
        for cell, old in zip(cells, x.__closure__):
            try:
                cell.cell_contents = _visit(old.cell_contents, change, seen)
            except ValueError:  # a variable that is assigned later
                pass
        return new
    if isinstance(x, (dict, list, tuple)):
        leaves, treedef = jax.tree.flatten(x, is_leaf=lambda y: isinstance(y, types.FunctionType))
        changed = [_visit(y, change, seen) for y in leaves]
        same = all(new is old for new, old in zip(changed, leaves))
        return x if same else treedef.unflatten(changed)
    return x

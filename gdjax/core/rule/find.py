"""Finding parts of an optimizer state by name or by type, at any depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gdjax.core.rule import errors
from gdjax.core.rule.boxes import unboxed
from gdjax.core.rule.tree import joined


def find(state: Any, name_or_type: str | type) -> Any:
    """Finds the part of a state with a given name or type, at any depth.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.clip(1.0), gd.adamw(1e-3))
    >>> gd.state.find(tx.init({"w": jnp.zeros(2)}), "mu")
    {'w': Array([0., 0.], dtype=float32)}

    Args:
        state: The state of any transformation, also optax's.
        name_or_type: A field (`"mu"`), the name of a stage of a named chain, a path as returned by
            `find_all`, the name of a state's type (`"ScaleByAdamState"`), or the type itself.

    Raises:
        KeyError: No part has it, or several have: the message lists their paths.
    """
    return locate(state, name_or_type, "find")[1]


def find_all(state: Any, name_or_type: str | type) -> dict[str, Any]:
    """Finds all parts of a state with a given name or type, by path; see `find`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(ema=gd.ema(0.9), opt=gd.adam(1e-3))
    >>> list(gd.state.find_all(tx.init(jnp.zeros(2)), "count"))
    ['ema/count', 'opt/0/count']
    """
    found = list(_matches(state, name_or_type))
    return dict(zip(joined([path for path, _ in found]), (node for _, node in found)))


def locate(state: Any, wanted: str | type, where: str) -> tuple[tuple[str, ...], Any]:
    """The path and the part found by `find`; `where` is the name in messages."""
    if isinstance(wanted, type) and isinstance(state, wanted) and _type_name(state):
        return (), unboxed(state)  # not a part of the same type inside
    found = list(_matches(state, wanted))
    name = wanted if isinstance(wanted, str) else wanted.__name__
    if len(found) == 1:
        return found[0]
    if found:
        paths = ", ".join("/".join(path) for path, _ in found)
        must = f"{name!r} must be one part of the state, got {paths}"
        raise KeyError(f"{where}: {must}. Give a path, or use find_all.")
    names = {known for path, node in nodes(state) for known in path[-1:] + _type_name(node)}
    hint = errors.nearest(name, [n for n in names if not n.isdigit()])
    raise KeyError(f"{where}: {name!r} must be a field or a type in the state, got none. {hint}")


def _matches(state: Any, wanted: str | type) -> Iterator[tuple[tuple[str, ...], Any]]:
    for path, node in nodes(unboxed(state)):
        if isinstance(wanted, str):
            if wanted in (*path[-1:], "/".join(path), *_type_name(node)):
                yield path, node
        elif isinstance(node, wanted):
            yield path, node


def _type_name(node: Any) -> tuple[str, ...]:
    return (type(node).__name__,) if hasattr(node, "_fields") else ()


def nodes(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every part of a state with its path, from the root down to fields of states."""
    yield path, node
    if hasattr(node, "_fields"):
        inner: Any = zip(node._fields, node)
    elif isinstance(node, (tuple, list)):
        inner = ((str(i), part) for i, part in enumerate(node))
    elif isinstance(node, Mapping):
        inner = ((str(name), part) for name, part in node.items())
    else:
        return
    for name, part in inner:
        yield from nodes(part, (*path, name))

"""Parts of a state by name: found, exchanged, counted in bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors

__all__ = ["find", "find_all", "nbytes", "replace", "walk"]


def find(state: Any, name_or_type: str | type) -> Any:
    """Finds the one part of a state that has a name or a type, however deep it lies.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.clip(1.0), gd.adamw(1e-3))
    >>> gd.state.find(tx.init({"w": jnp.zeros(2)}), "mu")
    {'w': Array([0., 0.], dtype=float32)}

    Args:
        state: The state of any transformation, optax's too.
        name_or_type: A field (`"mu"`), the name of a stage of a named chain, a path that `find_all`
            gives, the name of a state's type (`"ScaleByAdamState"`), or the type itself.

    Raises:
        KeyError: Nothing has it, or more than one thing does: the message names the paths.
    """
    return _one(state, name_or_type, "find")[1]


def find_all(state: Any, name_or_type: str | type) -> dict[str, Any]:
    """Finds every part of a state that has a name or a type, by path; see `find`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(ema=gd.ema(0.9), opt=gd.adam(1e-3))
    >>> list(gd.state.find_all(tx.init(jnp.zeros(2)), "count"))
    ['ema/count', 'opt/0/count']
    """
    return {"/".join(path): node for path, node in _called(state, name_or_type)}


def _called(state: Any, wanted: str | type) -> Iterator[tuple[tuple[str, ...], Any]]:
    for path, node in walk(state):
        if isinstance(wanted, str):
            if wanted in (*path[-1:], "/".join(path), *_type_name(node)):
                yield path, node
        elif isinstance(node, wanted):
            yield path, node


def _one(state: Any, wanted: str | type, where: str) -> tuple[tuple[str, ...], Any]:
    found = list(_called(state, wanted))
    name = wanted if isinstance(wanted, str) else wanted.__name__
    if len(found) == 1:
        return found[0]
    if found:
        paths = ", ".join("/".join(path) for path, _ in found)
        must = f"{name!r} must be one part of the state, got {paths}"
        raise KeyError(f"{where}: {must}. Give a path, or use find_all.")
    names = {known for path, node in walk(state) for known in path[-1:] + _type_name(node)}
    hint = errors.nearest(name, [n for n in names if not n.isdigit()])
    raise KeyError(f"{where}: {name!r} must be a field or a type in the state, got none. {hint}")


def _type_name(node: Any) -> tuple[str, ...]:
    return (type(node).__name__,) if hasattr(node, "_fields") else ()


def walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every part of a state with its path, from the root down, as far as states reach."""
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
        yield from walk(part, (*path, name))


def replace(state: Any, name_or_type: str | type, value: Any) -> Any:
    """Exchanges the one part of a state that has a name or a type; see `find`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> state = gd.adam(0.1).init(jnp.ones(2))
    >>> gd.state.find(gd.state.replace(state, "mu", lambda mu: mu + 0.5), "mu")
    Array([0.5, 0.5], dtype=float32)

    Args:
        state: The state of any transformation; it is not changed.
        name_or_type: Which part.
        value: The new one, or a function that makes it of the old one.

    Returns:
        The new state, of the same structure, shapes and dtypes.

    Raises:
        KeyError: Nothing has that name or type, or more than one thing does.
        ValueError: The value differs in structure or in the shape of an array.
    """
    path, old = _one(state, name_or_type, "replace")
    new = value(old) if callable(value) else value
    leaves, treedef = jax.tree.flatten(old)
    if jax.tree.structure(new) != treedef:
        must = f"{'/'.join(path)} must keep its structure {treedef}"
        errors.fail("replace", must, str(jax.tree.structure(new)))
    for i, (a, b) in enumerate(zip(leaves, jax.tree.leaves(new))):
        if jnp.shape(a) != jnp.shape(b):
            inside = jax.tree_util.keystr(jax.tree.leaves_with_path(old)[i][0], simple=True)
            must = f"{'/'.join(path)} must keep its shapes, at {inside!r} {jnp.shape(a)}"
            errors.fail("replace", must, str(jnp.shape(b)))
    return _put(state, path, jax.tree.map(lambda a, b: jnp.asarray(b).astype(a.dtype), old, new))


def _put(node: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    name, rest = path[0], path[1:]
    if hasattr(node, "_fields"):
        return node._replace(**{name: _put(getattr(node, name), rest, value)})
    if isinstance(node, (tuple, list)):
        parts = [_put(x, rest, value) if str(i) == name else x for i, x in enumerate(node)]
        return type(node)(parts)
    parts = {k: _put(x, rest, value) if str(k) == name else x for k, x in node.items()}
    return parts if type(node) is dict else type(node)(parts)


def nbytes(state: Any) -> int:
    """The bytes of all arrays of a state, or of any tree, abstract ones too.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.state.nbytes(gd.adam(0.1).init(jnp.zeros(1000)))
    8004
    """
    leaves = [x for x in jax.tree.leaves(state) if hasattr(x, "dtype")]
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves)

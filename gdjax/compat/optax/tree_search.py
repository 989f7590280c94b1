"""Search, replacement and mapping of values in a state by name, as in `optax.tree`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

__all__ = ["NamedTupleKey", "Placeholder", "get", "get_all_with_path", "map_params", "set"]

_Filter = Callable[[tuple, Any], bool] | None


class NamedTupleKey(NamedTuple):
    """A key of a path: a field of a NamedTuple, with the name of the NamedTuple."""

    tuple_name: str
    name: str

    def __str__(self) -> str:
        return f"{self.tuple_name}.{self.name}"


def _is_named(node: Any) -> bool:
    return isinstance(node, tuple) and hasattr(node, "_fields")


def _children(node: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The children of a node as `(key, child)`, and its structure."""
    below, treedef = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda x: x is not node)
    if _is_named(node):
        names = [NamedTupleKey(type(node).__name__, name) for name in node._fields]
        return list(zip(names, node)), treedef
    return [(path[0], child) for path, child in below if path], treedef


def _says(step: Any, node: Any, key: Any) -> bool:
    """Whether the key of a node, or the node's own type, has the name."""
    name = getattr(step, "name", getattr(step, "key", None))
    named = isinstance(step, NamedTupleKey | jax.tree_util.DictKey | jax.tree_util.GetAttrKey)
    return (named and name == key) or (_is_named(node) and type(node).__name__ == key)


def _walk(node: Any, key: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    if _says(path[-1] if path else None, node, key):
        yield path, node
    for step, child in _children(node)[0]:
        yield from _walk(child, key, (*path, step))


def get_all_with_path(tree: Any, key: Any, filtering: _Filter = None) -> list[tuple[tuple, Any]]:
    """All values of a name: a key of a dict, a field of a NamedTuple, or the NamedTuple's own.

    >>> get_all_with_path({"a": {"lr": 1}, "lr": 2}, "lr")[1][1]
    2

    Args:
        tree: The tree to search.
        key: The name.
        filtering: A function of path and value; values for which it returns False are omitted.

    Returns:
        `(path, value)` each, in the order of the leaves.
    """
    found = list(_walk(tree, key))
    return [f for f in found if filtering is None or filtering(*f)]


def get(tree: Any, key: Any, default: Any = None, filtering: _Filter = None) -> Any:
    """The value of a name, or the default if there is none.

    >>> get({"a": {"lr": 1}}, "lr")
    1

    Raises:
        KeyError: Several values have this name.
    """
    found = get_all_with_path(tree, key, filtering)
    if len(found) > 1:
        raise KeyError(f"Found multiple values for '{key}' in {tree}.")
    return found[0][1] if found else default


def set(tree: Any, filtering: _Filter = None, /, **kwargs: Any) -> Any:
    """A copy of the tree in which all values of the given names are replaced.

    >>> set({"a": {"lr": 1}, "lr": 2}, lr=3)
    {'a': {'lr': 3}, 'lr': 3}

    Raises:
        KeyError: No value has one of the names, or `filtering` omits all.
    """
    for key in kwargs:
        if not get_all_with_path(tree, key, filtering):
            raise KeyError(f"Found no values matching '{key}' in {tree}")

    def rebuild(node: Any, path: tuple) -> Any:
        for key, value in kwargs.items():
            if _says(path[-1] if path else None, node, key):
                if filtering is None or filtering(path, node):
                    return value
        children, treedef = _children(node)
        if not children:
            return node
        return treedef.unflatten([rebuild(child, (*path, step)) for step, child in children])

    return rebuild(tree, ())


@jax.tree_util.register_pytree_node_class
class Placeholder:
    """A placeholder for a tree of parameters: functions that map over it return it."""

    def tree_flatten(self) -> tuple[tuple, None]:
        """No leaves."""
        return (), None

    @classmethod
    def tree_unflatten(cls, data: None, children: tuple) -> Placeholder:
        """A new placeholder."""
        return cls()


def map_params(
    initable: Any,
    f: Callable[..., Any],
    state: Any,
    /,
    *rest: Any,
    transform_non_params: Callable[..., Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Maps a function over the parts of a state that are like the parameters.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.adam(0.1)
    >>> state = tx.init({"w": jnp.zeros(3)})
    >>> map_params(tx, lambda m, spec: spec, state, {"w": "rows"})[0].mu
    {'w': 'rows'}

    Args:
        initable: A transformation, or its `init`.
        f: A function of a leaf, and of the leaves of `rest` in its place.
        state: The state.
        *rest: Trees like the parameters.
        transform_non_params: What to apply to all other leaves.
        is_leaf: As in `jax.tree.map`. None leaves stay.
    """
    init = getattr(initable, "init", initable)
    marked = init(Placeholder())

    def one(leaf: Any, *others: Any) -> Any:
        return None if leaf is None else f(leaf, *others)

    def part(mark: Any, value: Any) -> Any:
        if isinstance(mark, Placeholder):
            stop = lambda x: x is None or (is_leaf is not None and is_leaf(x))
            return jax.tree.map(one, value, *rest, is_leaf=stop)
        return value if transform_non_params is None else transform_non_params(value)

    return jax.tree.map(part, marked, state, is_leaf=lambda x: isinstance(x, Placeholder))

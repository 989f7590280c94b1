"""Flax boxes around arrays: `nnx.Param`, `nnx.OptVariable`, `linen.Partitioned`."""

from __future__ import annotations

from typing import Any

import jax

_VALUE = (jax.tree_util.GetAttrKey("value"),)


def is_box(x: Any) -> bool:
    """Whether this is a pytree node with a single child named `value`."""
    if isinstance(x, (dict, list, tuple, jax.Array)) or x is None:
        return False
    parts = jax.tree_util.tree_flatten_with_path(x, is_leaf=lambda part: part is not x)[0]
    return len(parts) == 1 and parts[0][0] == _VALUE


def unboxed(tree: Any) -> Any:
    """A tree with its boxes, nested ones too, replaced by their contents; itself if it has none."""
    if not any(map(is_box, jax.tree.leaves(tree, is_leaf=is_box))):
        return tree
    open_ = lambda x: unboxed(jax.tree.leaves(x, is_leaf=lambda y: y is not x)[0])
    return jax.tree.map(lambda x: open_(x) if is_box(x) else x, tree, is_leaf=is_box)


def boxed_as(like: Any, tree: Any) -> Any:
    """An unboxed tree in the boxes of another tree with the same leaves."""
    return jax.tree.structure(like).unflatten(jax.tree.leaves(tree))

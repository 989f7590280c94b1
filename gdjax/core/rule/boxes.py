"""Boxes about arrays, as Flax has them: `nnx.Param`, `nnx.OptVariable`, `linen.Partitioned`."""

from __future__ import annotations

from typing import Any

import jax

_VALUE = (jax.tree_util.GetAttrKey("value"),)


def is_box(x: Any) -> bool:
    """Whether it is a node with one part, which is called `value`."""
    if isinstance(x, (dict, list, tuple, jax.Array)) or x is None:
        return False
    parts = jax.tree_util.tree_flatten_with_path(x, is_leaf=lambda part: part is not x)[0]
    return len(parts) == 1 and parts[0][0] == _VALUE


def unboxed(tree: Any) -> Any:
    """A tree with what is in its boxes in their places, boxes in boxes included; itself without."""
    if not any(map(is_box, jax.tree.leaves(tree, is_leaf=is_box))):
        return tree
    open_ = lambda x: unboxed(jax.tree.leaves(x, is_leaf=lambda y: y is not x)[0])
    return jax.tree.map(lambda x: open_(x) if is_box(x) else x, tree, is_leaf=is_box)


def boxed_as(like: Any, tree: Any) -> Any:
    """A tree without boxes in the boxes of another: these are no leaves, so leaves correspond."""
    return jax.tree.structure(like).unflatten(jax.tree.leaves(tree))

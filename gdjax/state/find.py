"""Parts of a state by name or type: find, replace, count bytes."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.mesh import memory
from gdjax.core.rule import errors
from gdjax.core.rule.boxes import boxed_as, unboxed
from gdjax.core.rule.find import find, find_all, locate
from gdjax.core.rule.tree import difference

__all__ = ["find", "find_all", "nbytes", "replace"]


def replace(state: Any, name_or_type: str | type, value: Any) -> Any:
    """Replaces the part of a state with a given name or type; see `find`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> state = gd.adam(0.1).init(jnp.ones(2))
    >>> gd.state.find(gd.state.replace(state, "mu", lambda mu: mu + 0.5), "mu")
    Array([0.5, 0.5], dtype=float32)

    Args:
        state: The state of any transformation; it is not changed.
        name_or_type: The name or the type of the part.
        value: The new value, or a function of the old value, which is passed on the device.

    Returns:
        The new state, of the same structure, shapes and dtypes.

    Raises:
        KeyError: No part or several parts have that name or type.
        ValueError: The value differs in structure or in the shape of an array.
    """
    path, old = locate(state, name_or_type, "replace")
    new = unboxed(value(memory.near(old)) if callable(value) else value)
    leaves, treedef = jax.tree.flatten(old)
    if jax.tree.structure(new) != treedef:
        must = f"{'/'.join(path)} must keep its structure"
        errors.fail("replace", must, difference(old, new, ("old value", "new value")))
    for i, (a, b) in enumerate(zip(leaves, jax.tree.leaves(new))):
        if jnp.shape(a) != jnp.shape(b):
            inside = jax.tree_util.keystr(jax.tree.leaves_with_path(old)[i][0], simple=True)
            must = f"{'/'.join(path)} must keep its shapes, at {inside!r} {jnp.shape(a)}"
            errors.fail("replace", must, str(jnp.shape(b)))
    new = jax.tree.map(lambda a, b: jnp.asarray(b).astype(a.dtype), old, memory.near(new))
    new = memory.lying_as(new, old)
    return boxed_as(state, _put(unboxed(state), path, new))


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
    """The number of bytes of a state, or of any tree of arrays or abstract values, on a device.

    Two numbers of four bits are one byte there; in NumPy, and so in a file, they are two.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.state.nbytes(gd.adam(0.1).init(jnp.zeros(1000)))
    8004
    """
    leaves = [x for x in jax.tree.leaves(state) if hasattr(x, "dtype")]
    return sum(-(-math.prod(x.shape) * _bits(x.dtype) // 8) for x in leaves)


def _bits(dtype: Any) -> int:
    packed = jnp.issubdtype(dtype, jnp.integer) and jnp.iinfo(dtype).bits < 8
    return jnp.iinfo(dtype).bits if packed else 8 * dtype.itemsize

"""The namespace `optax.tree`: arithmetic on trees, leaf by leaf.

Sums are formed in float32 or wider; trees keep the dtypes of their leaves.
"""

from __future__ import annotations

import builtins
import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.compat.optax.moments import (
    bias_correction,
    update_infinity_moment,
    update_moment,
    update_moment_per_elem_norm,
)
from gdjax.compat.optax.tree_search import get, get_all_with_path, map_params, set
from gdjax.core.rule import errors, numerics
from gdjax.core.rule import tree as trees

__all__ = [
    "add",
    "add_scale",
    "allclose",
    "batch_shape",
    "bias_correction",
    "cast",
    "cast_like",
    "clip",
    "conj",
    "div",
    "dtype",
    "full_like",
    "get",
    "get_all_with_path",
    "map_params",
    "max",
    "min",
    "mul",
    "norm",
    "ones_like",
    "random_like",
    "real",
    "scale",
    "set",
    "size",
    "split_key_like",
    "sub",
    "sum",
    "unwrap_random_key_data",
    "update_infinity_moment",
    "update_moment",
    "update_moment_per_elem_norm",
    "vdot",
    "where",
    "zeros_like",
]


def add(tree_x: Any, tree_y: Any, *other_trees: Any) -> Any:
    """Adds two trees or more."""
    return jax.tree.map(
        lambda *xs: functools.reduce(operator.add, xs), tree_x, tree_y, *other_trees
    )


def sub(tree_x: Any, tree_y: Any) -> Any:
    """Subtracts the second tree from the first."""
    return jax.tree.map(operator.sub, tree_x, tree_y)


def mul(tree_x: Any, tree_y: Any) -> Any:
    """Multiplies two trees."""
    return jax.tree.map(operator.mul, tree_x, tree_y)


def div(tree_x: Any, tree_y: Any) -> Any:
    """Divides the first tree by the second."""
    return jax.tree.map(operator.truediv, tree_x, tree_y)


def scale(scalar: Any, tree: Any) -> Any:
    """Multiplies a tree by a number."""
    scalar = numerics.weak(scalar)
    return jax.tree.map(lambda x: scalar * x, tree)


def add_scale(tree_x: Any, scalar: Any, tree_y: Any) -> Any:
    """Adds to a tree a multiple of another: x + scalar·y, None where x is None."""
    scalar = numerics.weak(scalar)
    one = lambda x, y: None if x is None else x + scalar * y
    return jax.tree.map(one, tree_x, tree_y, is_leaf=trees.is_none)


def vdot(tree_x: Any, tree_y: Any) -> jax.Array:
    """Sums conj(x)·y over all entries of all leaves."""

    def one(x: Any, y: Any) -> jax.Array:
        return jnp.vdot(numerics.wide(x), numerics.wide(y), precision=jax.lax.Precision.HIGHEST)

    return sum(jax.tree.map(one, tree_x, tree_y))


def _arrays(tree: Any) -> list[jax.Array]:
    """The leaves as arrays of one dtype, float32 at least if they are floats."""
    leaves = [numerics.wide(jnp.asarray(x)) for x in jax.tree.leaves(tree)]
    with jax.numpy_dtype_promotion("standard"):
        together = jnp.result_type(*leaves) if leaves else jnp.float32
    return [x.astype(together) for x in leaves]


def sum(tree: Any, associative_reduction: bool = False) -> jax.Array:
    """Sums all entries of all leaves, []; 0 if there are none.

    Args:
        tree: Arrays of any shapes.
        associative_reduction: Adds the leaves' sums in pairs, not one after another.
    """
    sums = [jnp.sum(x) for x in _arrays(tree)]
    if associative_reduction and sums:
        return jax.tree.reduce_associative(operator.add, sums)
    return functools.reduce(operator.add, sums) if sums else jnp.zeros([])


def max(tree: Any) -> jax.Array:
    """Returns the largest entry of all, []; −∞ if there are none."""
    tops = [jnp.max(x) for x in _arrays(tree) if x.size]
    return functools.reduce(jnp.maximum, tops) if tops else jnp.asarray(-jnp.inf)


def min(tree: Any) -> jax.Array:
    """Returns the smallest entry of all, []; ∞ if there are none."""
    lows = [jnp.min(x) for x in _arrays(tree) if x.size]
    return functools.reduce(jnp.minimum, lows) if lows else jnp.asarray(jnp.inf)


def size(tree: Any) -> int:
    """Counts the entries of all leaves."""
    return builtins.sum(
        np.size(x) if not hasattr(x, "size") else x.size for x in jax.tree.leaves(tree)
    )


def as_floats(tree: Any) -> Any:
    """The tree with integers as floats."""
    return jax.tree.map(lambda x: x if trees.differentiable(x) else jnp.asarray(x, float), tree)


def norm(tree: Any, ord: int | str | float | None = None, squared: bool = False) -> jax.Array:
    """Norm of all entries, [] in the dtype that they promote to; does not overflow if finite.

    Formed in float32 or wider and rounded once.

    Args:
        tree: Arrays of any shapes.
        ord: None or 2, 1, or infinity.
        squared: Whether to return the square.

    Raises:
        ValueError: `ord` is none of these.
    """
    floats = as_floats(tree)
    if ord in (None, 2):
        length = trees.norm(floats)
    elif ord == 1:
        length = sum(jax.tree.map(jnp.abs, floats))
    elif ord in ("inf", np.inf):
        length = jnp.maximum(max(jax.tree.map(jnp.abs, floats)), 0)
    else:
        errors.fail("norm", "ord must be None, 1, 2 or inf", ord)
    length = jnp.square(length) if squared else length
    kinds = [jnp.finfo(_dtype(x)).dtype for x in jax.tree.leaves(floats)]
    return length.astype(functools.reduce(jnp.promote_types, kinds)) if kinds else length


def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all entries of two trees are equal within a tolerance."""
    alike = jax.tree.map(lambda x, y: jnp.allclose(x, y, rtol, atol, equal_nan), a, b)
    return functools.reduce(jnp.logical_and, jax.tree.leaves(alike), True)


def where(condition: Any, tree_x: Any, tree_y: Any) -> Any:
    """Selects from the first tree where the condition holds, else from the second."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), tree_x, tree_y)


def clip(tree: Any, min_value: Any = None, max_value: Any = None) -> Any:
    """Clips all entries to [min_value, max_value]."""
    low, high = (None if b is None else numerics.weak(b) for b in (min_value, max_value))
    return jax.tree.map(lambda x: jnp.clip(x, low, high), tree)


def conj(tree: Any) -> Any:
    """Takes complex conjugates."""
    return jax.tree.map(jnp.conj, tree)


def real(tree: Any) -> Any:
    """Takes real parts."""
    return jax.tree.map(jnp.real, tree)


def zeros_like(tree: Any, dtype: Any = None) -> Any:
    """Makes a tree of zeros of the same shapes."""
    return jax.tree.map(lambda x: jnp.zeros_like(x, dtype=dtype), tree)


def ones_like(tree: Any, dtype: Any = None) -> Any:
    """Makes a tree of ones of the same shapes."""
    return jax.tree.map(lambda x: jnp.ones_like(x, dtype=dtype), tree)


def full_like(tree: Any, fill_value: Any, dtype: Any = None) -> Any:
    """Makes a tree of one value in the same shapes."""
    return jax.tree.map(lambda x: jnp.full_like(x, fill_value, dtype=dtype), tree)


def batch_shape(tree: Any, shape: tuple[int, ...] = ()) -> Any:
    """Broadcasts all leaves along new leading axes."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *jnp.shape(x))), tree)


def cast(tree: Any, dtype: Any) -> Any:
    """Casts all leaves to a dtype; None leaves them as they are."""
    return tree if dtype is None else jax.tree.map(lambda x: jnp.asarray(x).astype(dtype), tree)


def cast_like(tree: Any, other_tree: Any) -> Any:
    """Casts all leaves to the dtypes of another tree."""
    return jax.tree.map(lambda x, y: jnp.asarray(x).astype(_dtype(y)), tree, other_tree)


def _dtype(x: Any) -> Any:
    """The dtype of a number, an array or an abstract value."""
    return x.dtype if hasattr(x, "dtype") else jnp.asarray(x).dtype


def dtype(tree: Any, mixed_dtype_handler: str | None = None) -> np.dtype:
    """Returns the dtype of the leaves, float32 if there are none.

    Args:
        tree: Arrays of any shapes.
        mixed_dtype_handler: What to do where dtypes differ: None raises, "promote" returns the
            one they promote to, "highest" and "lowest" the first and last in the order of
            promotion.

    Raises:
        ValueError: The dtypes differ or have no order, or the handler is unknown.
    """
    handlers = (None, "promote", "highest", "lowest")
    if mixed_dtype_handler not in handlers:
        errors.fail("dtype", f"mixed_dtype_handler must be one of {handlers}", mixed_dtype_handler)
    dtypes = list(dict.fromkeys(map(_dtype, jax.tree.leaves(tree))))
    if not dtypes:
        return jnp.asarray(0.0).dtype
    if len(dtypes) > 1 and mixed_dtype_handler is None:
        must = "all leaves must have one dtype"
        errors.fail("dtype", must, ", ".join(d.name for d in dtypes))
    with jax.numpy_dtype_promotion("standard"):
        top = functools.reduce(jnp.promote_types, dtypes)
        below = [d for d in dtypes if all(jnp.promote_types(d, e) == e for e in dtypes)]
    if mixed_dtype_handler in ("highest", "lowest") and (top not in dtypes or not below):
        must = "the dtypes must promote to one another"
        errors.fail("dtype", must, ", ".join(d.name for d in dtypes))
    return below[0] if mixed_dtype_handler == "lowest" else top


def split_key_like(rng_key: jax.Array, target_tree: Any) -> Any:
    """Splits a random key into one for each leaf."""
    treedef = jax.tree.structure(target_tree)
    return treedef.unflatten(list(jax.random.split(rng_key, treedef.num_leaves)))


def random_like(
    rng_key: jax.Array,
    target_tree: Any,
    sampler: Callable[..., Any] = jax.random.normal,
    dtype: Any = None,
) -> Any:
    """Makes a tree of random numbers of the same shapes.

    Args:
        rng_key: A random key.
        target_tree: Arrays of any shapes.
        sampler: A function `(key, shape, dtype)`.
        dtype: The dtype of all; those of the leaves by default.
    """

    def one(key, x):
        return sampler(key, jnp.shape(x), _dtype(x) if dtype is None else dtype)

    return jax.tree.map(one, split_key_like(rng_key, target_tree), target_tree)


def unwrap_random_key_data(input_tree: Any) -> Any:
    """Replaces random keys by their data, to compare them."""

    def one(x):
        is_key = hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    return jax.tree.map(one, input_tree)

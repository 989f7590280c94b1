"""Functions on trees of arrays: applying rules for one array, norms, names of leaves.

Leaves that are not differentiable (None, float0, integers, keys) are skipped by all of them.
"""

from __future__ import annotations

import collections
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.rule import collectives, errors, numerics
from gdjax.core.rule.leaf import differentiable, sharing

_map = map


# For `is_leaf`, so that None counts as a leaf.
is_none = functools.partial(operator.is_, None)


def paths(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[str]:
    """The paths of the leaves: `dense/kernel`, `layers/0/bias`; the empty string for an array."""
    keys = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)[0]
    return joined([words(key) for key, _ in keys])


def numbers(tree: Any) -> Any:
    """A tree whose leaves that are no numbers are None: functions and flags of a module."""
    is_number = lambda x: hasattr(x, "dtype") or type(x) in (int, float, complex)
    if all(_map(is_number, jax.tree.leaves(tree))):
        return tree
    return jax.tree.map(lambda x: x if is_number(x) else None, tree)


def words(path: Any) -> tuple[str, ...]:
    """The keys of a JAX key path, as strings."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)


def joined(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Joins paths with slashes, without duplicates.

    Where two paths would be equal, a slash inside a key is written `~1` and a tilde `~0`, as in a
    JSON pointer (RFC 6901).

    >>> joined([("a/b", "c"), ("a", "b/c"), ("d/e",)])
    ['a~1b/c', 'a/b~1c', 'd/e']
    """
    names = ["/".join(path) for path in paths]
    if len(set(names)) == len(names):
        return names
    often = collections.Counter(names)
    escape = lambda key: key.replace("~", "~0").replace("/", "~1")
    apart = ["/".join(escape(key) for key in path) for path in paths]
    return [own if often[name] > 1 else name for name, own in zip(names, apart)]


def _align(
    treedef: Any,
    tree: Any,
    reference: Any,
    where: str,
    called: tuple[str, str] = ("updates", "state"),
    deeper: bool = False,
) -> list[Any]:
    """Flattens `tree` like `reference`; raises with the first path where they differ.

    With `deeper`, `tree` may have a subtree in place of a leaf of `reference`. `called` are the
    names of the two trees in messages, the reference first.
    """
    if tree is None:
        return [None] * treedef.num_leaves
    leaves, other = jax.tree.flatten(tree, is_leaf=is_none)
    if other == treedef:
        return leaves
    if deeper:
        try:
            return treedef.flatten_up_to(tree)
        except ValueError:
            pass
    must = f"{called[0]} and {called[1]} must have the same structure"
    errors.fail(where, must, difference(reference, tree, called))


def difference(some: Any, others: Any, called: tuple[str, str]) -> str:
    """Where two trees of different structure differ: the first path that only one of them has.

    >>> difference({"w": 1, "b": 2}, {"w": 1}, ("gradients", "params"))
    "'b' in the gradients but not in the params"
    """
    mine, theirs = paths(some, is_none), paths(others, is_none)
    alone = [(p, *called) for p in mine if p not in theirs]
    alone += [(p, *reversed(called)) for p in theirs if p not in mine]
    if alone:
        path, here, there = alone[0]
        return f"{repr(path) if path else 'a bare array'} in the {here} but not in the {there}"
    return (
        f"different types of containers around {mine[0]!r}"
        if mine
        else "different types of containers"
    )


def check_like(
    updates: Any, params: Any, where: str, called: tuple[str, str] = ("gradients", "params")
) -> None:
    """Checks that updates and parameters have the same structure and shapes, while tracing.

    None in the updates may stand for a subtree of the parameters.

    Raises:
        ValueError: They differ; the message names the first path where they do.
    """
    gs, treedef = jax.tree.flatten(updates, is_leaf=is_none)
    for i, (g, p) in enumerate(zip(gs, _align(treedef, params, updates, where, called, True))):
        if g is not None and p is not None and not jax.tree_util.all_leaves([p]):
            _align(treedef, params, updates, where, called)  # raises with the path
        if differentiable(g) and differentiable(p) and np.shape(g) != np.shape(p):
            path = paths(updates, is_none)[i]
            at = f", at {path!r}" if path else ","
            must = f"{called[0]} must have the shapes of {called[1]}{at} {np.shape(p)}"
            errors.fail(where, must, str(np.shape(g)))


def evolve(leaf: Callable[..., Any], trees: tuple[Any, ...], *read: Any) -> tuple[Any, ...]:
    """Applies a rule for one array to every leaf of trees.

    `leaf` takes one array of each of `trees` and of `read`, all cast to the widest dtype of them
    and at least float32, and returns one array for each of `trees`. The first of `trees` are the
    updates, returned in the dtype that `leaf` returns; the others are state, returned in their own
    dtypes. Trees in `read` are only read; for a tree that is None, every call gets None.

    A state may have something other than one array for a leaf: None where the rule keeps nothing
    for it, or a tuple of arrays (an accumulator for each axis); `leaf` takes and returns the same.
    Leaves that are not differentiable, and leaves without state, are returned unchanged.

    Raises:
        ValueError: The trees differ in structure, or `leaf` changed the shape of a state.
    """
    updates, *states = trees
    gs, treedef = jax.tree.flatten(updates, is_leaf=is_none)
    columns = [gs]
    for tree in (*states, *read):
        columns.append(_align(treedef, tree, updates, errors.RULE, deeper=True))
    kept, apply = len(trees), sharing(leaf, len(trees))
    rows = list(zip(*columns))
    for i, row in enumerate(rows):
        if _takes_part(row[:kept]):
            rows[i] = apply(row, lambda i=i: paths(updates, is_none)[i])
        elif differentiable(row[0]):
            rows[i] = (None, *row[1:])
    columns = list(zip(*rows)) or [()] * kept
    return tuple(_map(treedef.unflatten, columns[:kept]))


def _takes_part(row: tuple[Any, ...]) -> bool:
    """Whether the rule applies to a leaf: its update and its state are differentiable."""
    leaves = jax.tree.leaves(row)
    for x in leaves:
        if getattr(x, "dtype", None) != np.float32 and not differentiable(x):
            return False
    return row[0] is not None and len(leaves) >= min(2, len(row))


def map(leaf: Callable[..., Any], updates: Any, *read: Any) -> Any:
    """`evolve` for a rule without state: one tree in, one tree out."""
    return evolve(leaf, (updates,), *read)[0]


def as_narrow(updates: Any, gradients: Any) -> Any:
    """Updates in the dtypes of the gradients, where both are floats or both are complex."""

    def one(u: Any, g: Any) -> Any:
        ours, theirs = getattr(u, "dtype", None), getattr(g, "dtype", None)
        if ours == theirs or not (differentiable(u) and differentiable(g)) or theirs is None:
            return u
        return u.astype(theirs) if jnp.iscomplexobj(u) == jnp.iscomplexobj(g) else u

    if jax.tree.structure(updates) != jax.tree.structure(gradients):
        return updates
    return jax.tree.map(one, updates, gradients)


def moment_like(params: Any, dtype: Any = None) -> Any:
    """Zeros like the parameters, float32 or wider unless `dtype` is given; None if skipped.

    Raises:
        TypeError: `dtype` is not a floating-point dtype.
    """
    if dtype is not None and not jnp.issubdtype(dtype, jnp.inexact):
        must = "the dtype of a moment must be a floating-point dtype"
        errors.fail("init", must, dtype, kind=TypeError)

    def zeros(p: Any) -> Any:
        if not differentiable(p):
            return None
        p = p if hasattr(p, "dtype") else jnp.asarray(p)
        to = numerics.wide_dtype(p.dtype) if dtype is None else jnp.dtype(dtype)
        if jnp.issubdtype(p.dtype, jnp.complexfloating):
            to = np.promote_types(numerics.wide_dtype(to), np.complex64)
        return filled_like(p, 0, to)

    return jax.tree.map(zeros, params)


def square_like(params: Any, fill: Any = 0.0) -> Any:
    """Arrays of `fill`, shaped like the parameters, real, float32 or wider: for means of |g|²."""

    def full(p: Any) -> Any:
        if not differentiable(p):
            return None
        p = p if hasattr(p, "dtype") else jnp.asarray(p)
        return filled_like(p, fill, numerics.wide_dtype(jnp.finfo(p.dtype).dtype))

    return jax.tree.map(full, params)


def filled_like(p: Any, fill: Any, dtype: Any = None) -> jax.Array:
    """An array of one number, with the shape and the sharding of p, under `jit` on Auto axes too.

    There the compiler shards a result like its operands, and puts a constant on one device. It
    knows the result of the select here, and does not read p.
    """
    dtype = p.dtype if dtype is None else jnp.dtype(dtype)
    if not isinstance(p, jax.core.Tracer):
        return jnp.full_like(p, fill, dtype=dtype)
    real = not jnp.issubdtype(dtype, jnp.complexfloating)
    p = jnp.real(p) if real and jnp.iscomplexobj(p) else p
    return jnp.where(False, p.astype(dtype), jnp.asarray(fill, dtype))


def scalar_like(params: Any, fill: float = 0.0) -> jax.Array:
    """A scalar for a state, [], in the widest dtype of the leaves, at least float32."""
    kinds = [_real(jnp.result_type(p)) for p in jax.tree.leaves(params) if differentiable(p)]
    return jnp.full([], fill, np.result_type(np.float32, *kinds))


def _real(dtype: Any) -> np.dtype:
    return numerics.wide_dtype(jnp.finfo(dtype).dtype)


def norm(tree: Any, *, axis_name: Any = None) -> jax.Array:
    """Euclidean norm over all leaves, [] float32 or wider, without overflow in between.

    Every leaf is read once: the result is the norm of the norms of the leaves.

    Args:
        tree: Arrays of any shapes and dtypes.
        axis_name: Axes of `shard_map` or `pmap` over which the leaves are split.
    """
    lengths, dtypes = [], {np.dtype(np.float32)}
    for x in jax.tree.leaves(tree):
        if differentiable(x) and np.size(x):
            lengths.append(numerics.norm(x))
            dtypes.add(lengths[-1].dtype)
    if axis_name is not None:
        groups: dict[Any, list[jax.Array]] = {}
        for x in lengths:
            groups.setdefault(collectives.varying_axes(x, axis_name), []).append(x)
        lengths = [_over(norm(group), names) for names, group in groups.items()]
    dtype = np.result_type(*dtypes)
    for i, x in enumerate(lengths):
        lengths[i] = x.astype(dtype)
    return numerics.norm(jnp.stack(lengths or [jnp.zeros([], dtype)]))


def _over(length: jax.Array, names: tuple[str, ...]) -> jax.Array:
    """The norm over devices of the norms of their shards."""
    if not names:
        return length
    top = jax.lax.stop_gradient(jax.lax.pmax(length, names))
    top = jnp.where((top > 0) & jnp.isfinite(top), top, 1)
    return top * numerics.safe_sqrt(jax.lax.psum(numerics.abs_sq(length / top), names))


def vdot(a: Any, b: Any) -> jax.Array:
    """Inner product: sum of Re(conj(a)·b) over the leaves of both trees, [] float32 or wider."""

    def product(x: Any, y: Any) -> Any:
        return jnp.zeros([]) if y is None else jnp.sum(jnp.real(jnp.conj(x) * y))

    return total(map(product, a, b))


def absolute_sum(tree: Any) -> jax.Array:
    """Sum of |x| over all leaves, [] float32 or wider."""
    return total(map(lambda x: jnp.sum(jnp.abs(x)), tree))


def total(scalars: Any) -> jax.Array:
    """Sum of a tree of scalars, [] float32 or wider."""
    found = [numerics.wide(x) for x in jax.tree.leaves(scalars) if differentiable(x)]
    dtype = np.result_type(np.float32, *(x.dtype for x in found))
    return sum((x.astype(dtype) for x in found), jnp.zeros([], dtype))


def copy(params: Any) -> Any:
    """A copy of the parameters in new buffers; None for leaves that are skipped."""
    return jax.tree.map(lambda p: jnp.array(p) if differentiable(p) else None, params)


def add(params: Any, updates: Any) -> Any:
    """Params + updates, added in float32 or wider and rounded once to the dtype of params."""
    ps, treedef = jax.tree.flatten(params, is_leaf=is_none)
    us = _align(treedef, updates, params, "apply_updates", ("params", "updates"))
    for i, (p, u) in enumerate(zip(ps, us)):
        if not differentiable(p) or not differentiable(u):
            continue
        if not isinstance(p, jax.core.Tracer) and not isinstance(u, jax.core.Tracer):
            ps[i] = _add_compiled(p, u)  # under jit, an addition instead of a call
        elif getattr(p, "dtype", None) == np.float32 == getattr(u, "dtype", None):
            ps[i] = jax.lax.add(p, u)
        else:
            ps[i] = _add(p, u)
    return treedef.unflatten(ps)


def _add(p: jax.Array, u: jax.Array) -> jax.Array:
    total = numerics.wide(p)
    return numerics.like(total + numerics.like(u, total), p)


_add_compiled = jax.jit(_add)

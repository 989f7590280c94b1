"""Reset of the optimizer state of some parameters, or of some rows of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.engine.checks import check_transformation
from gdjax.core.lowbit.quantized import is_quantized
from gdjax.core.mesh import memory
from gdjax.core.rule import errors
from gdjax.core.rule.boxes import unboxed
from gdjax.core.rule.tree import difference, joined, words
from gdjax.params.rules import select
from gdjax.state.names import named_leaves, parameter_of

__all__ = ["reset"]


def reset(tx: Any, state: Any, params: Any, where: Any = True) -> Any:
    """Resets the state of some parameters: moments, accumulators and averages, but not counts.

    Rows (entries along the first axes) are for grown layers, new tokens and dead neurons. Works
    under `jit`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"embed": jnp.ones((3, 2)), "w": jnp.ones(2)}
    >>> tx = gd.trace(0.9)
    >>> _, state = tx.update(params, tx.init(params))
    >>> gd.state.reset(tx, state, params, "embed").trace["embed"].sum()
    Array(0., dtype=float32)
    >>> rows = {"embed": jnp.array([False, True, False])}
    >>> gd.state.reset(tx, state, params, rows).trace["embed"].sum()
    Array(4., dtype=float32)

    Args:
        tx: The transformation that made the state.
        state: Its state, which is not changed.
        params: The parameters, as they are now.
        where: The parameters: a rule of `gdjax.params`, or True for all; or a dict from paths of
            parameters to arrays of bools with the shape of the first axes of the parameter.

    Returns:
        The new state. If rows are given, arrays without the first axes of their parameter (such as
        a factor of another axis) stay unchanged.

    Raises:
        KeyError: A path of `where` is not the path of a parameter.
        ValueError: An array of `where` does not have the first axes of its parameter.
    """
    check_transformation("reset", "tx", tx, "Write reset(tx, state, params).")
    plain = jax.tree_util.tree_leaves_with_path(unboxed(params))
    by_path = {words(path): p for path, p in plain}
    flags = _flags(params, by_path, where)
    treedef = jax.tree.structure(state, is_leaf=is_quantized)
    after = []
    begun = tx.init(params)
    fresh = jax.tree.leaves(begun, is_leaf=is_quantized)
    if len(fresh) != treedef.num_leaves:
        got = difference(state, begun, ("state", "state of init(params)"))
        errors.fail("reset", "state must be one of these params", got)
    for (name, old), new in zip(named_leaves(tx, state), fresh):
        after.append(_mixed(old, new, flags.get(parameter_of(name, old, by_path), False)))
    return treedef.unflatten(after)


def _flags(params: Any, by_path: dict[tuple[str, ...], Any], where: Any) -> dict[Any, Any]:
    """For each parameter: whether to reset its state, or which rows of it."""
    is_rows = isinstance(where, dict) and any(jnp.ndim(x) for x in where.values())
    if not is_rows:
        return dict(zip(by_path, jax.tree.leaves(select(params, where, "reset"))))
    names = dict(zip(joined(list(by_path)), by_path))
    flags = {}
    for name, rows in where.items():
        if name not in names:
            hint = errors.nearest(name, names)
            raise KeyError(f"reset: where must name parameters, got {name!r}. {hint}".rstrip())
        shape = jnp.shape(by_path[names[name]])
        if jnp.shape(rows) != shape[: jnp.ndim(rows)]:
            must = f"where[{name!r}] must have the first axes of the parameter, of shape {shape}"
            errors.fail("reset", must, jnp.shape(rows))
        flags[names[name]] = jnp.asarray(rows, bool)
    return flags


def _mixed(old: Any, new: Any, flag: Any) -> Any:
    """The new state where the flag is set, else the old, in the memory kind of the old."""
    if isinstance(flag, bool):
        return new if flag else old
    return memory.lying_as(_rows(memory.near(old), memory.near(new), flag), old)


def _rows(old: Any, new: Any, flag: jax.Array) -> Any:
    if is_quantized(old):
        return old.requantize(_rows(old.value(), new.value(), flag))
    if jnp.shape(old)[: flag.ndim] != flag.shape:
        return old
    return jnp.where(flag.reshape(flag.shape + (1,) * (old.ndim - flag.ndim)), new, old)

"""Rules applied to the arrays of one leaf, traced once for each shape and dtype."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from gdjax.core.rule import errors, numerics

_IS_NONE = functools.partial(operator.is_, None)


def differentiable(x: Any) -> bool:
    """Whether a leaf is a real or complex floating-point number or array."""
    if x is None or isinstance(x, (bool, int)):
        return False
    if isinstance(x, (float, complex)):
        return True
    return hasattr(x, "dtype") and _inexact(x.dtype)


@functools.cache
def _inexact(dtype: Any) -> bool:
    return jax.dtypes.issubdtype(dtype, np.inexact)


def check_kinds(updates: Any, params: Any, where: str) -> None:
    """Checks, while tracing, that gradients are of the kind of their parameters, or none.

    Integers are passed over, and would leave a parameter untrained in silence.

    Raises:
        TypeError: They are not; the message names the first path.
    """
    gs, treedef = jax.tree_util.tree_flatten_with_path(updates, is_leaf=_IS_NONE)
    for (path, g), p in zip(gs, treedef.flatten_up_to(params)):
        if g is None or not differentiable(p) or getattr(g, "dtype", None) == jax.dtypes.float0:
            continue
        if not differentiable(g) or (jnp.iscomplexobj(g) and not jnp.iscomplexobj(p)):
            kinds = [str(getattr(x, "dtype", type(x).__name__)) for x in (p, g)]
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            at = f", at {name!r} {kinds[0]}" if name else f" of {kinds[0]}"
            must = f"gradients must be real or complex numbers as params are{at}"
            hint = "Write None for a parameter without a gradient."
            errors.fail(where, must, kinds[1], instead=hint, kind=TypeError)


def of_one_precision(row: tuple[Any, ...]) -> Any:
    """Casts the arrays of one leaf to the widest dtype, at least float32; complex stays complex."""
    leaves, treedef = jax.tree.flatten(row)
    dtypes = set()
    for i, x in enumerate(leaves):
        if not hasattr(x, "dtype") and differentiable(x):
            x = leaves[i] = jnp.asarray(x)
        dtypes.add(getattr(x, "dtype", None))
    if dtypes == _FLOAT32:
        return row
    real, both = _widest(frozenset(dtypes))
    for i, x in enumerate(leaves):
        if getattr(x, "dtype", real) not in (real, both) and differentiable(x):
            leaves[i] = x.astype(both if x.dtype.kind == "c" else real)
    return treedef.unflatten(leaves)


_FLOAT32 = {np.dtype(np.float32)}


@functools.cache
def _widest(dtypes: frozenset[np.dtype | None]) -> tuple[np.dtype, np.dtype]:
    """The widest real dtype of some dtypes, and the complex dtype of that precision."""
    kinds = [jnp.finfo(numerics.wide_dtype(d)).dtype for d in dtypes if d and _inexact(d)]
    real = np.result_type(np.float32, *kinds)
    return real, np.result_type(real, np.complex64)


def sharing(leaf: Callable[..., Any], kept: int) -> Callable[..., tuple[Any, ...]]:
    """A rule for rows of arrays, traced once for all leaves of the same shapes and dtypes.

    Tracing is most of the cost of a large tree before compilation. One function is traced, and
    called for each leaf; XLA sees the calls inlined.

    Args:
        leaf: The rule: takes the arrays of a row in one precision.
        kept: Number of arrays that it returns: the update, then the state in its own dtype.

    Returns:
        A function of a row and of a function that returns the path of the leaf, for messages.
    """
    programs: dict[Any, Callable[..., Any]] = {}

    def apply(row: tuple[Any, ...], path: Callable[[], str]) -> tuple[Any, ...]:
        arrays, treedef = jax.tree.flatten(row)
        traced = False
        for x in arrays:
            traced = traced or isinstance(x, jax.core.Tracer)
        key = (treedef, *map(jax.typeof, arrays)) if traced else treedef
        if key not in programs:

            def program(*arrays: Any) -> list[Any]:
                before = treedef.unflatten(arrays)
                out = leaf(*of_one_precision(before))
                out = out if isinstance(out, tuple) and kept > 1 else (out,)
                (was, old), (now, new) = map(jax.tree.flatten, (before[1:kept], out[1:]))
                alike = old == new and list(map(np.shape, was)) == list(map(np.shape, now))
                if out[0] is None or not alike:
                    _wrong(out, before[:kept], path())
                return [out[0], *map(numerics.like, now, was)]

            programs[key] = jax.jit(program)
            if traced:  # calling the traced program again is cheaper than jit's cache
                programs[key] = jaxpr_as_fun(jax.make_jaxpr(programs[key])(*arrays))
        update, *state = programs[key](*arrays)
        return update, *jax.tree.structure(row[1:kept]).unflatten(state)

    return apply


def _wrong(out: tuple[Any, ...], before: tuple[Any, ...], path: str) -> NoReturn:
    """Raises because a rule returned the wrong number of arrays, or arrays of wrong shapes."""
    if len(out) != len(before) or out[0] is None:
        must = f"leaf must return {len(before)} arrays, one for each tree, at {path!r}"
        errors.fail(errors.RULE, must, "None" if len(out) == len(before) else len(out))
    old, new = (str(jax.tree.map(np.shape, x[1:])) for x in (before, out))
    must = f"state must keep its shape, at {path!r} {old} for updates {np.shape(before[0])}"
    errors.fail(errors.RULE, must, new)

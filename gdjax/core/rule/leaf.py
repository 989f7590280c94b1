"""Rules of one leaf, one after another, become one function of that leaf.

A rule is not applied when `tree.evolve` meets it: the leaf's new values are `Deferred`, and the
next stage of a chain adds its rule to them. `force` then traces all rules of a leaf as one
function, once for all leaves of one shape. Only what says so (`Pair.fuses`) ever sees deferred
updates, and nothing deferred leaves a transformation.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np

from gdjax.core.rule import errors, numerics

__all__ = ["Call", "Deferred", "defer", "differentiable", "force"]


class Deferred:
    """One array that is not computed yet: an output of a call, or an array that waits for one."""

    __slots__ = ("call", "index")

    def __init__(self, call: Call | None, index: Any) -> None:
        """Names output `index` of `call`; without a call, `index` is the array itself."""
        self.call, self.index = call, index


@dataclasses.dataclass(eq=False)
class Call:
    """A rule applied to the arrays of one leaf.

    Attributes:
        leaf: The rule.
        kept: How many of the row it returns: the update, then the state.
        row: The update, the state and what is only read; arrays, deferred ones, None, tuples.
        path: Tells the name of the leaf, for messages.
        outputs: The arrays that came out, once they are computed.
    """

    leaf: Callable[..., Any]
    kept: int
    row: tuple[Any, ...]
    path: Callable[[], str]
    outputs: Any = None

    def apply(self, row: tuple[Any, ...]) -> list[jax.Array]:
        """The rule on arrays: of one precision inside, state in its own dtype outside."""
        out = self.leaf(*of_one_precision(row))
        out = out if isinstance(out, tuple) and self.kept > 1 else (out,)
        if len(out) != self.kept:
            must = f"leaf must return {self.kept} arrays, as many as trees go in"
            errors.fail("evolve", must, len(out))
        before, after = (jax.tree.map(np.shape, tuple(x[1 : self.kept])) for x in (row, out))
        if before != after:
            shape = np.shape(row[0])
            must = f"state must keep its shape, at {self.path()!r} {before} for updates {shape}"
            errors.fail("evolve", must, str(after))
        return [out[0], *map(numerics.like, *map(jax.tree.leaves, (out[1:], row[1 : self.kept])))]

    @property
    def count(self) -> int:
        """How many arrays come out."""
        return 1 + len(jax.tree.leaves(self.row[1 : self.kept]))

    def deferred(self) -> tuple[Any, ...]:
        """What will come out, in the structure of what goes in."""
        leaves, treedef = jax.tree.flatten(self.row[1 : self.kept])
        state = treedef.unflatten([Deferred(self, 1 + k) for k in range(len(leaves))])
        return (Deferred(self, 0), *state)


def differentiable(x: Any) -> bool:
    """Tells whether a leaf takes part: a real or complex floating-point number or array."""
    if x is None or isinstance(x, (bool, int)):
        return False
    if isinstance(x, (float, complex, Deferred)):
        return True
    return hasattr(x, "dtype") and _inexact(x.dtype)


@functools.cache
def _inexact(dtype: Any) -> bool:
    return jax.dtypes.issubdtype(dtype, np.inexact)


def of_one_precision(row: tuple[Any, ...]) -> Any:
    """Casts the arrays of one leaf to the widest of them, float32 at least; complex stays so."""
    leaves, treedef = jax.tree.flatten(row)
    floats = [x if hasattr(x, "dtype") else jnp.asarray(x) for x in leaves if differentiable(x)]
    widest = _widest(frozenset(x.dtype for x in floats))
    cast = iter([x if x.dtype in widest else x.astype(widest[x.dtype.kind == "c"]) for x in floats])
    return treedef.unflatten([next(cast) if differentiable(x) else x for x in leaves])


@functools.cache
def _widest(dtypes: frozenset[np.dtype]) -> tuple[np.dtype, np.dtype]:
    """The real and the complex dtype in which arrays of these meet."""
    kinds = (jnp.finfo(numerics.wide_dtype(dtype)).dtype for dtype in dtypes)
    real = np.result_type(np.float32, *kinds)
    return real, np.result_type(real, np.complex64)


def defer(tree: Any) -> Any:
    """Makes a tree of updates one to which rules are added instead of being applied."""
    return jax.tree.map(
        lambda x: Deferred(None, x) if differentiable(x) and not isinstance(x, Deferred) else x,
        tree,
    )


def force(tree: Any, whole: bool = False) -> Any:
    """Computes what is deferred in a tree.

    Args:
        tree: Any tree.
        whole: Whether to keep everything that the calls on the way give, for later.
    """
    leaves, treedef = jax.tree.flatten(tree)
    groups: dict[int, list[Deferred]] = {}  # what comes of the same array is one function
    for x in leaves:
        if isinstance(x, Deferred) and x.call is not None and x.call.outputs is None:
            groups.setdefault(id(_source(x.call)), []).append(x)
    programs: dict[Any, Any] = {}
    found: dict[Deferred, Any] = {}
    for wanted in groups.values():
        calls = list(_ancestors(wanted, set()))
        if whole:
            wanted = [Deferred(call, k) for call in calls for k in range(call.count)]
        values = _compute(calls, wanted, programs)
        found.update(zip(wanted, values))
        if whole:
            left = iter(values)
            for call in calls:
                call.outputs = [next(left) for _ in range(call.count)]
    return treedef.unflatten([_value(x, found) for x in leaves])


def _value(x: Any, found: dict[Deferred, Any]) -> Any:
    if not isinstance(x, Deferred):
        return x
    if x in found:
        return found[x]
    return x.index if x.call is None else x.call.outputs[x.index]


def _source(call: Call) -> Call:
    first = call.row[0]
    ready = not isinstance(first, Deferred) or first.call is None or first.call.outputs is not None
    return call if ready else _source(first.call)


def _ancestors(wanted: list[Deferred], seen: set[int]) -> Iterator[Call]:
    """The calls that have to be made, in their order."""
    for x in wanted:
        call = x.call
        if call is not None and call.outputs is None and id(call) not in seen:
            seen.add(id(call))
            inside = [x for x in jax.tree.leaves(call.row) if isinstance(x, Deferred)]
            yield from _ancestors(inside, seen)
            yield call


_OUTPUTS = 1 << 16  # more than a call has; where an array comes from is one integer


def _compute(calls: list[Call], wanted: list[Deferred], programs: dict[Any, Any]) -> Any:
    """Makes the calls of one leaf in one function, which leaves with the same rules share."""
    number = {id(call): k for k, call in enumerate(calls)}
    arguments: list[Any] = []

    def place(x: Any) -> int:
        """Output i of call k is k·2¹⁶ + i, argument i is −1 − i."""
        if isinstance(x, Deferred) and id(x.call) in number:
            return number[id(x.call)] * _OUTPUTS + x.index
        arguments.append(_value(x, {}))
        return -len(arguments)

    flat = [jax.tree.flatten(call.row) for call in calls]
    places = [tuple(map(place, row)) for row, _ in flat]
    ends = tuple(map(place, wanted))
    traced = any(isinstance(x, jax.core.Tracer) for x in arguments)
    kinds = tuple(map(jax.typeof, arguments)) if traced else ()
    key = (kinds, ends, *places, *(call.leaf for call in calls), *(treedef for _, treedef in flat))

    if key not in programs:

        def program(*arguments: Any) -> list[Any]:
            results: list[Any] = []

            def get(at: int) -> Any:
                return results[at // _OUTPUTS][at % _OUTPUTS] if at >= 0 else arguments[-1 - at]

            for call, row, (_, treedef) in zip(calls, places, flat):
                results.append(call.apply(treedef.unflatten(map(get, row))))
            return list(map(get, ends))

        programs[key] = _for_all(jax.jit(program), arguments) if traced else jax.jit(program)
    return programs[key](*arguments)


def _for_all(program: Any, arguments: list[Any]) -> Callable[..., Any]:
    """What jit makes of a function, to be put into a trace again and again.

    That is less to do for each leaf than to ask jit again.
    """
    return jax.extend.core.jaxpr_as_fun(jax.make_jaxpr(program)(*arguments))

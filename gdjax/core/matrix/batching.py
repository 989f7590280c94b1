"""Rules for one matrix, applied to many: matrices of equal shape are batched."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.mesh import distribute
from gdjax.core.rule import errors, numerics
from gdjax.core.rule.leaf import of_one_precision


class Axes(NamedTuple):
    """How an array is a stack of matrices [in, out].

    >>> axes = Axes((4, 3, 8, 5), number=(1, 2), rows=(0,), columns=(3,))  # [4, 3·8·5]: qkv, heads
    >>> axes.stack(np.zeros((4, 120))).shape
    (3, 8, 4, 5)
    """

    shape: tuple[int, ...]  # of the array, composite axes split
    number: tuple[int, ...]  # the axes that number matrices
    rows: tuple[int, ...]  # the axes that together are the rows
    columns: tuple[int, ...]  # the axes that together are the columns

    @property
    def order(self) -> tuple[int, ...]:
        """The axes in the order of a stack."""
        return self.number + self.rows + self.columns

    def sizes(self, axes: Sequence[int]) -> tuple[int, ...]:
        """The lengths of some axes."""
        return tuple(self.shape[axis] for axis in axes)

    @property
    def sides(self) -> tuple[int, int]:
        """The numbers of rows and columns of one matrix."""
        return math.prod(self.sizes(self.rows)), math.prod(self.sizes(self.columns))

    @property
    def lead(self) -> tuple[int, ...]:
        """The lengths of the axes that number matrices."""
        return self.sizes(self.number)

    def stack(self, x: Any) -> Any:
        """The array as [..., m, n]."""
        apart = distribute.reshape(x, self.shape).transpose(self.order)
        return distribute.reshape(apart, (*self.lead, *self.sides))

    def unstack(self, stack: Any, like: Any) -> Any:
        """The inverse of `stack`, with the shape and the sharding of the original array."""
        apart = distribute.reshape(stack, self.sizes(self.order)).transpose(np.argsort(self.order))
        return distribute.reshard_like(distribute.reshape(apart, np.shape(like)), like)


class _Row(NamedTuple):
    """The arrays of one parameter, flat."""

    arrays: list[Any]  # each [count, ...]
    treedef: Any
    lead: tuple[int, ...]  # the axes that `count` is of, in the order of the stack
    back: tuple[int, ...]  # the order that they had


def evolve_stacks(
    leaf: Callable[..., Any], rows: Sequence[tuple[Any, ...]], kept: int
) -> list[Any]:
    """Applies a rule for one matrix to rows of stacks; returns the first `kept` of each row.

    On CPU it is a loop: products of two matrices at a time are faster there than batched ones.
    Elsewhere the matrices are one batch. Under `jax.set_mesh` each device computes its share of
    them, see `gdjax.core.mesh.distribute`.

    Args:
        leaf: A function of one matrix [m, n] and its other arrays, all in one precision.
        rows: For each parameter a stack [..., m, n] and its other arrays: trees of arrays with the
            same leading axes, or None. Rows of equal shapes and dtypes are batched.
        kept: Number of trees that the rule returns: the matrix, then its state, in its own dtype.

    Raises:
        ValueError: The rule returns another number of trees, or changes the shape of a state.
    """
    flat = [_flat(row) for row in rows]
    groups: dict[Any, list[int]] = {}
    for i, row in enumerate(flat):
        places = [distribute.spec_of(x) for x in row.arrays]
        kinds = tuple((x.shape[1:], x.dtype, at) for x, at in zip(row.arrays, places))
        # Stacks whose matrices are split over devices stay there, and are not batched with others.
        alone = i if any(at and at[0] for at in places) else None
        groups.setdefault((row.treedef, kinds, alone), []).append(i)
    out: list[Any] = [None] * len(rows)
    for (treedef, *_), members in groups.items():
        columns = [list(column) for column in zip(*(flat[i].arrays for i in members))]
        counts = [len(x) for x in columns[0]]
        stacks = [xs[0] if len(xs) == 1 else jnp.concatenate(xs) for xs in columns]
        after: list[Any] = []  # the structure that the rule returns, known after tracing

        def one(*arrays: Any, treedef=treedef, after=after) -> list[Any]:
            results, structure = jax.tree.flatten(_called(leaf, treedef.unflatten(arrays), kept))
            after[:] = [structure]
            return results

        results = distribute.distribute(_each(one, sum(counts)), stacks, sum(counts))
        start = 0
        for i, count in zip(members, counts):
            parts = results if len(members) == 1 else [x[start : start + count] for x in results]
            out[i] = after[0].unflatten([_shaped(x, flat[i]) for x in parts])
            start += count
    return out


def _flat(row: tuple[Any, ...]) -> _Row:
    arrays, treedef = jax.tree.flatten(row)
    n = arrays[0].ndim - 2
    where = distribute.spec_of(arrays[0]) or ((),) * n
    order = sorted(range(n), key=lambda axis: not where[axis])  # split axes first: they stay split
    lead = tuple(arrays[0].shape[axis] for axis in order)

    def stack(x: Any) -> Any:
        x = x.transpose(*order, *range(n, x.ndim))
        return distribute.reshape(x, (math.prod(lead), *x.shape[n:]))

    return _Row([stack(x) for x in arrays], treedef, lead, tuple(np.argsort(order).tolist()))


def _shaped(x: Any, row: _Row) -> Any:
    """A stack [count, ...] with the axes that number its matrices as they were."""
    x = distribute.reshape(x, (*row.lead, *x.shape[1:]))
    return x.transpose(*row.back, *range(len(row.back), x.ndim))


def _called(leaf: Callable[..., Any], row: tuple[Any, ...], kept: int) -> tuple[Any, ...]:
    """The rule for one matrix: in one precision inside, with state in its own dtype outside."""
    out = leaf(*of_one_precision(row))
    out = out if isinstance(out, tuple) and kept > 1 else (out,)
    if len(out) != kept:
        must = f"leaf must return {kept} arrays, one for each tree"
        errors.fail("evolve_stacks", must, len(out))
    before, after = (jax.tree.map(np.shape, tuple(x[1:kept])) for x in (row, out))
    if before != after:
        must = f"leaf must keep the shapes of its state, {before}"
        errors.fail("evolve_stacks", must, str(after))
    return out[0], *jax.tree.map(numerics.like, tuple(out[1:]), tuple(row[1:kept]))


def _each(one: Callable[..., Any], count: int) -> Callable[..., Any]:
    """The rule for one matrix as a rule for stacks [count, ...]."""

    def single(*stacks: Any) -> Any:
        return [x[None] for x in one(*(x[0] for x in stacks))]

    def every(*stacks: Any) -> Any:
        if len(stacks[0]) == 1:
            return single(*stacks)
        traced = jax.jit(one)  # once for both
        loop = lambda *stacks: jax.lax.map(lambda row: traced(*row), stacks)
        return jax.lax.platform_dependent(*stacks, cpu=loop, default=jax.vmap(traced))

    return every

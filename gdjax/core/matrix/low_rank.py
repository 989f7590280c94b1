"""Low-rank projections of the matrices of a tree, and a transformation of what is projected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.engine.transformation import call_update
from gdjax.core.matrix import polar
from gdjax.core.matrix.batching import Axes
from gdjax.core.matrix.matrices import axes_of
from gdjax.core.mesh import distribute
from gdjax.core.rule import numerics, tree
from gdjax.core.rule.branch import refresh_if


class _Wide(NamedTuple):
    """Conversion of an array to a stack of matrices with the short side first, and back."""

    axes: Axes
    turned: bool

    def stack(self, x: Any) -> Any:
        stack = distribute.replicate(self.axes.stack(jnp.asarray(x)))
        return stack.mT if self.turned else stack

    def unstack(self, stack: Any, like: Any) -> Any:
        return self.axes.unstack(stack.mT if self.turned else stack, like)


class Stacks(NamedTuple):
    """A tree whose matrices are stacks [..., m, n] with m ≤ n; the way back."""

    tree: Any  # like the given one; leaves without matrix axes unchanged
    ways: Any  # a conversion for each leaf, None for those without matrix axes

    @classmethod
    def of(cls, updates: Any, axes: Any, where: str) -> Stacks:
        """The stacks of a tree.

        Args:
            updates: The tree.
            axes: See `gdjax.matrix_axes`.
            where: The name for messages.
        """
        leaves, found, treedef = axes_of(updates, axes, where)
        found = [a if x is not None and jnp.size(x) else None for x, a in zip(leaves, found)]
        ways = [None if a is None else _Wide(a, a.sides[0] > a.sides[1]) for a in found]
        stacks = [x if w is None else w.stack(x) for x, w in zip(leaves, ways)]
        return cls(treedef.unflatten(stacks), treedef.unflatten(ways))

    def zeros(self, shape: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Any:
        """Zeros in a shape made from that of a stack, float32 or wider; None for other leaves."""
        one = lambda x: jnp.zeros(shape(x.shape), numerics.wide_dtype(x.dtype))
        pick = lambda way, x: None if way is None else one(x)
        return jax.tree.map(pick, self.ways, self.tree, is_leaf=_is_way)

    def norms(self) -> Any:
        """Zeros for the norm of each matrix of the stacks, real; None for other leaves."""
        norms = self.zeros(lambda shape: shape[:-2])
        return jax.tree.map(jnp.real, norms)

    def narrow(self, rank: int) -> Any:
        """Zeros in the shapes of the projected stacks, [..., min(rank, m), n]; other leaves."""
        fit = lambda x: jnp.zeros((*x.shape[:-2], min(rank, x.shape[-2]), x.shape[-1]), x.dtype)
        pick = lambda way, x: x if way is None else fit(x)
        return jax.tree.map(pick, self.ways, self.tree, is_leaf=_is_way)

    def with_others(self, stacks: Any, others: Any) -> Any:
        """A tree of stacks, and the leaves of `others` for those without matrix axes."""
        pick = lambda way, x, y: y if way is None else x
        return jax.tree.map(pick, self.ways, stacks, others, is_leaf=_is_way)

    def undo(self, updates: Any, likes: Any) -> Any:
        """The arrays of a tree of stacks, in the shapes of the leaves of `likes`."""
        one = lambda way, u, x: u if way is None or u is None else way.unstack(u, x)
        return jax.tree.map(one, self.ways, updates, likes, is_leaf=_is_way)


def _is_way(x: Any) -> bool:
    return x is None or isinstance(x, _Wide)


def leading(stacks: Any, before: Any, due: jax.Array) -> Any:
    """The leading left singular vectors of stacks where they are due, else those before.

    Args:
        stacks: A tree of matrices [..., m, n].
        before: The vectors before, [..., m, rank]; None for leaves that are not projected.
        due: [] bool.
    """

    def refresh(g, p):
        return g, refresh_if(due, lambda: polar.leading_vectors(g, p.shape[-1]), p)

    return tree.evolve(refresh, (stacks, before))[1]


def call_whole(inner: Any, updates: Any, state: Any, extra: Any) -> tuple[Any, Any]:
    """Calls a transformation of projected gradients; on a mesh every device has all of them."""
    whole = jax.tree.map(distribute.replicate, state)
    updates, after = call_update(inner, updates, whole, None, extra)
    return updates, jax.tree.map(distribute.reshard_like, after, state)


def growth(n: jax.Array, r: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """‖n‖/‖r‖ over axes, which are kept with length 1; 0 where ‖r‖ is 0."""
    length = lambda x: numerics.norm(x, axes, keepdims=True)
    return numerics.safe_divide(length(n), length(r))


def limit_growth(u: jax.Array, before: jax.Array, most: Any) -> tuple[jax.Array, jax.Array]:
    """Norm-growth limiter: u, shortened to `most` times the norm before, and its norm.

    Where the norm before is 0, as before the first step, u does not change.

    Args:
        u: [..., m, n], matrices.
        before: [...], the norms of the matrices before.
        most: The largest ratio of two norms in a row.
    """
    size = numerics.norm(u, (-2, -1))
    over = (before > 0) & (size > most * before)
    share = jnp.where(over, numerics.safe_divide(most * before, size), 1)
    return u * share[..., None, None], size * share

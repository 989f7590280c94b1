"""Normalization of matrices, and of their rows or columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices
from gdjax.core.rule import errors, numerics, tree

__all__ = ["normalize_matrices", "scale_to_rms"]

BOTH = (-2, -1)


def in_place(
    leaf: Callable[..., Any], trees: tuple[Any, ...], *read: Any, axes: Any, where: str
) -> tuple[Any, ...]:
    """`matrices.evolve` for a rule of stacks [..., m, n] that only needs sums.

    So matrices are not distributed over devices, and matrices of equal shape need not be stacked.
    """
    leaves, found, treedef = matrices._stacks(trees[0], axes, where)
    columns = [_up_to(treedef, x, trees[0], where) for x in trees]
    beside = [treedef.flatten_up_to(x) for x in read]
    for i, a in enumerate(found):
        if a is None:
            continue

        def rule(g: Any, *rest: Any, a: Any = a) -> Any:
            states, others = rest[: len(trees) - 1], rest[len(trees) - 1 :]
            stacks = [None if x is None else a.stack(x) for x in others]
            out = leaf(a.stack(g), *states, *stacks)
            return (a.unstack(out[0], g), *out[1:]) if len(trees) > 1 else a.unstack(out, g)

        row = tree.evolve(rule, tuple(c[i] for c in columns), *(b[i] for b in beside))
        for column, x in zip(columns, row):
            column[i] = x
    return tuple(treedef.unflatten(column) for column in columns)


def _up_to(treedef: Any, state: Any, updates: Any, where: str) -> list[Any]:
    """The leaves of a tree of state in the order of the updates."""
    try:
        return treedef.flatten_up_to(state)
    except ValueError:
        got = tree.difference(updates, state, ("updates", "state"))
    errors.fail(where, "updates and state must have the same structure", got)


def length(x: jax.Array, axis: int | tuple[int, ...] = BOTH) -> jax.Array:
    """Euclidean norms of matrices, rows (axis −1) or columns (axis −2), the axes kept."""
    return numerics.norm(x, axis, keepdims=True)


def unit(x: jax.Array, size: jax.Array) -> jax.Array:
    """X / size, 0 where size is."""
    return numerics.safe_divide(x, size.astype(x.dtype))


def rms(x: jax.Array) -> jax.Array:
    """Root mean squares of matrices, the axes kept."""
    return length(x) * max(x.shape[-2] * x.shape[-1], 1) ** -0.5


def spectral(x: jax.Array) -> jax.Array:
    """Largest singular value of one matrix, [1, 1]."""
    size = length(x)
    x = unit(x, size)
    gram = x @ x.mT.conj() if x.shape[-2] <= x.shape[-1] else x.mT.conj() @ x
    largest = jnp.linalg.eigvalsh(gram)[..., -1:, None]
    return size * numerics.safe_sqrt(jnp.maximum(largest, 0))


SIZES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "frobenius": length,
    "rms": rms,
    "columns": lambda x: length(x, -2),
    "rows": lambda x: length(x, -1),
    "spectral": spectral,
}


@transformation
def normalize_matrices(norm: str = "frobenius", *, matrix_axes: Any = None):
    """Normalizes each matrix of the updates, or each of its rows or columns.

        u = g / ‖g‖

    Where the norm is 0, so is u.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([[3.0, 0.0], [4.0, 2.0]])
    >>> gd.normalize_matrices("columns").update(g, gd.EmptyState())[0].round(6)
    Array([[0.6, 0. ],
           [0.8, 1. ]], dtype=float32)

    Args:
        norm: The norm that becomes 1: "frobenius"; "rms", the root mean square of the entries;
            "spectral", the largest singular value, by a decomposition; "columns", the Euclidean
            norm of the weights of each output of a matrix [in, out]; or "rows", that of each
            input, as in a table of embeddings.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`;
            vectors are matrices of one column.

    Raises:
        ValueError: Unknown norm; an array of more than two axes without `matrix_axes`.
    """
    where = "normalize_matrices"
    if norm not in SIZES:
        errors.fail(where, f"norm must be one of {', '.join(SIZES)}", norm)

    def leaf(g):
        return unit(g, SIZES[norm](g))

    def update(updates, state, params=None, **extra):
        evolve = matrices.evolve if norm == "spectral" else in_place
        return evolve(leaf, (updates,), axes=matrix_axes, where=where)[0], state

    return lambda params: EmptyState(), update


@transformation
def scale_to_rms(rms: NonNegative = 0.2, *, matrix_axes: Any = None):
    """Scales the update of each matrix to a given root mean square of its entries (RMS).

        u = r·g / RMS(g)

    AdamW's updates have an RMS of about √((1 − β₁) / (1 + β₁)) where gradients are mostly noise,
    0.2 for β₁ = 0.9: with that r its learning rates and weight decay apply to any optimizer.
    Vectors, and matrices of one row or column, stay as they are. Optimizers of matrices take r as
    `consistent_rms`; those that orthogonalize have it by `scale_by_shape`, from the shape alone.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([[3.0, 0.0], [4.0, 0.0]])
    >>> gd.scale_to_rms(1.0).update(g, gd.EmptyState())[0]
    Array([[1.2, 0. ],
           [1.6, 0. ]], dtype=float32)

    Args:
        rms: r ≥ 0. Where g is 0, so is u.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: An array of more than two axes without `matrix_axes`.

    Reference: Liu et al., Muon is scalable for LLM training, 2025,
        https://arxiv.org/abs/2502.16982; Khona et al., SOAP, Muon, and beyond: pushing LLM
        pretraining scales, 2026, https://arxiv.org/abs/2607.20548
    """
    where = "scale_to_rms"

    def leaf(g):
        return rms * unit(g, SIZES["rms"](g)) if min(g.shape[-2:]) > 1 else g

    def update(updates, state, params=None, **extra):
        return in_place(leaf, (updates,), axes=matrix_axes, where=where)[0], state

    return lambda params: EmptyState(), update


def with_rms(part: Any, consistent_rms: Any, matrix_axes: Any) -> Any:
    """The transformation, followed by `scale_to_rms` unless `consistent_rms` is None."""
    if consistent_rms is None:
        return part
    return chain(part, scale_to_rms(consistent_rms, matrix_axes=matrix_axes))

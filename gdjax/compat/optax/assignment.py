"""The namespace `optax.assignment`: rows and columns paired at the least cost."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics

__all__ = ["base_hungarian_algorithm", "hungarian_algorithm"]


def hungarian_algorithm(cost_matrix: Any) -> tuple[jax.Array, jax.Array]:
    """Pairs rows with columns, each at most once, so that the sum of costs is least.

        min Σ C[i, j],   over all sets of min(n, m) pairs (i, j) without a common row or column

    Rows are added one by one, each along a shortest path of alternating pairs, whose lengths are
    kept from being negative by a price for each row and column.

    >>> import jax.numpy as jnp
    >>> hungarian_algorithm(jnp.array([[8, 4, 7], [5, 2, 3], [9, 6, 7], [9, 4, 8]]))
    (Array([0, 1, 3], dtype=int32), Array([0, 2, 1], dtype=int32))

    Args:
        cost_matrix: C, [n, m].

    Returns:
        Rows, in order, and the columns they are paired with; [min(n, m)] int32 each.

    Raises:
        ValueError: C is not a matrix.

    Reference: Crouse, On implementing 2D rectangular assignment algorithms, 2016,
        https://doi.org/10.1109/TAES.2016.140952
    """
    cost = jnp.asarray(cost_matrix)
    if cost.ndim != 2:
        errors.fail("hungarian_algorithm", "cost_matrix must be [n, m]", str(cost.shape))
    cost = numerics.wide(cost if jnp.issubdtype(cost.dtype, jnp.floating) else cost.astype(float))
    n, m = cost.shape
    if not n or not m:
        return jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.int32)
    row_of = _rows_of_columns(cost if n <= m else cost.T)  # −1 where a column is alone
    if n > m:  # its columns are our rows
        rows = jnp.sort(jnp.argsort(row_of < 0, stable=True)[:m])
        return rows.astype(jnp.int32), row_of[rows]
    columns = jnp.zeros(n + 1, jnp.int32).at[row_of].set(jnp.arange(m, dtype=jnp.int32))
    return jnp.arange(n, dtype=jnp.int32), columns[:n]


def _rows_of_columns(cost: jax.Array) -> jax.Array:
    """The row that each column is paired with, −1 for none; [m] for costs [n, m], n ≤ m.

    Column m is a place outside from which the new row starts.
    """
    n, m = cost.shape
    largest = jnp.finfo(cost.dtype).max
    infinite = jnp.full(m + 1, jnp.inf, cost.dtype)
    outside = jnp.pad(cost, ((0, 0), (0, 1)), constant_values=jnp.inf)

    def add_row(i, state):
        row_of, row_price, column_price = state
        row_of = row_of.at[m].set(i)

        def grow(search):
            column, seen, length, before, row_price, column_price = search
            seen = seen.at[column].set(True)
            row = row_of[column]
            through = outside[row] - row_price[row] - column_price
            shorter = ~seen & (through < length)
            length = jnp.where(shorter, through, length)
            before = jnp.where(shorter, column, before)
            # Not infinite, or a column that has been seen would be as near as those to come.
            ahead = jnp.where(seen, jnp.inf, jnp.minimum(length, largest)).at[m].set(jnp.inf)
            nearest = jnp.argmin(ahead).astype(jnp.int32)
            step = ahead[nearest]
            paid = jnp.zeros(n + 1, cost.dtype).at[jnp.where(seen, row_of, n)].add(step)
            row_price = row_price + jnp.where(jnp.arange(n + 1) < n, paid, 0)
            column_price = column_price - jnp.where(seen, step, 0)
            length = jnp.where(seen, length, length - step)
            return nearest, seen, length, before, row_price, column_price

        def taken(search):
            return row_of[search[0]] >= 0

        start = jnp.int32(m), jnp.zeros(m + 1, bool), infinite, jnp.full(m + 1, m, jnp.int32)
        found = jax.lax.while_loop(taken, grow, (*start, row_price, column_price))
        column, _, _, before, row_price, column_price = found

        def shift(path):
            column, row_of = path
            return before[column], row_of.at[column].set(row_of[before[column]])

        _, row_of = jax.lax.while_loop(lambda path: path[0] != m, shift, (column, row_of))
        return row_of.at[m].set(-1), row_price, column_price

    zeros = jnp.zeros(n + 1, cost.dtype), jnp.zeros(m + 1, cost.dtype)
    alone = jnp.full(m + 1, -1, jnp.int32)
    return jax.lax.fori_loop(0, n, add_row, (alone, *zeros))[0][:m]


def base_hungarian_algorithm(cost_matrix: Any) -> tuple[jax.Array, jax.Array]:
    """Is `hungarian_algorithm`."""
    return hungarian_algorithm(cost_matrix)

"""Computations that run in some steps only, under `jax.vmap` too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def refresh_if(flag: jax.Array, new: Callable[[], Any], old: Any) -> Any:
    """`new()` where a flag holds, else `old`, as a conditional under `jax.vmap` too.

    `lax.cond` becomes a select if its flag is batched, as in a sweep over seeds or rates, and
    computes both branches in every step. Here `new` is computed in the steps in which the flag
    holds for any element, and used for the elements for which it holds.

    >>> import jax, jax.numpy as jnp
    >>> refreshed = lambda flag, x: refresh_if(flag, lambda: jnp.linalg.inv(x), x)
    >>> x = jnp.stack([2 * jnp.eye(2)] * 3)
    >>> jax.vmap(refreshed)(jnp.array([True, False, True]), x)[:, 0, 0]
    Array([0.5, 2. , 0.5], dtype=float32)
    >>> "cond[" in str(jax.make_jaxpr(jax.vmap(refreshed))(jnp.array([True, False, True]), x))
    True

    Args:
        flag: [] bool.
        new: Returns a tree like `old`.
        old: A tree of arrays.
    """
    return either(flag, new, lambda: old)


def either(flag: jax.Array, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    """`yes()` where a flag holds, else `no()`, as a conditional under `jax.vmap` too.

    If the flag is batched, `yes` is computed in the steps in which it holds for any element.

    Args:
        flag: [] bool.
        yes: Returns a tree of arrays.
        no: Returns a tree like it.
    """

    def act() -> Any:
        own = _own(flag)
        return jax.tree.map(lambda x, y: jnp.where(own, x, y), yes(), no())

    return jax.lax.cond(_any(flag), act, no)


@jax.custom_batching.custom_vmap
def _any(flag: jax.Array) -> jax.Array:
    """Whether a flag holds for any element of a batch: one value for all of them."""
    return flag


@_any.def_vmap
def _any_of_batch(size: int, batched: list[bool], flags: jax.Array) -> tuple[jax.Array, bool]:
    return _any(jnp.any(flags)), False


@jax.custom_batching.custom_vmap
def _own(flag: jax.Array) -> jax.Array:
    """The flag of each element, inside the branch; True without a batch."""
    return flag | True  # not a new array, which would be placed on a mesh


@_own.def_vmap
def _own_in_batch(size: int, batched: list[bool], flags: jax.Array) -> tuple[jax.Array, bool]:
    return flags, True

"""Gradient accumulation over micro-batches inside one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics, tree

__all__ = ["accumulate_gradients"]


def accumulate_gradients(
    loss: Callable[..., Any],
    microbatches: int,
    *,
    weight: Callable[[Any], Any] | None = None,
    key: str | None = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """Gradient accumulation over micro-batches: a `value_and_grad` with one scan over the batch.

        L = Σ wᵢ·Lᵢ / Σ wᵢ             g = Σ wᵢ·∇Lᵢ / Σ wᵢ

    If the loss is a mean over the examples, this is the gradient of the whole batch with the memory
    of one microbatch. Sums and gradients are in float32 or wider.

    Microbatch i has the examples i, i + n, i + 2n, ...: if the batch is sharded over devices, each
    device has its share of every microbatch, and no data moves.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> loss = lambda w, batch: jnp.mean((batch["x"] @ w - batch["y"]) ** 2)
    >>> batch = {"x": jnp.eye(4), "y": jnp.arange(4.0)}
    >>> value, grads = gd.accumulate_gradients(loss, 2)(jnp.ones(4), batch)
    >>> value, grads
    (Array(1.5, dtype=float32), Array([ 0.5,  0. , -0.5, -1. ], dtype=float32))

    Args:
        loss: Called as `loss(params, batch, *others, **named)`; returns a scalar, or a pair
            `(scalar, aux)` with `has_aux`.
        microbatches: n, a divisor of the first axis of every array in `batch`.
        weight: A function of a microbatch that returns wᵢ ≥ 0, []: for instance the number of its
            tokens, if the loss is a mean over tokens. None for equal weights.
        key: The name of a keyword argument that is a random key; each microbatch gets a key of its
            own.
        has_aux: Whether the loss returns a pair; `aux` is stacked, [n, ...].

    Returns:
        A function of the arguments of `loss` that returns `(value, grads)`, or
        `((value, aux), grads)`. It differentiates with respect to `params`; leaves without
        floating-point numbers have None.

    Raises:
        ValueError: `microbatches` is no integer of 1 or more, or does not divide the first axis of
            an array of the batch; the message has its path.
    """
    where, n = "accumulate_gradients", microbatches
    if not isinstance(n, int) or n < 1:
        errors.fail(where, "microbatches must be an integer of 1 or more", n)
    if not callable(loss):
        must = "loss must be a function(params, batch)"
        errors.fail(where, must, loss, kind=TypeError)
    value_and_grad = jax.value_and_grad(loss, has_aux=has_aux, allow_int=True)

    def function(params: Any, batch: Any, *others: Any, **named: Any) -> Any:
        split = _to_microbatches(where, batch, n)
        if key is not None and key not in named:
            must = f"the random key must be given by name, {key}=..."
            errors.fail(where, must, ", ".join(named) or "none", kind=TypeError)
        keys: Any = None if key is None else jax.random.split(named[key], n)

        def one(total: Any, i: Any) -> Any:
            part = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, 1, False), split)
            own = named if key is None else {**named, key: keys[i]}
            out, grads = value_and_grad(params, part, *others, **own)
            value, aux = out if has_aux else (out, None)
            weights, values, sums = total
            w = jnp.asarray(1 if weight is None else weight(part)).astype(weights.dtype)
            # What has no weight is not read: padding alone may well have a loss of 0 / 0.
            add = lambda g, s: s + jnp.where(w == 0, 0, w.astype(g.dtype) * g)
            sums = tree.evolve(lambda g, s: (g, add(g, s)), (grads, sums))[1]
            return (weights + w, add(numerics.like(value, values), values), sums), aux

        zero = tree.scalar_like(params)
        (weights, value, sums), aux = jax.lax.scan(
            one, (zero, zero, tree.moment_like(params)), jnp.arange(n)
        )
        value = numerics.safe_divide(value, weights)
        grads = tree.map(lambda s: numerics.safe_divide(s, weights.astype(s.dtype)), sums)
        return ((value, aux) if has_aux else value), grads

    return function


def _to_microbatches(where: str, batch: Any, n: int) -> Any:
    """Arrays [B, ...] as [B / n, n, ...], without moving data."""
    for path, x in zip(tree.paths(batch), jax.tree.leaves(batch)):
        if jnp.ndim(x) == 0 or jnp.shape(x)[0] % n:
            must = f"the first axis of the batch must divide by {n} microbatches, at {path!r}"
            errors.fail(where, must, f"shape {jnp.shape(x)}")
    return jax.tree.map(lambda x: jnp.reshape(x, (x.shape[0] // n, n, *x.shape[1:])), batch)

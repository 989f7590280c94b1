"""Hessian estimates: Hutchinson's estimator of the diagonal."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import wide
from gdjax.core.rule.roles import Key
from gdjax.transforms.noise import judge_key, key_data, key_of, leaf_keys

__all__ = ["HutchinsonState", "hutchinson_estimator_diag_hessian"]


class HutchinsonState(NamedTuple):
    """State of `hutchinson_estimator_diag_hessian`."""

    key: Key  # of the next estimate


@transformation
def hutchinson_estimator_diag_hessian(key: Any = 0):
    """Hutchinson's estimator of the diagonal of the Hessian of a loss.

        u = v ⊙ ∇²f(θ)·v,    v = ±1 at random

    Unbiased, and exact for diagonal Hessians. The cost is about two gradients. The incoming updates
    are ignored; the estimate replaces them.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.hutchinson_estimator_diag_hessian(), jnp.array([1.0, 2.0])
    >>> f = lambda p: jnp.sum(jnp.array([3.0, -5.0]) * p**2)
    >>> tx.update(params, tx.init(params), params, obj_fn=f)[0]
    Array([  6., -10.], dtype=float32)

    Args:
        key: A seed, or a key of `jax.random`.

    Raises:
        TypeError: `key` is neither a seed nor a key, or `update` was called without `obj_fn`, a
            function of the parameters alone that returns the loss, [].
        ValueError: `update` was called without params.

    Reference: Hutchinson, A stochastic estimator of the trace of the influence matrix, 1989,
        https://doi.org/10.1080/03610918908812806; Liu et al., Sophia: a scalable stochastic
        second-order optimizer for language model pre-training, 2023,
        https://arxiv.org/abs/2305.14342
    """
    judge_key("hutchinson_estimator_diag_hessian", key)

    def update(updates, state, params=None, *, obj_fn, **extra):
        if params is None:
            must = "update needs the parameters"
            hint = "Write update(grads, state, params, obj_fn=loss)."
            errors.fail("hutchinson_estimator_diag_hessian", must, params, instead=hint)
        following, own = jax.random.split(key_of(state.key, key))
        keys = jax.tree.leaves(leaf_keys(own, params))
        leaves, treedef = jax.tree.flatten(params)
        moves = [tree.differentiable(p) for p in leaves]

        def loss(moving):
            rest = iter(moving)
            return obj_fn(
                treedef.unflatten([next(rest) if m else p for m, p in zip(moves, leaves)])
            )

        thetas = [jnp.asarray(p) for m, p in zip(moves, leaves) if m]
        signs = [
            jax.random.rademacher(k, jnp.shape(p), jnp.result_type(p))
            for m, k, p in zip(moves, keys, leaves)
            if m
        ]
        _, products = jax.jvp(jax.grad(loss), (thetas,), (signs,))
        rest = (wide(v) * wide(hv) for v, hv in zip(signs, products))
        return (
            treedef.unflatten([next(rest) if m else None for m in moves]),
            HutchinsonState(jax.random.key_data(following)),
        )

    return lambda params: HutchinsonState(key_data(key)), update

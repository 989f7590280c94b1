"""Gradient clipping: by value, and by global norm."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.rule import EmptyState, Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import like
from gdjax.core.rule.roles import Scalar

__all__ = ["ClipByGlobalNormState", "clip", "clip_by_global_norm", "global_norm"]


def global_norm(updates: Any) -> jax.Array:
    """Global norm: Euclidean norm of all leaves of a tree, √Σ|x|², [] float32 or wider.

    The sum is formed in float32 or wider and does not overflow where the result is finite.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.global_norm({"a": jnp.array([3.0]), "b": jnp.array([4.0])})
    Array(5., dtype=float32)
    """
    return tree.norm(updates)


@transformation
def clip(max_delta: NonNegative):
    """Gradient clipping by value: clips each entry of the updates.

        u = min(max(g, −Δ), Δ)

    The absolute value of complex entries is clipped; their phase stays.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.clip(1.0).update(jnp.array([-3.0, 0.5]), gd.EmptyState())[0]
    Array([-1. ,  0.5], dtype=float32)

    Args:
        max_delta: Δ ≥ 0, in the units of the updates.
    """

    def leaf(g):
        if jnp.iscomplexobj(g):
            length = jnp.abs(g)
            longer = length > max_delta
            factor = jnp.where(longer, max_delta / jnp.where(longer, length, 1), 1)
            return g * factor.astype(g.dtype)
        return jnp.clip(g, -max_delta, max_delta)

    def update(updates, state, params=None, **extra):
        return tree.map(leaf, updates), state

    return lambda params: EmptyState(), update


class ClipByGlobalNormState(NamedTuple):
    """State of `clip_by_global_norm`: norm and factor of the last update, for logging only."""

    norm: Scalar  # length of the updates that came in
    factor: Scalar  # what they were multiplied by, 1 where not clipped

    def metrics(self) -> dict[str, jax.Array]:
        """Norm and factor of the last update."""
        return {"grad_norm": self.norm, "clip_factor": self.factor}


@transformation
def clip_by_global_norm(max_norm: NonNegative, *, axis_name: Any = None):
    """Gradient clipping by global norm: rescales the updates to a norm of at most `max_norm`.

        u = g · min(1, c / ‖g‖)

    A bound of 0 makes the updates zero. The norm is formed in float32 or wider; norm and factor
    are in the state, for logging.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.clip_by_global_norm(1.0)
    >>> u, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    >>> u, state.factor
    (Array([0.6, 0.8], dtype=float32), Array(0.2, dtype=float32))

    Args:
        max_norm: c ≥ 0, in the units of the updates.
        axis_name: Axes of `shard_map` or `pmap` over which the updates are split: ‖g‖ is then the
            norm of all shards together. Not for updates that are replicated.

    Reference: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural
        networks, 2013, https://arxiv.org/abs/1211.5063
    """

    def init(params):
        zero = tree.scalar_like(params)
        return ClipByGlobalNormState(zero, jnp.ones_like(zero))

    def update(updates, state, params=None, **extra):
        length = tree.norm(updates, axis_name=axis_name)
        longer = length > max_norm
        # One scalar, made once: the leaves are read once more and only multiplied.
        factor = jnp.where(longer, max_norm / jnp.where(longer, length, 1), 1)
        clipped = tree.map(lambda g: g * factor.astype(g.dtype), updates)
        return clipped, ClipByGlobalNormState(like(length, state.norm), like(factor, state.factor))

    return Rule(init, update, couples=True)

"""Scaling and clipping by norms: of parameter blocks, of update blocks, of all updates.

A block is one array of the tree, such as the matrix of a layer or a vector of biases.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Hyperparam, NonNegative
from gdjax.core.engine.rule import EmptyState, Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import collectives, errors, numerics, tree
from gdjax.core.rule.numerics import safe_divide

__all__ = [
    "clip_by_block_rms",
    "normalize",
    "normalize_by_update_norm",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
]


def _without_state(params: Any) -> EmptyState:
    return EmptyState()


def length_of(x: jax.Array, axis_name: Any = None) -> jax.Array:
    """Norm of one array, [], which may be sharded over axes of `shard_map`."""
    return numerics.norm(x) if axis_name is None else tree.norm(x, axis_name=axis_name)


def _size(x: jax.Array, axis_name: Any) -> int:
    """The number of entries of an array, on all devices together."""
    return max(x.size, 1) * collectives.count(x, axis_name)


def rms(x: jax.Array, axis_name: Any = None) -> jax.Array:
    """Root of the mean square of one array, [], finite where it can be; 0 for an empty one."""
    return length_of(x, axis_name) * _size(x, axis_name) ** -0.5


def _rms_of_weights(p: jax.Array, axis_name: Any) -> jax.Array:
    """As `rms`, in one pass: squares of weights do not overflow float32."""
    total = collectives.psum(jnp.sum(numerics.abs_sq(p)), axis_name)
    return numerics.safe_sqrt(total / _size(p, axis_name))


def shorten(g: jax.Array, length: jax.Array, bound: Any) -> jax.Array:
    """Clips g of norm `length` to a norm of at most a bound: g · min(1, bound/length)."""
    longer = length > bound
    factor = jnp.where(longer, bound / jnp.where(longer, length, 1), 1)
    return g * factor.astype(g.dtype)


@transformation
def clip_by_block_rms(threshold: NonNegative, *, axis_name: Any = None):
    """Update clipping by block RMS: rescales each array to an RMS of at most `threshold`.

        u = g · min(1, d / RMS(g))

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.clip_by_block_rms(1.0).update(jnp.array([1.0, 7.0]), gd.EmptyState())[0].round(6)
    Array([0.2, 1.4], dtype=float32)

    Args:
        threshold: d ≥ 0, in the units of the updates; 0 makes the updates zero.
        axis_name: Axes of `shard_map` or `pmap` over which the arrays are split: norms are then
            those of all shards together.

    Reference: Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost,
        2018, https://arxiv.org/abs/1804.04235
    """

    def update(updates, state, params=None, **extra):
        return tree.map(lambda g: shorten(g, rms(g, axis_name), threshold), updates), state

    return _without_state, update


@transformation
def scale_by_param_block_rms(min_scale: NonNegative = 1e-3, *, axis_name: Any = None):
    """Scales each array of the updates by the RMS of its parameters.

        u = g · max(ε, RMS(θ))

    So the learning rate is relative to the size of the weights.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_param_block_rms()
    >>> tx.update(jnp.array([1.0, 2.0]), gd.EmptyState(), jnp.array([1.0, 7.0]))[0].round(6)
    Array([ 5., 10.], dtype=float32)

    Args:
        min_scale: ε ≥ 0, below which a block does not count as small; in the units of θ.
        axis_name: Axes of `shard_map` or `pmap` over which the arrays are split: norms are then
            those of all shards together.

    Raises:
        ValueError: `update` was called without params.

    Reference: Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost,
        2018, https://arxiv.org/abs/1804.04235
    """
    return _by_size("scale_by_param_block_rms", _rms_of_weights, min_scale, axis_name)


@transformation
def scale_by_param_block_norm(min_scale: NonNegative = 1e-3, *, axis_name: Any = None):
    """Scales each array of the updates by the norm of its parameters.

        u = g · max(ε, ‖θ‖)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_param_block_norm()
    >>> tx.update(jnp.array([1.0, 2.0]), gd.EmptyState(), jnp.array([3.0, 4.0]))[0]
    Array([ 5., 10.], dtype=float32)

    Args:
        min_scale: ε ≥ 0, below which a block does not count as small; in the units of θ.
        axis_name: Axes of `shard_map` or `pmap` over which the arrays are split: norms are then
            those of all shards together.

    Raises:
        ValueError: `update` was called without params.
    """
    return _by_size("scale_by_param_block_norm", length_of, min_scale, axis_name)


def _by_size(name: str, size: Any, min_scale: Any, axis_name: Any):
    def leaf(g, p):
        return g * jnp.maximum(size(p, axis_name), min_scale).astype(g.dtype)

    def update(updates, state, params=None, **extra):
        errors.need_params(name, params)
        return tree.map(leaf, updates, params), state

    return _without_state, update


@transformation
def normalize(*, axis_name: Any = None):
    """Normalizes the updates to a global norm of 1.

        u = g / ‖g‖

    Where all updates are 0, they stay 0.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> gd.normalize().update(jnp.array([3.0, 4.0]), gd.EmptyState())[0].round(6)
    Array([0.6, 0.8], dtype=float32)

    Args:
        axis_name: Axes of `shard_map` or `pmap` over which the updates are split: their
            norm is then that of all shards together.
    """

    def update(updates, state, params=None, **extra):
        length = tree.norm(updates, axis_name=axis_name)
        return tree.map(lambda g: safe_divide(g, length.astype(g.dtype)), updates), state

    return Rule(lambda params: EmptyState(), update, couples=True)


@transformation
def normalize_by_update_norm(
    scale_factor: Hyperparam = 1.0, eps: NonNegative = 1e-6, *, axis_name: Any = None
):
    """Normalizes the updates by their global norm, then scales them by a factor.

        u = s · g / (‖g‖ + eps)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.normalize_by_update_norm()
    >>> tx.update(jnp.array([3.0, 4.0]), gd.EmptyState())[0].round(6)
    Array([0.6, 0.8], dtype=float32)

    Args:
        scale_factor: s, the norm of u, of either sign.
        eps: In the units of the updates; with eps = 0, u is 0 where g is.
        axis_name: Axes of `shard_map` or `pmap` over which the updates are split: their
            norm is then that of all shards together.
    """

    def update(updates, state, params=None, **extra):
        length = tree.norm(updates, axis_name=axis_name) + eps
        leaf = lambda g: scale_factor * safe_divide(g, length.astype(g.dtype))
        return tree.map(leaf, updates), state

    return Rule(_without_state, update, couples=True)

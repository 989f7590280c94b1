"""Gradient noise, and random keys for each leaf and step."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import increment, safe_sqrt, weak, zero_count
from gdjax.core.rule.roles import Count, Key

__all__ = ["AddNoiseState", "add_noise"]


class AddNoiseState(NamedTuple):
    """State of `add_noise`."""

    count: Count
    rng_key: Key  # stays the same


@transformation
def add_noise(eta: NonNegative, gamma: NonNegative, key: Any):
    """Gradient noise: adds Gaussian noise whose variance decays with the steps.

        u = g + σ·N(0, 1),    σ² = η / (1 + t)^γ,    the first step being t = 0

    The noise of a leaf depends only on the key, the step and the path of the leaf: not on other
    leaves, nor on interruptions and restarts. Complex leaves get circular noise of the same
    variance.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.add_noise(eta=1.0, gamma=0.55, key=0)
    >>> u, state = tx.update(jnp.zeros(10_000), tx.init(jnp.zeros(10_000)))
    >>> round(float(u.var()), 1)
    1.0

    Args:
        eta: η ≥ 0, the variance in the first step, in the units of the squared gradient.
        gamma: γ ≥ 0.
        key: A seed, or a key of `jax.random`.

    Raises:
        TypeError: `key` is neither a seed nor a key.

    Reference: Neelakantan et al., Adding gradient noise improves learning for very deep networks,
        2015, https://arxiv.org/abs/1511.06807
    """
    judge_key("add_noise", key)

    def init(params):
        return AddNoiseState(zero_count(), key_data(key))

    def update(updates, state, params=None, **extra):
        t = weak(state.count.astype(float))
        sigma = safe_sqrt(eta / (1 + t) ** gamma)
        of_step = jax.random.fold_in(key_of(state.rng_key, key), state.count)

        def leaf(g, k):
            return g + sigma * jax.random.normal(k, g.shape, g.dtype)

        updates = tree.map(leaf, updates, leaf_keys(of_step, updates))
        return updates, AddNoiseState(increment(state.count), state.rng_key)

    return init, update


def judge_key(where: str, key: Any) -> None:
    """Raises where `key` is neither a seed nor a key of `jax.random`, old style or new."""
    seed = isinstance(key, int) and not isinstance(key, bool)
    dtype = getattr(key, "dtype", None)
    if not seed and (dtype is None or not (_is_typed(key) or jnp.issubdtype(dtype, jnp.integer))):
        must = "key must be a seed or a key of jax.random"
        errors.fail(where, must, key, kind=TypeError)


def _is_typed(key: Any) -> bool:
    return hasattr(key, "dtype") and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)


def key_data(key: Any) -> jax.Array:
    """The data of a key, [2] uint32 or as its kind has it, in a buffer of its own.

    States hold the data, which can be saved as any array, and not the key.
    """
    if jnp.ndim(key) == 0:  # a seed, or a typed key
        key = jax.random.key_data(key if _is_typed(key) else jax.random.key(key))
    return jnp.array(key)


def key_of(data: jax.Array, key: Any) -> jax.Array:
    """The typed key that has `data`, of the kind of the `key` that was given."""
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key) if _is_typed(key) else None)


def leaf_keys(key: jax.Array, updates: Any) -> Any:
    """A key for each leaf, made of `key` and the path of the leaf."""
    treedef = jax.tree.structure(updates)
    names = (zlib.crc32(path.encode()) for path in tree.paths(updates))
    return treedef.unflatten([jax.random.fold_in(key, name) for name in names])

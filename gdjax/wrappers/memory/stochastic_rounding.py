"""Stochastic rounding of 16-bit parameters."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import jax

from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.lowbit.rounding import evolve_narrow, land, random_bits, seeds, stochastic
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, Key
from gdjax.transforms.noise import judge_key, key_data, key_of

__all__ = ["StochasticRoundingState", "stochastic_rounding"]


class StochasticRoundingState(NamedTuple):
    """State of `stochastic_rounding`."""

    count: Count
    rng_key: Key  # stays the same
    inner_state: Any  # of the inner transformation


@transformation(kind="wrapper")
def stochastic_rounding(inner: Any, key: Any):
    """Applies updates to 16-bit parameters with stochastic rounding.

        θ ← ⌊θ + u⌋ or ⌈θ + u⌉,    E[θ] = θ + u

    Under rounding to nearest, updates smaller than 2⁻⁹ of a bfloat16 parameter are lost. Stochastic
    rounding keeps them on average, without state for each parameter. The returned updates are
    float32 and exact: code that adds in float32 and rounds once, as `gdjax.apply_updates` does,
    gives the rounded parameters. This wrapper must be the last to change the updates. The random
    bits depend on the key, the step, the path and the position of the entry, not on the sharding.
    Parameters of other dtypes are updated as usual.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = jnp.ones(10_000, jnp.bfloat16)
    >>> tx = gd.stochastic_rounding(gd.sgd(1e-4), key=0)
    >>> params, _ = tx.step(jnp.ones(10_000), tx.init(params), params)
    >>> sorted(set(params.tolist())), round(float(params.astype(float).mean()), 4)
    ([0.99609375, 1.0], 0.9999)

    Args:
        inner: The transformation, its learning rate included.
        key: A seed, or a key of `jax.random`.

    Raises:
        TypeError: `key` is neither a seed nor a key.
        ValueError: `update` was called without params.

    Reference: Gupta, Agrawal, Gopalakrishnan and Narayanan, Deep learning with limited numerical
        precision, 2015, https://arxiv.org/abs/1502.02551; Zamirai, Zhang, Aberger and De Sa,
        Revisiting BFloat16 training, 2020, https://arxiv.org/abs/2010.06192
    """
    judge_key("stochastic_rounding", key)

    def init(params):
        return StochasticRoundingState(zero_count(), key_data(key), inner.init(params))

    def update(updates, state, params=None, **extra):
        errors.need_params("stochastic_rounding", params)
        updates, inner_state = call_update(inner, updates, state.inner_state, params, extra)
        of_path = path_seeds(step_key(state.rng_key, key, state.count), updates)

        def leaf(u, p, dtype, path):
            wanted = p + u
            q = stochastic(wanted, dtype, random_bits(of_path[path], p.shape))
            d, _ = land(p, wanted, q, dtype)
            return (d,)

        (updates,) = evolve_narrow(leaf, updates, params)
        count = increment(state.count)
        return updates, StochasticRoundingState(count, state.rng_key, inner_state)

    return Rule(init, update, children=(Child("inner", inner, at="inner_state"),))


def step_key(data: jax.Array, key: Any, count: jax.Array) -> jax.Array:
    """The data of the key of one step."""
    return jax.random.key_data(jax.random.fold_in(key_of(data, key), count))


def path_seeds(of_step: jax.Array, updates: Any) -> dict[str, tuple[jax.Array, jax.Array]]:
    """The seeds of one step by the paths of its arrays."""
    paths = tree.paths(updates, tree.is_none)
    return dict(zip(paths, seeds(of_step, [zlib.crc32(path.encode()) for path in paths])))

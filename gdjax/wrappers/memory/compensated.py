"""16-bit parameters with their rounding error in the state: Kahan summation, split weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.engine.walk import trained
from gdjax.core.lowbit.rounding import (
    evolve_narrow,
    inverse,
    is_narrow,
    land,
    nearest,
    random_bits,
    spacing,
    up_or_down,
)
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, Key, PerParam
from gdjax.transforms.noise import judge_key, key_data
from gdjax.wrappers.memory.master_weights import instead, point_of
from gdjax.wrappers.memory.stochastic_rounding import path_seeds, step_key

__all__ = ["CompensatedState", "SplitWeightsState", "compensated", "with_split_weights"]


class CompensatedState(NamedTuple):
    """State of `compensated`."""

    compensation: PerParam  # bfloat16: what rounding lost; None where nothing is
    inner_state: Any  # of the inner transformation, which has seen params + compensation


class SplitWeightsState(NamedTuple):
    """State of `with_split_weights`."""

    count: Count
    rng_key: Key | None
    residual: PerParam  # int8: what rounding lost, in 127ths of the most it can
    inner_state: Any  # of the inner transformation, which has seen the weights


@transformation(kind="wrapper")
def compensated(inner: Any):
    """Kahan (compensated) summation for 16-bit parameters.

        s = θ + c + u,    θ ← s rounded to the dtype of θ,    c ← s − θ rounded to bfloat16

    c is the rounding error of the parameters. State: 2 bytes for each 16-bit parameter, none for
    others. The sum s is exact to 1/1024 of the spacing of θ, and better where c is small. The
    returned updates are float32 and exact (see `stochastic_rounding`); this wrapper must be the
    last to change them.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = jnp.ones(1, jnp.bfloat16)
    >>> tx = gd.compensated(gd.sgd(1e-3))
    >>> state = tx.init(params)
    >>> for _ in range(10):
    ...     params, state = tx.step(jnp.ones(1), state, params)
    >>> params, round(float(params[0]) + float(state.compensation[0]), 4)
    (Array([0.988281], dtype=bfloat16), 0.99)

    Args:
        inner: The transformation, its learning rate included. Its parameters are θ + c.

    Raises:
        ValueError: `update` was called without params.

    Reference: Kahan, Further remarks on reducing truncation errors, 1965,
        https://doi.org/10.1145/363707.363723; Zamirai, Zhang, Aberger and De Sa, Revisiting
        BFloat16 training, 2020, https://arxiv.org/abs/2010.06192
    """

    def init(params):
        own = lambda p: tree.filled_like(p, 0, jnp.bfloat16) if is_narrow(p) else None
        lost = jax.tree.map(own, trained(inner, params))
        return CompensatedState(lost, inner.init(_weights(_sum, lost, params)))

    def encode(lost, got, dtype, path):
        return nearest(lost, jnp.bfloat16).astype(jnp.bfloat16)

    def update(updates, state, params=None, **extra):
        errors.need_params("compensated", params)
        updates, inner_state, lost = _keep(
            inner, _sum, encode, updates, state.inner_state, state.compensation, params, extra
        )
        return updates, CompensatedState(lost, inner_state)

    def evaluate(state, params):
        weights = _weights(_sum, state.compensation, params)
        return point_of(inner, state.inner_state, weights, params)

    return Rule(
        init, update, evaluate=evaluate, children=(Child("inner", inner, at="inner_state"),)
    )


@transformation(kind="wrapper")
def with_split_weights(inner: Any, key: Any = None):
    """Split weights: a 16-bit parameter plus its rounding error in 8 bits (24-bit master weights).

        w = θ + ρ/127 · h,    h = half of the spacing of θ's dtype at θ
        w ← w + u(g, w),    θ ← w rounded to the dtype of θ,    ρ ← (w − θ)/h · 127 in [−127, 127]

    State: 1 byte for each 16-bit parameter, none for others. For bfloat16, w has about 24 bits: its
    resolution is 1/508 of the spacing of θ. Rounding ρ to nearest, as in the paper, loses smaller
    steps and biases a sequence of equal steps; with a key, ρ is rounded stochastically, so that w
    is unbiased. The returned updates are float32 and exact (see `stochastic_rounding`); this
    wrapper must be the last to change them.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = jnp.ones(1, jnp.bfloat16)
    >>> tx = gd.with_split_weights(gd.sgd(1e-3))
    >>> state = tx.init(params)
    >>> for _ in range(10):
    ...     params, state = tx.step(jnp.ones(1), state, params)
    >>> params, state.residual
    (Array([0.988281], dtype=bfloat16), Array([111], dtype=int8))

    Args:
        inner: The transformation, its learning rate included. Its parameters are w.
        key: A seed, or a key of `jax.random`; None rounds ρ to nearest.

    Raises:
        TypeError: `key` is neither a seed nor a key.
        ValueError: `update` was called without params.

    Reference: Gonzalez Ortiz, Gupta, Renard and Blalock, FlashOptim: optimizers for memory
        efficient training, 2026, https://arxiv.org/abs/2602.23349
    """
    if key is not None:
        judge_key("with_split_weights", key)

    def init(params):
        own = lambda p: tree.filled_like(p, 0, jnp.int8) if is_narrow(p) else None
        lost = jax.tree.map(own, trained(inner, params))
        data = None if key is None else key_data(key)
        return SplitWeightsState(
            zero_count(), data, lost, inner.init(_weights(_dequantized, lost, params))
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("with_split_weights", params)
        of_path = None
        if key is not None:
            of_path = path_seeds(step_key(state.rng_key, key, state.count), updates)

        def encode(lost, got, dtype, path):
            share = jnp.clip(2 * (lost * inverse(spacing(got, dtype))), -1, 1) * 127
            if of_path is None:
                return jnp.round(share).astype(jnp.int8)
            return up_or_down(share, random_bits(of_path[path], share.shape)).astype(jnp.int8)

        updates, inner_state, lost = _keep(
            inner, _dequantized, encode, updates, state.inner_state, state.residual, params, extra
        )
        return updates, SplitWeightsState(increment(state.count), state.rng_key, lost, inner_state)

    def evaluate(state, params):
        weights = _weights(_dequantized, state.residual, params)
        return point_of(inner, state.inner_state, weights, params)

    return Rule(
        init, update, evaluate=evaluate, children=(Child("inner", inner, at="inner_state"),)
    )


def _sum(p: jax.Array, lost: jax.Array, dtype: Any) -> jax.Array:
    return p + lost.astype(jnp.float32)


def _dequantized(p: jax.Array, lost: jax.Array, dtype: Any) -> jax.Array:
    return p + lost.astype(jnp.float32) / 127 * (spacing(p, dtype) / 2)


def _weights(decode: Callable[..., Any], lost: Any, params: Any) -> Any:
    """The weights in float32; parameters without a residual as they are."""
    one = lambda c, p: None if c is None else decode(p.astype(jnp.float32), c, p.dtype)
    weights = jax.tree.map(one, lost, params, is_leaf=tree.is_none)
    return instead(weights, params)


def _keep(
    inner: Any,
    decode: Callable[..., Any],
    encode: Callable[..., Any],
    updates: Any,
    inner_state: Any,
    lost: Any,
    params: Any,
    extra: dict[str, Any],
) -> tuple[Any, Any, Any]:
    """Updates, the state of `inner`, and the new rounding errors.

    Args:
        inner: The transformation of the weights.
        decode: The weight, from the parameter and its stored rounding error.
        encode: The stored form of the difference between weight and parameter.
        updates: The gradients.
        inner_state: State of `inner`.
        lost: The stored rounding errors.
        params: The parameters.
        extra: The extra arguments.
    """
    weights = _weights(decode, lost, params)
    updates, inner_state = call_update(inner, updates, inner_state, weights, extra)

    def leaf(u, p, dtype, c, path):
        wanted = decode(p, c, dtype) + u
        d, got = land(p, wanted, nearest(wanted, dtype), dtype)
        missed = jnp.where(jnp.isfinite(wanted - got), wanted - got, 0)
        return d, encode(missed, got, dtype, path)

    updates, lost = evolve_narrow(leaf, updates, params, lost)
    return updates, inner_state, lost

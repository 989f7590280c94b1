"""Adam-mini: Adam with one second moment for each block of parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import (
    abs_sq,
    debias,
    divide_by_root,
    ema,
    increment,
    wide_dtype,
    zero_count,
)
from gdjax.core.rule.roles import Count, Mean, PerMatrix
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["ScaleByAdamMiniState", "adam_mini", "scale_by_adam_mini"]


class ScaleByAdamMiniState(NamedTuple):
    """State of `scale_by_adam_mini`."""

    count: Count
    mu: Mean  # of the gradients
    nu: PerMatrix  # [blocks] or [], real, float32 or wider: mean squares of the gradients


@transformation
def scale_by_adam_mini(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    mu_dtype: Any = None,
    *,
    block_axis: int | None = -1,
):
    """Adam-mini scaling: first moment over the root of its block's mean squared gradient.

        m ← b1·m + (1 − b1)·g               m̂ = m / (1 − b1ᵗ)
        v ← b2·v + (1 − b2)·mean(|g|²)      v̂ = v / (1 − b2ᵗ)
        u = m̂ / (√v̂ + eps)

    The mean is over a block.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, g = gd.scale_by_adam_mini(), jnp.array([[1.0, 2.0], [1.0, -2.0]])
    >>> tx.update(g, tx.init(g))[0].round(2).tolist()
    [[1.0, 1.0], [1.0, -1.0]]

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0. With eps = 0, u is 0 where v̂ is.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        block_axis: The axis that counts the blocks of an array of two axes or more; None makes one
            block of each array. Vectors and scalars are one block.

    Raises:
        ValueError: An array of two axes or more has no such axis.

    Reference: Zhang et al., Adam-mini: use fewer learning rates to gain more, 2024,
        https://arxiv.org/abs/2406.16793
    """

    def axis_of(x: jax.Array) -> int | None:
        if block_axis is None or x.ndim < 2:
            return None
        if not -x.ndim <= block_axis < x.ndim:
            must = f"block_axis must be an axis of every array, and one has {x.ndim} axes"
            errors.fail("scale_by_adam_mini", must, block_axis)
        return block_axis % x.ndim

    def blocks(p: Any) -> jax.Array | None:
        if not tree.differentiable(p):
            return None
        p = jnp.asarray(p)
        axis = axis_of(p)
        shape = () if axis is None else (p.shape[axis],)
        return jnp.zeros(shape, wide_dtype(jnp.finfo(p.dtype).dtype))

    def init(params):
        mu = tree.moment_like(params, mu_dtype)
        return ScaleByAdamMiniState(zero_count(), mu, jax.tree.map(blocks, params))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c1, c2 = debias(b1, t), debias(b2, t)

        def leaf(g, m, v):
            axis = axis_of(g)
            others = tuple(i for i in range(g.ndim) if i != axis)
            entries = max(int(np.prod([g.shape[i] for i in others])), 1)
            m = ema(m, g, b1)
            v = ema(v, jnp.sum(abs_sq(g), others) / entries, b2)
            spread = jnp.expand_dims(v, others) / c2
            return divide_by_root(m / c1, spread, eps), m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByAdamMiniState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def adam_mini(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    mu_dtype: Any = None,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    *,
    block_axis: int | None = -1,
):
    """Adam-mini: AdamW with one second moment for each block of parameters, in half the memory.

        θ ← θ − η·(m̂ / (√v̂ + eps) + λθ),    m̂ and v̂ of `scale_by_adam_mini`

    A block is the weights of one output of a layer: kernels in JAX have outputs last, so each index
    of the last axis is a block. The paper has one block for each token of an embedding
    (`block_axis=0`) and for each head of queries and keys; give such parameters an `adam_mini` of
    their own.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.adam_mini(0.1), {"kernel": jnp.zeros((512, 10)), "bias": jnp.zeros(10)}
    >>> {k: v.shape for k, v in gd.state.find(tx.init(params), "nu").items()}
    {'bias': (), 'kernel': (10,)}

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        weight_decay: λ ≥ 0, scaled by the rate.
        mask: Which parameters decay; see `add_decayed_weights`.
        block_axis: The axis that counts the blocks of an array of two axes or more; None makes one
            block of each array.

    Raises:
        ValueError: `update` was called without params, or an array has no such axis.

    Reference: Zhang et al., Adam-mini: use fewer learning rates to gain more, 2024,
        https://arxiv.org/abs/2406.16793
    """
    return chain(
        scale_by_adam_mini(b1, b2, eps, mu_dtype, block_axis=block_axis),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

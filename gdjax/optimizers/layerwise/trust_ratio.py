"""LARS and LAMB: layer-wise trust ratios for training with large batches."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights, masked_params
from gdjax.transforms.momentum import trace
from gdjax.transforms.norms import length_of

__all__ = ["lamb", "lars", "scale_by_lars", "scale_by_trust_ratio"]


def _need_params(name: str, params: Any) -> None:
    errors.need_params(name, params)


def _trust(weights: Any, updates: Any, coefficient: Any, eps: Any) -> jax.Array:
    """The trust ratio of two norms, [], and 1 where either is zero."""
    known = (weights > 0) & (updates > 0)
    return jnp.where(known, coefficient * weights / jnp.where(known, updates + eps, 1), 1)


@transformation
def scale_by_trust_ratio(
    min_norm: NonNegative = 0.0,
    trust_coefficient: NonNegative = 1.0,
    eps: NonNegative = 0.0,
    *,
    axis_name: Any = None,
):
    """Trust ratio: scales each array's update by ‖θ‖ / ‖g‖, as LARS and LAMB do.

        w = max(‖θ‖, min_norm)        l = max(‖g‖, min_norm)
        u = g · c·w / (l + eps) if w·l > 0, else g

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_trust_ratio()
    >>> tx.update(jnp.array([3.0, 4.0]), gd.EmptyState(), jnp.array([0.0, 1.0]))[0].round(6)
    Array([0.6, 0.8], dtype=float32)

    Args:
        min_norm: Lower bound on both norms.
        trust_coefficient: c ≥ 0.
        eps: In the units of the updates.
        axis_name: Axes of `shard_map` or `pmap` over which the arrays are split: norms are then
            those of all shards together.

    Raises:
        ValueError: `update` was called without params.

    Reference: You, Gitman and Ginsburg, Large batch training of convolutional networks, 2017,
        https://arxiv.org/abs/1708.03888
    """

    def leaf(g, p):
        weights, length = (jnp.maximum(length_of(x, axis_name), min_norm) for x in (p, g))
        return g * _trust(weights, length, trust_coefficient, eps).astype(g.dtype)

    def update(updates, state, params=None, **extra):
        _need_params("scale_by_trust_ratio", params)
        return tree.map(leaf, updates, params), state

    return lambda params: EmptyState(), update


@transformation
def scale_by_lars(
    weight_decay: WeightDecay = 0.0,
    mask: Mask = True,
    trust_coefficient: NonNegative = 0.001,
    eps: NonNegative = 0.0,
    trust_ratio_mask: Any = True,
    *,
    axis_name: Any = None,
):
    """LARS scaling: gradient plus L2 term times the layer's trust ratio ‖θ‖ / (‖g‖ + β‖θ‖).

        l = ‖g‖ + β·‖θ‖               r = c·‖θ‖ / (l + eps) if ‖θ‖·l > 0, else 1
        u = r·(g + βθ)

    The denominator is the sum of the two norms, as in the paper, not the norm of the sum.

    Args:
        weight_decay: β ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        trust_coefficient: c ≥ 0.
        eps: In the units of the gradient.
        trust_ratio_mask: Which parameters are scaled, in the form of `mask`; others get u = g + βθ.
        axis_name: Axes of `shard_map` or `pmap` over which the arrays are split: norms are then
            those of all shards together.

    Raises:
        ValueError: `update` was called without params, or a mask does not fit them.

    Reference: You, Gitman and Ginsburg, Large batch training of convolutional networks, 2017,
        https://arxiv.org/abs/1708.03888
    """

    def leaf(g, decayed, scaled):
        u = g if decayed is None else g + weight_decay * decayed
        if scaled is None:
            return u
        w, length = length_of(scaled, axis_name), length_of(g, axis_name)
        length = length if decayed is None else length + weight_decay * w
        return u * _trust(w, length, trust_coefficient, eps).astype(g.dtype)

    def update(updates, state, params=None, **extra):
        _need_params("scale_by_lars", params)
        decayed = masked_params(params, mask, "scale_by_lars")
        scaled = masked_params(params, trust_ratio_mask, "scale_by_lars")
        return tree.map(leaf, updates, decayed, scaled), state

    return lambda params: EmptyState(), update


@transformation(kind="optimizer")
def lars(
    learning_rate: LearningRate,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = True,
    trust_coefficient: NonNegative = 0.001,
    eps: NonNegative = 0.0,
    trust_ratio_mask: Any = True,
    momentum: Decay = 0.9,
    nesterov: bool = False,
    *,
    axis_name: Any = None,
):
    """LARS: momentum SGD with layer-wise learning rates by the trust ratio.

        l = ‖g‖ + β·‖θ‖               r = c·‖θ‖ / (l + eps) if ‖θ‖·l > 0, else 1
        q = η·r·(g + βθ)              v ← μ·v + q
        θ ← θ − v
        with nesterov:                θ ← θ − q − μ·v

    The rate is applied before the momentum, so a change of η affects new gradients only.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, w = gd.lars(1.0, trust_coefficient=0.1), jnp.array([0.0, 1.0])
    >>> tx.update(jnp.array([30.0, 40.0]), tx.init(w), w)[0].round(6)
    Array([-0.06, -0.08], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        weight_decay: β ≥ 0, of L2 regularization.
        mask: Which parameters decay; see `add_decayed_weights`.
        trust_coefficient: c ≥ 0.
        eps: Added to the denominator of r, in the units of the gradient.
        trust_ratio_mask: Which parameters are scaled by the trust ratio, in the form of
            `mask`. Leave out biases and the scales of normalization layers.
        momentum: μ in [0, 1).
        nesterov: Uses Nesterov momentum.
        axis_name: Axes of `shard_map` or `pmap` over which the arrays are split: norms are then
            those of all shards together.

    Raises:
        ValueError: `update` was called without params, or a mask does not fit them.

    Reference: You, Gitman and Ginsburg, Large batch training of convolutional networks, 2017,
        https://arxiv.org/abs/1708.03888
    """
    return chain(
        scale_by_lars(
            weight_decay,
            mask,
            trust_coefficient,
            eps,
            trust_ratio_mask,
            axis_name=axis_name,
        ),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )


@transformation(kind="optimizer")
def lamb(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
    *,
    axis_name: Any = None,
):
    """LAMB: AdamW with layer-wise trust ratios, for training with large batches.

        r = m̂ / (√(v̂ + eps_root) + eps) + λθ,   m̂ and v̂ of `adam`
        θ ← θ − η · ‖θ‖/‖r‖ · r if ‖θ‖·‖r‖ > 0, else θ − η·r

    Norms are of each array.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, w = gd.lamb(0.1), jnp.array([3.0, 4.0])
    >>> tx.update(jnp.array([7.0, -7.0]), tx.init(w), w)[0].round(4)
    Array([-0.3536,  0.3536], dtype=float32)

    Args:
        learning_rate: η ≥ 0, the size of a step relative to the norm of the weights.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        axis_name: Axes of `shard_map` or `pmap` over which the arrays are split: norms are then
            those of all shards together.

    Raises:
        ValueError: `update` was called without params.

    Reference: You et al., Large batch optimization for deep learning: training BERT in 76
        minutes, 2019, https://arxiv.org/abs/1904.00962
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(axis_name=axis_name),
        scale_by_learning_rate(learning_rate),
    )

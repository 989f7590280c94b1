"""Fromage: steps of a fixed size relative to the weights of each layer."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.optimizers.layerwise.trust_ratio import scale_by_trust_ratio
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import decay_weights

__all__ = ["fromage"]


@transformation(kind="optimizer")
def fromage(learning_rate: LearningRate, min_norm: NonNegative = 1e-6, *, axis_name: Any = None):
    """Fromage: steps of relative size η in each layer, corrected for the growth of the norm.

        w = max(‖θ‖, min_norm)        l = max(‖g‖, min_norm)
        r = w / l if w·l > 0, else 1
        θ ← (θ − η·r·g) / √(1 + η²)

    Norms are of each array.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, w = gd.fromage(0.75), jnp.array([0.0, 5.0])
    >>> tx.step(jnp.array([9.0, 0.0]), tx.init(w), w)[0].round(5)
    Array([-3.,  4.], dtype=float32)

    Args:
        learning_rate: η ≥ 0, the size of a step relative to the norm of the weights.
        min_norm: Lower bound on both norms.
        axis_name: Axes of `shard_map` or `pmap` over which the arrays are split: norms are then
            those of all shards together.

    Raises:
        ValueError: `update` was called without params.

    Reference: Bernstein, Vahdat, Yue and Liu, On the distance between two neural networks and
        the stability of learning, 2020, https://arxiv.org/abs/2002.03432
    """
    shrink = (1 + learning_rate**2) ** -0.5
    return chain(
        scale_by_trust_ratio(min_norm, axis_name=axis_name),
        scale_by_learning_rate(learning_rate * shrink),
        decay_weights(learning_rate**2 * shrink**2 / (1 + shrink)),  # 1 − shrink, exact for small η
    )

"""Tiger: sign of the averaged gradient, with decoupled weight decay."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.optimizers.sign.signum import scale_by_sign
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights
from gdjax.transforms.momentum import ema

__all__ = ["tiger"]


@transformation(kind="optimizer")
def tiger(
    learning_rate: LearningRate,
    b1: Decay = 0.965,
    weight_decay: WeightDecay = 0.01,
    mask: Mask = None,
    mu_dtype: Any = None,
):
    """Tiger: sign of the averaged gradient, with decoupled weight decay.

        m ← b1·m + (1 − b1)·g
        θ ← θ − η·(sign(m) + λθ)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.tiger(0.1, weight_decay=0.5), jnp.array([1.0, -1.0])
    >>> tx.update(jnp.array([3.0, -0.5]), tx.init(params), params)[0]
    Array([-0.15,  0.15], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        b1: In [0, 1).
        weight_decay: λ ≥ 0, scaled by the learning rate.
        mask: Which parameters decay; see `add_decayed_weights`.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.

    Reference: Su, Tiger: a tight-fisted optimizer, 2023, https://github.com/bojone/tiger
    """
    return chain(
        ema(b1, debias=False, mu_dtype=mu_dtype),
        scale_by_sign(),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

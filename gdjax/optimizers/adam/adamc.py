"""AdamC: AdamW with weight decay corrected for the learning-rate schedule."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import (
    Decay,
    LearningRate,
    Mask,
    NonNegative,
    Positive,
    WeightDecay,
)
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["adamc"]


@transformation(kind="optimizer")
def adamc(
    learning_rate: LearningRate,
    max_learning_rate: Positive,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
):
    """AdamC: AdamW with corrected weight decay, proportional to the square of the learning rate.

        θ ← θ − η·m̂ / (√v̂ + eps) − η²/η_max·λθ,    m̂ and v̂ of `adam`

    In layers followed by a normalization, weight decay drives the ratio of the norms of gradient
    and weights to a value that rises as the rate falls, so gradients grow towards the end of a run.
    Corrected decay keeps that ratio constant. Other layers want the usual decay; for both, build

        chain(scale_by_adam(), add_decayed_weights(lambda t: λ·η(t)/η_max, normalized),
              add_decayed_weights(λ, others), scale_by_learning_rate(η))

    >>> import gdjax as gd
    >>> tx = gd.adamc(gd.linear_to_zero(1e-3, 1000), max_learning_rate=1e-3, weight_decay=0.1)
    >>> tx.replace(learning_rate=5e-4)
    adamc(learning_rate=0.0005, max_learning_rate=0.001, weight_decay=0.1)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        max_learning_rate: η_max > 0, the highest value of the schedule.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Defazio, Why gradients rapidly increase near the end of training, 2025,
        https://arxiv.org/abs/2506.02285
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype),
        add_decayed_weights(weight_decay * learning_rate / max_learning_rate, mask),
        scale_by_learning_rate(learning_rate),
    )

"""Lion: sign of an interpolation between momentum and gradient (EvoLved Sign Momentum)."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import (
    Decay,
    LearningRate,
    Mask,
    Range,
    ScalarOrSchedule,
    WeightDecay,
)
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import ema, increment, zero_count
from gdjax.core.rule.roles import Count, Mean
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["ScaleByLionState", "lion", "scale_by_lion"]


PositiveDecay = Annotated[ScalarOrSchedule, Range(low=0.0, high=1.0, open_low=True, open_high=True)]


class ScaleByLionState(NamedTuple):
    """State of `scale_by_lion`."""

    count: Count
    mu: Mean  # of the gradients


@transformation
def scale_by_lion(b1: Decay = 0.9, b2: PositiveDecay = 0.99, mu_dtype: Any = None):
    """Lion scaling: sign of an interpolation between the momentum and the gradient.

        u = sign(b1·m + (1 − b1)·g)
        m ← b2·m + (1 − b2)·g

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_lion(b2=0.98), gd.scale_by_learning_rate(0.01))
    chain(scale_by_lion(b2=0.98), scale_by_learning_rate(learning_rate=0.01))

    Args:
        b1: Weight of the mean in u, in [0, 1).
        b2: Decay of the mean, in (0, 1).
        mu_dtype: Dtype in which m is kept; float32 or wider by default.

    Reference: Chen et al., Symbolic discovery of optimization algorithms, 2023,
        https://arxiv.org/abs/2302.06675
    """

    def init(params):
        return ScaleByLionState(zero_count(), tree.moment_like(params, mu_dtype))

    def update(updates, state, params=None, **extra):
        def leaf(g, m):
            # From the new m, b2·(b1·m_old + (1 − b1)·g) = b1·m + (b2 − b1)·g: so no copy of the
            # old m is kept while the new one overwrites it.
            m = ema(m, g, b2)
            return jnp.sign(b1 * m + (b2 - b1) * g), m

        updates, mu = tree.evolve(leaf, (updates, state.mu))
        return updates, ScaleByLionState(increment(state.count), mu)

    return init, update


@transformation(kind="optimizer")
def lion(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: PositiveDecay = 0.99,
    mu_dtype: Any = None,
    weight_decay: WeightDecay = 1e-3,
    mask: Mask = None,
):
    """Lion: sign of an interpolated momentum, with decoupled weight decay.

        θ ← θ − η·(sign(b1·m + (1 − b1)·g) + λθ)
        m ← b2·m + (1 − b2)·g

    Every entry moves by η, about as far as Adam's largest updates, so the paper uses a learning
    rate 3 to 10 times smaller than Adam's, and a weight decay larger by the same factor.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.lion(1e-2, weight_decay=0.0), jnp.ones(3)
    >>> tx.update(jnp.array([30.0, -0.2, 0.0]), tx.init(params), params)[0]
    Array([-0.01,  0.01, -0.  ], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Weight of the mean in the step, in [0, 1).
        b2: Decay of the mean, in (0, 1).
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    A method of sign descent.

    Reference: Chen et al., Symbolic discovery of optimization algorithms, 2023,
        https://arxiv.org/abs/2302.06675
    """
    return chain(
        scale_by_lion(b1, b2, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

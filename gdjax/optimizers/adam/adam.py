"""Adam, and AdamW with decoupled weight decay."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.core.rule.roles import Count, Mean, MeanSquare
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["ScaleByAdamState", "adam", "adamw", "scale_by_adam"]


class ScaleByAdamState(NamedTuple):
    """State of `scale_by_adam`."""

    count: Count
    mu: Mean  # of the gradients
    nu: MeanSquare  # of the gradients


def one_ahead(m: Any, g: Any, b1: Any, of_g: Any, of_m: Any) -> Any:
    """Nesterov's m̂: the mean after one more step with the same g, both terms bias-corrected."""
    return b1 * m / of_m + (1 - b1) * g / of_g


@transformation
def scale_by_adam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
):
    """Adam scaling: bias-corrected first moment over the root of the bias-corrected second.

        m ← b1·m + (1 − b1)·g               m̂ = m / (1 − b1ᵗ)
        v ← b2·v + (1 − b2)·|g|²            v̂ = v / (1 − b2ᵗ)
        u = m̂ / (√(v̂ + eps_root) + eps)
        with nesterov:                      m̂ = b1·m / (1 − b1ᵗ⁺¹) + (1 − b1)·g / (1 − b1ᵗ)

    Args:
        b1: In [0, 1).
        b2: In [0, 1).
        eps: In the units of the gradient, ≥ 0. With eps = 0, u is 0 where v̂ is.
        eps_root: In the units of the squared gradient, ≥ 0.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum; see `nadam`.

    Reference: Kingma and Ba, Adam: a method for stochastic optimization, 2014,
        https://arxiv.org/abs/1412.6980
    """

    def init(params):
        return ScaleByAdamState(
            zero_count(), tree.moment_like(params, mu_dtype), tree.square_like(params)
        )

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        of_m, of_v = debias(b1, t), debias(b2, t)
        of_next = debias(b1, increment(t)) if nesterov else None

        def leaf(g, m, v):
            m = ema(m, g, b1)
            v = ema(v, abs_sq(g), b2)
            m_hat = one_ahead(m, g, b1, of_m, of_next) if nesterov else m / of_m
            return divide_by_root(m_hat, v / of_v + eps_root, eps), m, v

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByAdamState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def adam(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
):
    """Adam: bias-corrected first moment divided by the root of the bias-corrected second moment.

        m ← b1·m + (1 − b1)·g,    v ← b2·v + (1 − b2)·g²
        θ ← θ − η · m̂ / (√v̂ + eps),    m̂ = m / (1 − b1ᵗ),  v̂ = v / (1 − b2ᵗ)
        with nesterov:    m̂ = b1·m / (1 − b1ᵗ⁺¹) + (1 − b1)·g / (1 − b1ᵗ)

    No coordinate moves by much more than η in a step; the first step is −η·sign(g).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.adam(0.1)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(6)
    Array([-0.1,  0.1], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum; see `nadam`.

    Reference: Kingma and Ba, Adam: a method for stochastic optimization, 2014,
        https://arxiv.org/abs/1412.6980
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_learning_rate(learning_rate),
    )


@transformation(kind="optimizer")
def adamw(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    weight_decay: WeightDecay = 1e-4,
    mask: Mask = None,
    *,
    nesterov: bool = False,
):
    """AdamW: Adam with decoupled weight decay, scaled by the learning rate.

        θ ← θ − η·(m̂ / (√v̂ + eps) + λθ),    m̂ and v̂ of `adam`

    At zero gradients the weights are multiplied by exactly 1 − ηλ in each step. Other kinds of
    weight decay, and L2 regularization, are compositions: see `gdjax.transforms.decay`.

    >>> import gdjax as gd
    >>> gd.adamw(gd.cosine_decay_schedule(1e-3, 1000), weight_decay=0.1)
    adamw(learning_rate=cosine_decay_schedule(init_value=0.001, decay_steps=1000), weight_decay=0.1)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        weight_decay: λ ≥ 0.
        mask: Which parameters decay; see `add_decayed_weights`.
        nesterov: Uses Nesterov momentum; see `nadamw`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Loshchilov and Hutter, Decoupled weight decay regularization, 2017,
        https://arxiv.org/abs/1711.05101
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

"""AdaDelta: adaptive steps in the units of the parameters, without a learning rate."""

from __future__ import annotations

from typing import NamedTuple

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import (
    abs_sq,
    after,
    divide_by_root,
    ema,
    like,
    read_again,
    safe_divide,
    safe_sqrt,
)
from gdjax.core.rule.roles import MeanSquare
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.decay import add_decayed_weights

__all__ = ["ScaleByAdaDeltaState", "adadelta", "scale_by_adadelta"]


class ScaleByAdaDeltaState(NamedTuple):
    """State of `scale_by_adadelta`."""

    e_g: MeanSquare  # of the gradients
    e_x: MeanSquare  # of the updates


@transformation
def scale_by_adadelta(decay: Decay = 0.9, eps: NonNegative = 1e-6):
    """AdaDelta scaling: gradient times the RMS of past updates over the RMS of past gradients.

        G ← ρ·G + (1 − ρ)·|g|²
        u = √(X + ε) / √(G + ε) · g
        X ← ρ·X + (1 − ρ)·|u|²

    With ε = 0 all updates are 0: X starts at 0, so ε determines the size of the first ones.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_adadelta(decay=0.95), gd.scale_by_learning_rate(0.01))
    chain(scale_by_adadelta(decay=0.95), scale_by_learning_rate(learning_rate=0.01))

    Args:
        decay: ρ in [0, 1).
        eps: ε ≥ 0, in the units of the squared gradient and of the squared step.

    Reference: Zeiler, ADADELTA: an adaptive learning rate method, 2012,
        https://arxiv.org/abs/1212.5701
    """

    def init(params):
        return ScaleByAdaDeltaState(tree.square_like(params), tree.square_like(params))

    def update(updates, state, params=None, **extra):
        def leaf(g, G, X):
            G = ema(G, abs_sq(g), decay)
            X = after(ema(X, (X + eps) * safe_divide(abs_sq(g), G + eps), decay), G)
            # √(X + eps) of the old X, from the new X: so the new may overwrite the old in memory.
            ratio = safe_divide(abs_sq(read_again(g)), G + eps)
            before = safe_divide(X + decay * eps, decay + (1 - decay) * ratio)
            return divide_by_root(g, G, eps, eps_in_sqrt=True) * like(safe_sqrt(before), g), G, X

        updates, e_g, e_x = tree.evolve(leaf, (updates, state.e_g, state.e_x))
        return updates, ScaleByAdaDeltaState(e_g, e_x)

    return init, update


@transformation(kind="optimizer")
def adadelta(
    learning_rate: LearningRate | None = None,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-6,
    weight_decay: WeightDecay = 0.0,
    mask: Mask = None,
):
    """AdaDelta: gradients scaled by the RMS of past updates over the RMS of past gradients.

        g ← g + λθ
        G ← ρ·G + (1 − ρ)·g²
        u = √(X + ε) / √(G + ε) · g,    X ← ρ·X + (1 − ρ)·u²
        θ ← θ − u
        with learning_rate:    θ ← θ − η·u

    The paper has neither η nor λ.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.adadelta(), jnp.zeros(2)
    >>> tx.update(jnp.array([30.0, -2.0]), tx.init(params), params)[0].round(6)  # √(1e-6 / 0.1)
    Array([-0.003162,  0.003162], dtype=float32)

    Args:
        learning_rate: η ≥ 0; None is the paper's 1.
        decay: ρ in [0, 1).
        eps: ε ≥ 0, in the units of the squared gradient and of the squared step.
        weight_decay: λ ≥ 0: L2 regularization, added to the gradient, as in torch and optax.
        mask: Which parameters decay; see `add_decayed_weights`.

    Raises:
        ValueError: `update` was called without params.

    Reference: Zeiler, ADADELTA: an adaptive learning rate method, 2012,
        https://arxiv.org/abs/1212.5701
    """
    return chain(
        add_decayed_weights(weight_decay, mask),
        scale_by_adadelta(decay, eps),
        scale_by_learning_rate(1.0 if learning_rate is None else learning_rate),
    )

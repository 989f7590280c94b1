"""Stochastic gradient descent, plain or with momentum."""

from __future__ import annotations

from typing import Any

from gdjax.core.data.hyperparams import Decay, LearningRate
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.momentum import ema, trace

__all__ = ["momentum", "sgd"]


@transformation(kind="optimizer")
def sgd(
    learning_rate: LearningRate,
    momentum: Decay | None = None,
    nesterov: bool = False,
    mu_dtype: Any = None,
):
    """SGD: stochastic gradient descent, optionally with heavy-ball or Nesterov momentum.

        without momentum:    θ ← θ − η·g
        with momentum:       v ← μ·v + g,    θ ← θ − η·v
        with nesterov:       v ← μ·v + g,    θ ← θ − η·(g + μ·v)

    On λθ²/2 it is stable for η up to 2/λ, 2(1 + μ)/λ and 2(1 + μ)/((1 + 2μ)λ).

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> tx = gd.sgd(0.1)
    >>> params = jnp.array([1.0, 2.0])
    >>> tx.step(jax.grad(lambda x: jnp.sum(x**2) / 2)(params), tx.init(params), params)[0]
    Array([0.9, 1.8], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        momentum: μ in [0, 1); None for no momentum.
        nesterov: Takes the gradient's step from where the momentum leads; needs `momentum`.
        mu_dtype: Dtype in which v is kept; float32 or wider by default.

    Reference: Polyak, 1964, and Nesterov, 1983, in the form of Sutskever et al., On the
        importance of initialization and momentum in deep learning, 2013,
        https://proceedings.mlr.press/v28/sutskever13.html
    """
    rate = scale_by_learning_rate(learning_rate)
    return rate if momentum is None else chain(trace(momentum, nesterov, mu_dtype), rate)


@transformation(kind="optimizer")
def momentum(learning_rate: LearningRate, decay: Decay = 0.9, *, mu_dtype: Any = None):
    """Gradient descent with momentum, as an exponential moving average of the gradients.

        v ← β·v + (1 − β)·g,   θ ← θ − η·v,   v₀ = 0

    The same trajectory as `sgd(η·(1 − β), momentum=β)`; here steps keep their size for any β. On
    λθ²/2 it is stable for η up to 2(1 + β)/((1 − β)λ).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.momentum(0.1, decay=0.9)
    >>> tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.01], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        decay: β in [0, 1).
        mu_dtype: Dtype in which v is kept; float32 or wider by default.

    Reference: Polyak, Some methods of speeding up the convergence of iteration methods, 1964,
        https://doi.org/10.1016/0041-5553(64)90137-5
    """
    return chain(
        ema(decay, debias=False, mu_dtype=mu_dtype),
        scale_by_learning_rate(learning_rate),
    )

"""Optimistic gradient descent and optimistic Adam, for saddle points and games."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.roles import LastGradient, Scalar
from gdjax.optimizers.adam.adam import scale_by_adam
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = [
    "ScaleByOptimisticGradientState",
    "optimistic_adam",
    "optimistic_adam_v2",
    "optimistic_gradient_descent",
    "scale_by_optimistic_gradient",
]


class ScaleByOptimisticGradientState(NamedTuple):
    """State of `scale_by_optimistic_gradient`."""

    is_initial_step: Scalar  # bool
    previous_gradient: LastGradient


@transformation
def scale_by_optimistic_gradient(alpha: NonNegative = 1.0, beta: NonNegative = 1.0):
    """Optimistic gradient: adds to the gradient its change since the last step.

        u = α·g + β·(g − g₋),    in the first step α·g

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_optimistic_gradient(beta=0.5), gd.scale_by_learning_rate(0.01))
    chain(scale_by_optimistic_gradient(beta=0.5), scale_by_learning_rate(learning_rate=0.01))

    Args:
        alpha: α ≥ 0.
        beta: β ≥ 0, the optimism.

    Reference: Mokhtari, Ozdaglar and Pattathil, A unified analysis of extra-gradient and
        optimistic gradient methods for saddle point problems, 2019,
        https://arxiv.org/abs/1901.08511
    """

    def init(params):
        return ScaleByOptimisticGradientState(jnp.ones([], bool), tree.moment_like(params))

    def update(updates, state, params=None, **extra):
        def leaf(g, before):
            change = jnp.where(state.is_initial_step, 0, g - before)
            return alpha * g + beta * change, g

        updates, before = tree.evolve(leaf, (updates, state.previous_gradient))
        return updates, ScaleByOptimisticGradientState(jnp.zeros([], bool), before)

    return init, update


@transformation(kind="optimizer")
def optimistic_gradient_descent(
    learning_rate: LearningRate,
    alpha: NonNegative = 1.0,
    beta: NonNegative = 1.0,
):
    """Optimistic gradient descent, for saddle points and games (GANs).

        θ ← θ − η·(α·g + β·(g − g₋)),    in the first step θ − ηα·g

    It converges to saddle points around which plain gradient descent and ascent cycle. With
    α = β = 1 it is the paper's θ − 2ηg + ηg₋, which approximates the extragradient method with one
    gradient in each step.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> def distance(tx):  # from the saddle of x·y, where x descends and y ascends
    ...     def step(carry, _):
    ...         (x, y), state = carry
    ...         return tx.step((y, -x), state, (x, y)), None
    ...     point = jnp.ones([]), jnp.ones([])
    ...     (point, _), _ = jax.lax.scan(step, (point, tx.init(point)), length=200)
    ...     return bool(jnp.hypot(*point) < 0.1)
    >>> distance(gd.sgd(0.3)), distance(gd.optimistic_gradient_descent(0.3))
    (False, True)

    Args:
        learning_rate: η ≥ 0.
        alpha: α ≥ 0.
        beta: β ≥ 0, the optimism.

    Reference: Mokhtari, Ozdaglar and Pattathil, A unified analysis of extra-gradient and
        optimistic gradient methods for saddle point problems, 2019,
        https://arxiv.org/abs/1901.08511; Daskalakis et al., Training GANs with optimism, 2017,
        https://arxiv.org/abs/1711.00141
    """
    return chain(scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


@transformation(kind="optimizer")
def optimistic_adam(
    learning_rate: LearningRate,
    optimism: NonNegative | None = None,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
):
    """Optimistic Adam: adds to Adam's step its change since the last one.

        r = m̂ / (√(v̂ + eps_root) + eps),    m̂ and v̂ of `scale_by_adam`
        θ ← θ − η·r − o·(r − r₋),    in the first step θ − η·r
        without optimism:    θ ← θ − 2η·r + η·r₋,    in the first step θ − η·r

    The first step is ηr. The paper has o = η and Adam without Nesterov momentum, which optax has
    by default.

    >>> import gdjax as gd
    >>> gd.optimistic_adam(1e-3, optimism=2e-3)
    optimistic_adam(learning_rate=0.001, optimism=0.002)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        optimism: o ≥ 0, in the units of the parameters; None for η.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum in r; see `nadam`.

    Reference: Daskalakis et al., Training GANs with optimism, 2017,
        https://arxiv.org/abs/1711.00141
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(
            learning_rate, learning_rate if optimism is None else optimism
        ),
        scale_by_learning_rate(1.0),  # the rates are part of the rule before
    )


@transformation(kind="optimizer")
def optimistic_adam_v2(
    learning_rate: LearningRate,
    *,
    alpha: NonNegative = 1.0,
    beta: NonNegative = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: Any = None,
    nesterov: bool = False,
):
    """Optimistic Adam with one learning rate for Adam's step and its change since the last.

        r = m̂ / (√(v̂ + eps_root) + eps),    m̂ and v̂ of `scale_by_adam`
        θ ← θ − η·(α·r + β·(r − r₋)),    in the first step θ − ηα·r

    It is `optimistic_adam` with the rate ηα and the optimism ηβ.

    >>> import gdjax as gd
    >>> gd.optimistic_adam_v2(1e-3, beta=2.0)
    optimistic_adam_v2(learning_rate=0.001, beta=2.0)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        alpha: α ≥ 0.
        beta: β ≥ 0, the optimism.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean squared gradient, in [0, 1).
        eps: In the units of the gradient.
        eps_root: Added under the root.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.
        nesterov: Uses Nesterov momentum in r; see `nadam`.

    Reference: Daskalakis et al., Training GANs with optimism, 2017,
        https://arxiv.org/abs/1711.00141
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(alpha, beta),
        scale_by_learning_rate(learning_rate),
    )

"""Sophia: momentum divided by an estimate of the Hessian's diagonal, and clipped."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, Mask, NonNegative, WeightDecay
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import errors, tree
from gdjax.core.rule.branch import refresh_if
from gdjax.core.rule.numerics import ema, increment, safe_divide, zero_count
from gdjax.core.rule.roles import Count, Mean, PerParam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.curvature import hutchinson_estimator_diag_hessian
from gdjax.transforms.decay import add_decayed_weights

__all__ = [
    "SophiaState",
    "scale_by_sophia",
    "sophia",
]


class SophiaState(NamedTuple):
    """State of `scale_by_sophia`."""

    count: Count
    mu: Mean  # of the gradients
    nu: PerParam  # mean diagonal of the Hessian: of either sign, and divided by
    hessian_fn_state: Any  # the state of the estimator


@transformation
def scale_by_sophia(
    b1: Decay = 0.965,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    gamma: NonNegative = 0.01,
    clipping_threshold: NonNegative | None = 1.0,
    every: int = 10,
    hessian_diagonal_fn: Any = None,
    mu_dtype: Any = None,
):
    """Sophia scaling: first moment over a moving average of the Hessian diagonal, clipped.

        m ← b1·m + (1 − b1)·g
        h ← b2·h + (1 − b2)·ĥ    in the first of every k steps
        u = clip(m / max(γ·h, eps), ρ)

    Where the curvature is negative or small, u is ρ times the sign of m. Neither of the two means
    is bias-corrected.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.scale_by_sophia(every=1), jnp.ones(2)
    >>> loss = lambda p: jnp.sum(jnp.array([1.0, -1.0]) * p**2)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(params), params, obj_fn=loss)[0]
    Array([ 1., -1.], dtype=float32)

    Args:
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean diagonal, in [0, 1).
        eps: The least denominator, ≥ 0.
        gamma: γ ≥ 0. The paper chooses it so that 10 to 50 percent of the entries are not clipped.
        clipping_threshold: ρ ≥ 0; None does not clip.
        every: k ≥ 1, the steps from one estimate to the next.
        hessian_diagonal_fn: A transformation whose updates are the estimate ĥ; by default
            `hutchinson_estimator_diag_hessian()`, which needs the extra argument `obj_fn`.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.

    Raises:
        ValueError: `every` is less than 1, or `update` was called without params.

    Reference: Liu et al., Sophia: a scalable stochastic second-order optimizer for language model
        pre-training, 2023, https://arxiv.org/abs/2305.14342
    """
    errors.check_counts("scale_by_sophia", every=every)
    estimator = hessian_diagonal_fn
    if estimator is None:
        estimator = hutchinson_estimator_diag_hessian()

    def init(params):
        mu, nu = tree.moment_like(params, mu_dtype), tree.square_like(params)
        return SophiaState(zero_count(), mu, nu, estimator.init(params))

    def leaf(g, m, h):
        m = ema(m, g, b1)
        d = jnp.maximum(gamma * h, eps)
        if clipping_threshold is None:
            return safe_divide(m, d), m
        # Divided only where the quotient is not clipped, so that m / d does not overflow.
        inside = jnp.abs(m) < clipping_threshold * d
        return jnp.where(inside, m / jnp.where(inside, d, 1), clipping_threshold * jnp.sign(m)), m

    def update(updates, state, params=None, **extra):
        def estimate(nu, inner):
            diagonal, inner = call_update(estimator, updates, inner, params, extra)
            return tree.evolve(lambda d, h: (d, ema(h, d, b2)), (diagonal, nu))[1], inner

        due = state.count % every == 0
        before = state.nu, state.hessian_fn_state
        nu, inner = refresh_if(due, lambda: estimate(*before), before)
        updates, mu = tree.evolve(leaf, (updates, state.mu), nu)
        return updates, SophiaState(increment(state.count), mu, nu, inner)

    return Rule(init, update, children=(Child("hessian", estimator, at="hessian_fn_state"),))


@transformation(kind="optimizer")
def sophia(
    learning_rate: LearningRate,
    b1: Decay = 0.965,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 1e-4,
    mask: Mask = None,
    gamma: NonNegative = 0.01,
    clipping_threshold: NonNegative | None = 1.0,
    every: int = 10,
    hessian_diagonal_fn: Any = None,
    mu_dtype: Any = None,
):
    """Sophia: momentum over the diagonal of the Hessian, clipped, with decoupled weight decay.

        θ ← θ − η·(clip(m / max(γ·h, eps), ρ) + λθ)

    `update` needs the extra argument `obj_fn`, the loss as a function of the parameters alone, for
    Hutchinson's estimate of the diagonal h of the Hessian.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> loss = lambda p: jnp.sum(jnp.array([1.0, 100.0]) * p**2)
    >>> tx, params = gd.sophia(1.0, gamma=10.0), jnp.array([1.0, 1.0])
    >>> grads, state = jax.grad(loss)(params), tx.init(params)
    >>> tx.update(grads, state, params, obj_fn=loss)[0].round(2)  # the curvatures cancel
    Array([-0.35, -0.35], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters.
        b1: Decay of the mean gradient, in [0, 1).
        b2: Decay of the mean diagonal, in [0, 1).
        eps: The least denominator, ≥ 0.
        weight_decay: λ ≥ 0, scaled by the rate.
        mask: Which parameters decay; see `add_decayed_weights`.
        gamma: γ ≥ 0, the weight of the curvature.
        clipping_threshold: ρ ≥ 0; None does not clip.
        every: k ≥ 1, the steps from one estimate to the next.
        hessian_diagonal_fn: A transformation whose updates are the estimate; Hutchinson's by
            default.
        mu_dtype: Dtype in which m is kept; float32 or wider by default.

    Raises:
        ValueError: `update` was called without params.

    Reference: Liu et al., Sophia: a scalable stochastic second-order optimizer for language model
        pre-training, 2023, https://arxiv.org/abs/2305.14342
    """
    return chain(
        scale_by_sophia(
            b1, b2, eps, gamma, clipping_threshold, every, hessian_diagonal_fn, mu_dtype
        ),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )

"""RMSProp: gradients divided by the root of their mean square; plain and centered."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Decay, LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, debias, divide_by_root, ema, increment, zero_count
from gdjax.core.rule.roles import Count, MeanSquare, PerParam
from gdjax.transforms.basic import scale_by_learning_rate
from gdjax.transforms.momentum import trace

__all__ = ["ScaleByRmsState", "ScaleByStdDevState", "rmsprop", "scale_by_rms", "scale_by_stddev"]


class ScaleByRmsState(NamedTuple):
    """State of `scale_by_rms`."""

    count: Count
    nu: MeanSquare  # of the gradients


@transformation
def scale_by_rms(
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    eps_in_sqrt: bool = False,
    bias_correction: bool = False,
):
    """RMSProp scaling: gradient over the root of the mean squared gradient.

        G ← α·G + (1 − α)·|g|²    Ĝ = G    u = g / (√Ĝ + ε)    G₀ = initial_scale
        with eps_in_sqrt:         u = g / √(Ĝ + ε)
        with bias_correction:     Ĝ = G / (1 − αᵗ)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([3.0, -0.5])
    >>> tx = gd.scale_by_rms(0.75)
    >>> tx.update(g, tx.init(g))[0]
    Array([ 2., -2.], dtype=float32)

    Args:
        decay: α in [0, 1).
        eps: ε ≥ 0, in the units of the gradient, or of its square under the root.
        initial_scale: G before the first step.
        eps_in_sqrt: Puts ε under the root, as optax does.
        bias_correction: Divides the average by 1 − αᵗ.

    Reference: Hinton, Neural networks for machine learning, lecture 6e, 2012,
        https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
    """

    def init(params):
        return ScaleByRmsState(zero_count(), tree.square_like(params, initial_scale))

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c = debias(decay, t) if bias_correction else 1.0

        def leaf(g, G):
            G = ema(G, abs_sq(g), decay)
            return divide_by_root(g, G / c, eps, eps_in_sqrt), G

        updates, nu = tree.evolve(leaf, (updates, state.nu))
        return updates, ScaleByRmsState(t, nu)

    return init, update


class ScaleByStdDevState(NamedTuple):
    """State of `scale_by_stddev`."""

    count: Count
    mu: PerParam  # mean of the gradients, exact: |mu|² is subtracted from nu
    nu: PerParam  # mean of their squares


@transformation
def scale_by_stddev(
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    eps_in_sqrt: bool = False,
    bias_correction: bool = False,
):
    """Centered RMSProp scaling: gradient over its running standard deviation.

        m ← α·m + (1 − α)·g       G ← α·G + (1 − α)·|g|²    G₀ = initial_scale
        s = max(G − |m|², 0)      u = g / (√s + ε)
        with bias_correction:     s = max(G / (1 − αᵗ) − |m / (1 − αᵗ)|², 0)
        with eps_in_sqrt:         u = g / √(s + ε)

    The variance is 0 where rounding would make it negative.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([3.0, -0.5])
    >>> tx = gd.scale_by_stddev(0.5)
    >>> tx.update(g, tx.init(g))[0]
    Array([ 2., -2.], dtype=float32)

    Args:
        decay: α in [0, 1), for both averages.
        eps: ε ≥ 0, in the units of the gradient, or of its square under the root.
        initial_scale: G before the first step.
        eps_in_sqrt: Puts ε under the root, as optax does.
        bias_correction: Divides both averages by 1 − αᵗ.

    Reference: Graves, Generating sequences with recurrent neural networks, 2013,
        https://arxiv.org/abs/1308.0850
    """

    def init(params):
        return ScaleByStdDevState(
            zero_count(), tree.moment_like(params), tree.square_like(params, initial_scale)
        )

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        c = debias(decay, t) if bias_correction else 1.0

        def leaf(g, m, G):
            m, G = ema(m, g, decay), ema(G, abs_sq(g), decay)
            variance = jnp.maximum(G / c - abs_sq(m / c), 0)
            return divide_by_root(g, variance, eps, eps_in_sqrt), m, G

        updates, mu, nu = tree.evolve(leaf, (updates, state.mu, state.nu))
        return updates, ScaleByStdDevState(t, mu, nu)

    return init, update


@transformation(kind="optimizer")
def rmsprop(
    learning_rate: LearningRate,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    eps_in_sqrt: bool = False,
    centered: bool = False,
    momentum: Decay | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
):
    """RMSProp: gradient divided by the root of its mean square, optionally with momentum.

        G ← α·G + (1 − α)·g²,    G₀ = initial_scale
        with centered:       m ← α·m + (1 − α)·g
        u = g / (√G + ε)
        with centered:       u = g / (√max(G − m², 0) + ε)
        without momentum:    θ ← θ − η·u
        with momentum:       v ← μ·v + u,    θ ← θ − η·v
        with nesterov:       θ ← θ − η·(u + μ·v)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.rmsprop(0.1)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]  # 0.1 / √0.1
    Array([-0.31622776], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        decay: α in [0, 1).
        eps: ε ≥ 0.
        initial_scale: G₀ ≥ 0.
        eps_in_sqrt: Puts ε under the root, as optax does; see `scale_by_rms`.
        centered: Divides by the standard deviation.
        momentum: μ in [0, 1); None for no momentum.
        nesterov: Makes the momentum Nesterov's.
        bias_correction: Divides averages by 1 − αᵗ; see `scale_by_rms`.

    Reference: Hinton, Neural networks for machine learning, lecture 6e, 2012,
        https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
    """
    rule = scale_by_stddev if centered else scale_by_rms
    parts = [rule(decay, eps, initial_scale, eps_in_sqrt, bias_correction)]
    if momentum is not None:
        parts.append(trace(momentum, nesterov))
    return chain(*parts, scale_by_learning_rate(learning_rate))

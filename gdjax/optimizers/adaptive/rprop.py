"""Rprop: resilient backpropagation, step sizes from the signs of the gradients."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from gdjax.core.data.hyperparams import LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import after, like
from gdjax.core.rule.roles import LastGradient, PerParam
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["ScaleByRpropState", "rprop", "scale_by_rprop"]


class ScaleByRpropState(NamedTuple):
    """State of `scale_by_rprop`."""

    step_sizes: PerParam  # real
    prev_updates: LastGradient  # 0 where the sign has changed


@transformation
def scale_by_rprop(
    learning_rate: LearningRate,
    eta_minus: NonNegative = 0.5,
    eta_plus: NonNegative = 1.2,
    min_step_size: NonNegative = 1e-6,
    max_step_size: NonNegative = 50.0,
):
    """Rprop scaling: per-entry step sizes, from the signs of successive gradients.

        g·g₋ > 0:   Δ ← η⁺·Δ
        g·g₋ < 0:   Δ ← η⁻·Δ,    g ← 0
        Δ ← min(max(Δ, Δmin), Δmax),    Δ₀ = learning_rate
        u = Δ·sign(g)

    Where the sign of a gradient changes, the entry is not updated in that step and keeps its step
    size in the next: the paper's iRprop−, which is also torch's.

    >>> import gdjax as gd
    >>> gd.chain(gd.scale_by_rprop(learning_rate=0.1), gd.scale_by_learning_rate(1.0))
    chain(scale_by_rprop(learning_rate=0.1), scale_by_learning_rate(learning_rate=1.0))

    Args:
        learning_rate: Δ before the first step, in the units of the parameters.
        eta_minus: η⁻, in [0, 1].
        eta_plus: η⁺ ≥ 1.
        min_step_size: Δmin, in the units of the parameters.
        max_step_size: Δmax, in the units of the parameters.

    Reference: Igel and Hüsken, Empirical evaluation of the improved Rprop learning algorithms,
        2003, https://doi.org/10.1016/S0925-2312(01)00700-7; Riedmiller and Braun, A direct
        adaptive method for faster backpropagation learning: the RPROP algorithm, 1993,
        https://doi.org/10.1109/ICNN.1993.298623
    """

    def init(params):
        sizes = tree.square_like(params, learning_rate)
        return ScaleByRpropState(sizes, tree.moment_like(params))

    def update(updates, state, params=None, **extra):
        def leaf(g, size, before):
            # Of signs: the product of two gradients may underflow. For complex g, the cosine.
            agreement = jnp.real(jnp.sign(g) * jnp.conj(jnp.sign(before)))
            turned = agreement < 0
            factor = jnp.where(turned, eta_minus, jnp.where(agreement > 0, eta_plus, 1))
            size = after(jnp.clip(size * like(factor, size), min_step_size, max_step_size), g)
            g = after(jnp.where(turned, 0, g), size)
            return like(size, g) * jnp.sign(g), size, g

        trees = updates, state.step_sizes, state.prev_updates
        updates, sizes, before = tree.evolve(leaf, trees)
        return updates, ScaleByRpropState(sizes, before)

    return init, update


@transformation(kind="optimizer")
def rprop(
    learning_rate: LearningRate,
    eta_minus: NonNegative = 0.5,
    eta_plus: NonNegative = 1.2,
    min_step_size: NonNegative = 1e-6,
    max_step_size: NonNegative = 50.0,
):
    """Rprop: resilient backpropagation, step sizes from gradient signs; for full batches.

        g·g₋ > 0:   Δ ← η⁺·Δ
        g·g₋ < 0:   Δ ← η⁻·Δ,    g ← 0
        Δ ← min(max(Δ, Δmin), Δmax),    Δ₀ = learning_rate
        θ ← θ − Δ·sign(g)

    Only the signs of the gradients matter, so noise that changes signs does harm: with small
    batches Δ shrinks down to Δmin.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.rprop(0.1)
    >>> u, state = tx.update(jnp.array([3.0, -0.1]), tx.init(jnp.zeros(2)))
    >>> u, tx.update(jnp.array([2.0, 0.1]), state)[0]  # the second has turned
    (Array([-0.1,  0.1], dtype=float32), Array([-0.12, -0.  ], dtype=float32))

    Args:
        learning_rate: Δ before the first step, in the units of the parameters.
        eta_minus: η⁻, in [0, 1].
        eta_plus: η⁺ ≥ 1.
        min_step_size: Δmin, in the units of the parameters.
        max_step_size: Δmax, in the units of the parameters.

    Reference: Igel and Hüsken, Empirical evaluation of the improved Rprop learning algorithms,
        2003, https://doi.org/10.1016/S0925-2312(01)00700-7; Riedmiller and Braun, A direct
        adaptive method for faster backpropagation learning: the RPROP algorithm, 1993,
        https://doi.org/10.1109/ICNN.1993.298623
    """
    return chain(
        scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size),
        scale_by_learning_rate(1.0),  # the rate is in the step sizes
    )

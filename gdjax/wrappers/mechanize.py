"""Mechanic: a learning rate tuner for any optimizer."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.rule import Child, Rule, at_params
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import increment, safe_divide, weak, zero_count
from gdjax.core.rule.roles import Count, PerParam, Scalars

__all__ = ["MechanicState", "mechanize"]


class MechanicState(NamedTuple):
    """State of `mechanize`; the arrays [n] are as wide as the widest leaf."""

    base_optimizer_state: Any
    count: Count
    r: Scalars  # [n]: reward
    m: Scalars  # [n]: decayed maximum of |h|
    v: Scalars  # [n]: root of the decayed sum of h², which float32 could not hold
    s: Scalars  # [n]: the factors, which are added up
    x0: PerParam  # where the run began
    delta: PerParam  # sum of the steps of the base, float32 or wider


@transformation(kind="wrapper")
def mechanize(
    inner: Any,
    weight_decay: NonNegative = 1e-2,
    eps: NonNegative = 1e-8,
    s_init: NonNegative = 1e-6,
    num_betas: int = 6,
):
    """Mechanic, a learning rate tuner: learns a scale for the updates of any optimizer.

        h = ⟨Δ, g + λ·Σs·‖g‖·θ/‖θ‖⟩
        m ← max(β·m, |h|)      v ← β²·v + h²      r ← max(β·r − s·h, 0)
        s ← (s₀·m/n + r) / (√v + eps)
        Δ ← Δ + inner(g)      θ ← θ₀ + Σs·Δ

    for n values of β: 0.9, 0.99, 0.999, … Only the shape of the schedule of `inner` matters: its
    learning rate may be scaled by any constant. The first update is zero.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> loss = lambda x: jnp.sum((x - 30.0) ** 2)
    >>> result = gd.minimize(loss, jnp.zeros(2), gd.mechanize(gd.adam(1.0)), 300)
    >>> bool(loss(result.params) < 1.0)
    True

    Args:
        inner: The transformation, its learning rate included.
        weight_decay: λ ≥ 0, a decay of the scale and not of the parameters.
        eps: In the units of h, the gradient times the updates of `inner`.
        s_init: s₀ ≥ 0, the initial scale.
        num_betas: n, from 1 to 1000.

    Raises:
        ValueError: `update` was called without params, or `num_betas` is no number from 1 to
            1000.

    Reference: Cutkosky, Defazio and Mehta, Mechanic: a learning rate tuner, 2023,
        https://arxiv.org/abs/2306.00144
    """
    if not 1 <= num_betas <= 1000:
        errors.fail("mechanize", "num_betas must lie between 1 and 1000", num_betas)
    decays = 1 - 0.1 ** np.arange(1, num_betas + 1)

    def init(params):
        def zeros():
            return tree.scalar_like(params) + jnp.zeros(num_betas, tree.scalar_like(params).dtype)

        return MechanicState(
            inner.init(params),
            zero_count(),
            zeros(),
            zeros(),
            zeros(),
            zeros(),
            tree.copy(params),
            tree.moment_like(params),
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("mechanize", params)
        _, _, r, m, v, s, x0, delta = state
        beta = jnp.asarray(decays, s.dtype)
        lengths = (numerics.like(tree.norm(x), s) for x in (updates, params))
        h = numerics.like(tree.vdot(updates, delta), s)
        pull = weight_decay * jnp.sum(s) * safe_divide(*lengths)
        h = h + pull * numerics.like(tree.vdot(params, delta), s)
        m = jnp.maximum(beta * m, jnp.abs(h))
        v = numerics.norm(jnp.stack([beta * v, jnp.broadcast_to(h, v.shape)]), axis=0)
        r = jnp.maximum(beta * r - s * h, 0)
        s = safe_divide(s_init / num_betas * m + r, v + eps)
        steps, base = call_update(inner, updates, state.base_optimizer_state, params, extra)
        factor = weak(jnp.sum(s))

        def leaf(u, delta, x0, x):
            delta = delta + numerics.after(u, factor)  # which needs the old ones
            return x0 - x + factor * delta, delta

        u, delta = tree.evolve(leaf, (steps, delta), x0, params)
        return u, MechanicState(base, increment(state.count), r, m, v, s, x0, delta)

    # What the base would evaluate at lies on its own way, not on the one that is gone.
    return Rule(
        init,
        update,
        evaluate=at_params,
        couples=True,
        children=(Child("inner", inner, at="base_optimizer_state"),),
    )

"""EMA-Nesterov: gradients at a point ahead, along the moving average of parameter changes."""

from __future__ import annotations

from typing import Any, NamedTuple

from gdjax.core.data.hyperparams import Decay, NonNegative
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import numerics, tree
from gdjax.core.rule.numerics import ema, weak
from gdjax.core.rule.roles import Mean, Scalar

__all__ = ["EmaNesterovState", "ema_nesterov"]


class EmaNesterovState(NamedTuple):
    """State of `ema_nesterov`."""

    inner_state: Any
    step_size: Scalar  # β that the parameters were made with
    mu: Mean  # m, of the changes of the iterate, float32 or wider


@transformation(kind="wrapper")
def ema_nesterov(inner: Any, step_size: NonNegative = 0.5, decay: Decay = 0.99):
    """EMA-Nesterov: gradients at a point ahead, along the moving average of parameter changes.

        u = inner(g)
        m ← γ·m + (1 − γ)·(u + β·m)        m₀ = 0
        θ ← θ + u + β·m

    The trained parameters are θ = x + β·m, where x is the iterate: `inner` makes the next iterate
    of θ, x ← θ + u, and m is the moving average of its changes. `gd.state.eval_params` returns x.
    With γ = 0 it is Nesterov's extrapolation, along the last change of x alone. This wrapper must
    be the last to change the updates.

    The paper sets β to 0 in the warmup of the learning rate and in the last part of its decay, and
    lets it follow the rate between: give a schedule.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx, params = gd.ema_nesterov(gd.sgd(1.0), step_size=0.5, decay=0.5), jnp.zeros(1)
    >>> params, state = tx.step(jnp.array([-4.0]), tx.init(params), params)
    >>> params, gd.state.eval_params(tx, state, params)
    (Array([5.], dtype=float32), Array([4.], dtype=float32))

    Args:
        inner: The optimizer, its learning rate and weight decay included.
        step_size: β ≥ 0, how far ahead. The value of a schedule in a step makes the parameters that
            the next gradient is computed at.
        decay: γ in [0, 1), the decay of the average.

    Reference: Yau, Li, Glentis, Boreiko, Wai and Hong, EMA-Nesterov: stabilizing Nesterov's
        lookahead for accelerated deep learning optimization, 2026,
        https://arxiv.org/abs/2605.25395
    """

    def init(params):
        return EmaNesterovState(
            inner.init(params), tree.scalar_like(params, step_size), tree.moment_like(params)
        )

    def update(updates, state, params=None, **extra):
        steps, inner_state = call_update(inner, updates, state.inner_state, params, extra)
        before = weak(state.step_size)

        def leaf(u, m):
            m = ema(m, u + before * m, decay)
            return u + step_size * m, m

        updates, mu = tree.evolve(leaf, (steps, state.mu))
        return updates, EmaNesterovState(inner_state, numerics.like(step_size, before), mu)

    def evaluate(state, params):
        back = -weak(state.step_size)
        return tree.add(params, tree.map(lambda m: back * m, state.mu))

    return Rule(
        init, update, evaluate=evaluate, children=(Child("inner", inner, at="inner_state"),)
    )

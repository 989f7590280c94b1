"""AdaGrad: gradients divided by the root of the sum of all squared gradients."""

from __future__ import annotations

from typing import NamedTuple

from gdjax.core.data.hyperparams import LearningRate, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import abs_sq, divide_by_root
from gdjax.core.rule.roles import SumOfSquares
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["ScaleByRssState", "adagrad", "scale_by_rss"]


class ScaleByRssState(NamedTuple):
    """State of `scale_by_rss`."""

    sum_of_squares: SumOfSquares  # of the gradients


@transformation
def scale_by_rss(
    initial_accumulator_value: NonNegative = 0.0,
    eps: NonNegative = 1e-8,
    *,
    eps_in_sqrt: bool = False,
):
    """AdaGrad scaling: gradient over the root of the sum of all squared gradients.

        G ← G + |g|²              u = g / (√G + ε)    G₀ = initial_accumulator_value
        with eps_in_sqrt:         u = g / √(G + ε)

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([3.0, -0.5])
    >>> tx = gd.scale_by_rss()
    >>> tx.update(g, tx.init(g))[0]
    Array([ 1., -1.], dtype=float32)

    Args:
        initial_accumulator_value: G before the first step; 0 in the paper, 0.1 in optax.
        eps: ε, in the units of the gradient, or of its square under the root.
        eps_in_sqrt: Puts ε under the root.

    Reference: Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and
        stochastic optimization, 2011, https://jmlr.org/papers/v12/duchi11a.html
    """

    def init(params):
        return ScaleByRssState(tree.square_like(params, initial_accumulator_value))

    def update(updates, state, params=None, **extra):
        def leaf(g, G):
            G = G + abs_sq(g)
            return divide_by_root(g, G, eps, eps_in_sqrt), G

        updates, sums = tree.evolve(leaf, (updates, state.sum_of_squares))
        return updates, ScaleByRssState(sums)

    return init, update


@transformation(kind="optimizer")
def adagrad(
    learning_rate: LearningRate,
    initial_accumulator_value: NonNegative = 0.0,
    eps: NonNegative = 1e-8,
    *,
    eps_in_sqrt: bool = False,
):
    """AdaGrad: gradient divided by the root of the sum of all squared gradients, entry by entry.

        G ← G + g²,   θ ← θ − η·g / (√G + ε),   G₀ = initial_accumulator_value

    Steps shrink like 1/√t, whatever the rate: good for convex losses and sparse gradients, slow
    in long runs.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.adagrad(0.5)
    >>> tx.update(jnp.array([4.0, -0.01]), tx.init(jnp.zeros(2)))[0]
    Array([-0.5      ,  0.4999995], dtype=float32)

    Args:
        learning_rate: η ≥ 0, in the units of the parameters: the length of the first step.
        initial_accumulator_value: G₀ ≥ 0; 0.1 in optax.
        eps: ε ≥ 0.
        eps_in_sqrt: Puts ε under the root, as optax does.

    Reference: Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and
        stochastic optimization, 2011, https://jmlr.org/papers/v12/duchi11a.html
    """
    return chain(
        scale_by_rss(initial_accumulator_value, eps, eps_in_sqrt=eps_in_sqrt),
        scale_by_learning_rate(learning_rate),
    )

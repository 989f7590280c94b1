"""Primal averaging: gradients at an interpolation between the iterates and their average."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax

from gdjax.core.data.hyperparams import Decay, Range, ScalarOrSchedule
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import weak
from gdjax.core.rule.roles import PerParam, Scalar

__all__ = ["GeneralizedPrimalAveragingState", "generalized_primal_averaging"]

Share = Annotated[ScalarOrSchedule, Range(low=0.0, high=1.0, open_low=True)]  # of the average


def move(steps: Any, z: Any, y: Any, share: Any, before: jax.Array, weight: Any) -> tuple[Any, Any]:
    """One step of primal averaging: the change of the interpolation y, and the new iterate z.

    With z⁺ = z + u, x⁺ = (1 − c)·x + c·z⁺ and y⁺ = (1 − b)·z⁺ + b·x⁺. The average x is not stored:
    it follows from y = (1 − b₀)·z + b₀·x, and cancels so that nothing is divided by a small number.

    Args:
        steps: u, the updates of the inner transformation.
        z: The iterate of the inner transformation.
        y: The parameters.
        share: b of the step.
        before: b₀, the one that y was made with, [].
        weight: c, [].
    """
    ratio = weak(numerics.like(share, before) / before)
    weight = weak(weight)
    of_step = (1 - weight) * (ratio - share)
    of_gap = weight + (1 - weight) * (1 - ratio)

    def leaf(u, z, y):
        z = z + u
        return of_step * u + of_gap * (z - y), z  # of the new z alone: it overwrites the old one

    return tree.evolve(leaf, (steps, z), y)


def average(share: jax.Array, z: Any, y: Any) -> Any:
    """The average x, of y = (1 − b)·z + b·x, in the dtypes of y."""
    of_gap = weak((share - 1) / share)
    return tree.add(y, tree.map(lambda y, z: of_gap * (z - y), y, z))


class GeneralizedPrimalAveragingState(NamedTuple):
    """State of `generalized_primal_averaging`."""

    base_optimizer_state: Any
    mu_y: Scalar  # the share that the parameters were made with
    z: PerParam  # where the base optimizer is, float32 or wider


@transformation(kind="wrapper")
def generalized_primal_averaging(
    inner: Any, mu_x: Decay = 0.9967, mu_y: Share = 0.7, *, state_dtype: Any = None
):
    """Generalized primal averaging (GPA): gradients between the iterates and their average.

        z ← z + u of `inner`       x ← μx·x + (1 − μx)·z       y = μy·x + (1 − μy)·z

    The trained parameters are y; `gd.state.eval_params` returns x, at which the model is
    evaluated. With `inner=sgd(η)`, μy = μx is Nesterov momentum and μy = 1 heavy-ball momentum,
    both with the learning rate η·(1 − μx).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.generalized_primal_averaging(gd.sgd(1.0), mu_x=0.75, mu_y=0.5)
    >>> y, state = tx.step(jnp.array([8.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))
    >>> y, gd.state.eval_params(tx, state, y)
    (Array([-5.], dtype=float32), Array([-2.], dtype=float32))

    Args:
        inner: The transformation that updates z, its learning rate included. Its parameters are
            y, so its weight decay applies to y.
        mu_x: μx in [0, 1), the decay of the average.
        mu_y: μy in (0, 1], the weight of the average in the trained parameters.
        state_dtype: Dtype in which z is kept; float32 or wider by default.

    Raises:
        ValueError: `update` was called without params.

    Reference: Defazio, Mishchenko, Raman, Shi and Xiao, Smoothing DiLoCo with primal averaging for
        faster training of LLMs, 2025, https://arxiv.org/abs/2512.17131
    """

    def init(params):
        return GeneralizedPrimalAveragingState(
            inner.init(params),
            tree.scalar_like(params, mu_y),
            tree.add(tree.moment_like(params, state_dtype), params),
        )

    def update(updates, state, params=None, **extra):
        errors.need_params("generalized_primal_averaging", params)
        steps, base = call_update(inner, updates, state.base_optimizer_state, params, extra)
        u, z = move(steps, state.z, params, mu_y, state.mu_y, 1 - mu_x)
        return u, GeneralizedPrimalAveragingState(base, numerics.like(mu_y, state.mu_y), z)

    def evaluate(state, params):
        return average(state.mu_y, state.z, params)

    return Rule(
        init,
        update,
        evaluate=evaluate,
        children=(Child("inner", inner, at="base_optimizer_state"),),
    )

"""Polyak step size: the gap of the loss to its minimum over the squared gradient norm."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.data.hyperparams import Hyperparam, NonNegative
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import EmptyState, Rule
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import safe_divide, weak
from gdjax.transforms.basic import scale_by_learning_rate

__all__ = ["polyak_sgd", "scale_by_polyak"]


@transformation
def scale_by_polyak(
    f_min: Hyperparam = 0.0,
    max_learning_rate: NonNegative = 1.0,
    eps: NonNegative = 0.0,
    variant: str = "sps",
):
    """Polyak scaling: gradient times the Polyak step size, at most `max_learning_rate`.

        d = f − f_min                 u = min(d / (‖g‖² + eps), η_max) · g
        with "sps+": d = max(f − f_min, 0)

    The norm is over all leaves. Where the gradient is zero, so is u.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.scale_by_polyak()
    >>> tx.update(jnp.array([2.0, 0.0]), tx.init(jnp.zeros(2)), value=2.0)[0]
    Array([1., 0.], dtype=float32)

    Args:
        f_min: The minimum of the loss, or a lower bound on it.
        max_learning_rate: η_max ≥ 0.
        eps: In the units of the squared gradient.
        variant: `"sps"`, or `"sps+"`, which takes no step uphill where f_min is too high.

    Raises:
        TypeError: `update` was called without `value`, the loss f.
        ValueError: Unknown `variant`.

    Reference: Loizou, Vaswani, Laradji and Lacoste-Julien, Stochastic Polyak step-size for SGD: an
        adaptive learning rate for fast convergence, 2021, https://arxiv.org/abs/2002.10542
    """
    if variant not in ("sps", "sps+"):
        errors.fail("scale_by_polyak", "variant must be 'sps' or 'sps+'", variant)

    def update(updates, state, params=None, *, value, **extra):
        square = tree.norm(updates) ** 2
        gap = numerics.like(value, square) - f_min
        gap = jnp.maximum(gap, 0) if variant == "sps+" else gap
        rate = weak(jnp.minimum(safe_divide(gap, square + eps), max_learning_rate))
        return tree.map(lambda g: rate * g, updates), state

    return Rule(lambda params: EmptyState(), update, couples=True)


@transformation(kind="optimizer")
def polyak_sgd(
    max_learning_rate: NonNegative = 1.0,
    scaling: NonNegative = 1.0,
    f_min: Hyperparam = 0.0,
    eps: NonNegative = 0.0,
    variant: str = "sps",
):
    """SGD with the Polyak step size: the gap of the loss over the squared gradient norm.

        d = f − f_min                 θ ← θ − c · min(d / (‖g‖² + eps), η_max) · g
        with "sps+": d = max(f − f_min, 0)

    `update` needs the loss as an extra argument: `tx.update(grads, state, params, value=loss)`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> loss = lambda x: jnp.sum(x**2)
    >>> gd.minimize(loss, jnp.array([3.0, 4.0]), gd.polyak_sgd(), 2).params
    Array([0.75, 1.  ], dtype=float32)

    Args:
        max_learning_rate: η_max ≥ 0.
        scaling: c ≥ 0, which may follow a schedule.
        f_min: The minimum of the loss, or a lower bound on it.
        eps: In the units of the squared gradient.
        variant: `"sps"`, or `"sps+"`, which takes no step uphill where f_min is too high.

    Raises:
        TypeError: `update` was called without `value`.

    Reference: Loizou, Vaswani, Laradji and Lacoste-Julien, Stochastic Polyak step-size for SGD: an
        adaptive learning rate for fast convergence, 2021, https://arxiv.org/abs/2002.10542
    """
    # The scaling comes after the step size, whose division would square it.
    return chain(
        scale_by_polyak(f_min, max_learning_rate, eps, variant), scale_by_learning_rate(scaling)
    )

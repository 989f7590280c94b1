"""Fenchel-Young losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.losses.arrays import paired

__all__ = ["make_fenchel_young_loss"]


def make_fenchel_young_loss(max_fun: Callable[..., Any]) -> Callable[..., jax.Array]:
    """Fenchel-Young loss of a convex function Ω*, the value of a regularized maximization.

        Ω*(s) = max_p ⟨p, s⟩ − Ω(p),   l(s, t) = Ω*(s) − ⟨s, t⟩,   ∇l = p*(s) − t

    The loss is convex, and minimal where the prediction p*(s) = ∇Ω*(s) is the target. The constant
    Ω(t), which would make the minimum 0 for all t, is not added; for the usual Ω it is 0 where t is
    a vertex.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> loss = gd.make_fenchel_young_loss(jax.scipy.special.logsumexp)
    >>> result = loss(jnp.array([[1.2, -0.8, -0.5]]), jnp.array([[1.0, 0.0, 0.0]]))
    >>> print(jnp.array_str(result, precision=4))
    [0.2761]

    Args:
        max_fun: Ω*, a function of an array [n] that returns a scalar.

    Returns:
        A function `(scores, targets, *args, **kwargs)` of arrays [..., n] that returns an array
        [...]; other arguments are passed to `max_fun`.

    Reference: Blondel, Martins and Niculae, Learning with Fenchel-Young losses, 2020,
        https://arxiv.org/abs/1901.02324
    """

    def fenchel_young_loss(scores: Any, targets: Any, *args: Any, **kwargs: Any) -> jax.Array:
        s, t = paired("fenchel_young_loss", scores=scores, targets=targets)
        highest = jnp.vectorize(lambda x: max_fun(x, *args, **kwargs), signature="(n)->()")
        return highest(s) - jnp.sum(s * t, axis=-1)

    return fenchel_young_loss

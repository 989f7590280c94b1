"""Cautious optimizers: updates masked where they disagree with the gradient."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import call_update, transformation
from gdjax.core.rule import tree

__all__ = ["cautious"]


@transformation(kind="wrapper")
def cautious(inner: Any, xi: NonNegative = 1.0):
    """Cautious optimizer: zeroes updates that disagree with the gradient and rescales the rest.

        v = inner(g)                  φ = 1 if v·g < 0, else 0
        u = φ·v · size(g) / (Σφ + ξ)

    `inner` is a whole optimizer: its updates v are added to the parameters, so descent has the sign
    opposite to g. Put weight decay behind it, outside of the comparison:
    `chain(cautious(adam(η)), decay_weights(ηλ))`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.cautious(gd.sgd(0.1, momentum=0.9), xi=0.0)
    >>> state = tx.init(jnp.zeros(2))
    >>> _, state = tx.update(jnp.array([1.0, 1.0]), state)
    >>> tx.update(jnp.array([1.0, -0.5]), state)[0].round(4)  # by momentum alone -0.19, -0.04
    Array([-0.38,  0.  ], dtype=float32)

    Args:
        inner: The optimizer.
        xi: ξ ≥ 0; 0 in the authors' program, 1 in the paper.

    Reference: Liang et al., Cautious optimizers: improving training with one line of code, 2024,
        https://arxiv.org/abs/2411.16085
    """

    def leaf(u, g):
        # Signs and not u·g, which underflows; of complex numbers, the angle between them.
        if jnp.iscomplexobj(u):
            agree = jnp.real(jnp.conj(jnp.sign(u)) * jnp.sign(g)) < 0
        else:
            agree = jnp.sign(u) * jnp.sign(g) < 0
        count = jnp.sum(agree, dtype=u.real.dtype)
        total = count + xi  # 0 only where nothing agrees
        longer = agree.size / jnp.where(total == 0, 1, total)
        return jnp.where(agree, u * longer.astype(u.dtype), 0)

    def update(updates, state, params=None, **extra):
        steps, state = call_update(inner, updates, state, params, extra)
        return tree.map(leaf, steps, updates), state

    return Rule(lambda params: inner.init(params), update, children=(Child("inner", inner, at=()),))

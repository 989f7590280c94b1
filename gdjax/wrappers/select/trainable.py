"""Which parameters a transformation may move: wrappers keep no arrays for the others."""

from __future__ import annotations

from typing import Any

import jax

from gdjax.core.engine.transformation import GradientTransformation
from gdjax.core.rule import tree
from gdjax.wrappers.select.edit_chain import is_chain
from gdjax.wrappers.select.masked import frozen

__all__ = ["trained"]


def trained(tx: Any, params: Any) -> Any:
    """The parameters that a transformation may move, None in the place of those it never does.

    A wrapper that keeps an array for each parameter makes it of these, so that what is frozen
    inside costs nothing outside either.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.groups(gd.adam(1e-3), ("embed", gd.frozen))
    >>> trained(gd.apply_if_finite(tx), {"embed": jnp.ones(9), "w": jnp.ones(1)})
    {'embed': None, 'w': Array([1.], dtype=float32)}

    Args:
        tx: A transformation of any origin; another library's may move all.
        params: Parameters, or abstract values of them.
    """
    if not isinstance(tx, GradientTransformation):
        return params
    if tx == frozen:
        return jax.tree.map(lambda _: None, params)
    body = tx._machine.example()
    if isinstance(body, GradientTransformation):  # this one is an alias of it
        return trained(body, params)
    parts = body.parts(jax.eval_shape(body.init, params)) if body.parts else []
    if not parts or tx.arguments.get("outside") == "pass":
        return params
    if is_chain(tx):  # what leaves a chain is what its last stage gives
        return trained(parts[-1][1], params)
    shares = body.shares(params) if body.shares else [params] * len(parts)
    moved = [trained(part, share) for (_, part, _), share in zip(parts, shares)]
    return jax.tree.map(_any, *moved, is_leaf=tree.is_none)


def _any(*leaves: Any) -> Any:
    return next((x for x in leaves if x is not None), None)

"""Gradient centralisation."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree

__all__ = ["centralize"]


@transformation
def centralize(output_axis: int = 0):
    """Takes from the gradient of each weight vector its mean.

        u = g − mean(g)    over what leads to one output

    Where outputs are the first axis, as in torch, the mean is over all other axes; kernels of Flax
    and Haiku have their outputs last: `centralize(-1)`. Vectors and scalars pass as they are.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
    >>> gd.centralize().update(g, gd.EmptyState())[0].tolist()
    [[-1.0, 0.0, 1.0], [-2.0, -1.0, 3.0]]

    Args:
        output_axis: The axis that counts the weight vectors.

    Raises:
        ValueError: An array of two axes or more has no such axis.

    Reference: Yong et al., Gradient centralization: a new optimization technique for deep neural
        networks, 2020, https://arxiv.org/abs/2004.01461
    """

    def leaf(g):
        if g.ndim < 2:
            return g
        if not -g.ndim <= output_axis < g.ndim:
            must = f"output_axis must be an axis of every array, and one has {g.ndim}"
            errors.fail("centralize", must, output_axis)
        others = tuple(i for i in range(g.ndim) if i != output_axis % g.ndim)
        return g - jnp.mean(g, axis=others, keepdims=True)

    def update(updates, state, params=None, **extra):
        return tree.map(leaf, updates), state

    return lambda params: EmptyState(), update

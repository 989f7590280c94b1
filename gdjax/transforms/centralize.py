"""Gradient centralization."""

from __future__ import annotations

import jax.numpy as jnp

from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.rule import errors, tree

__all__ = ["centralize"]


@transformation
def centralize(output_axis: int = 0):
    """Gradient centralization: subtracts the mean of the gradient of each weight vector.

        u = g − mean(g)

    The mean is over the inputs of each output. By default the first axis is the output axis, as in
    torch, and the mean is over all other axes.
    Kernels of Flax and Haiku have their outputs last: `centralize(-1)`. Vectors and scalars stay
    unchanged.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> g = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
    >>> gd.centralize().update(g, gd.EmptyState())[0].tolist()
    [[-1.0, 0.0, 1.0], [-2.0, -1.0, 3.0]]

    Args:
        output_axis: The axis of the outputs, one weight vector for each.

    Raises:
        ValueError: An array of two or more axes does not have this axis.

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

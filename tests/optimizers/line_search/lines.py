"""What the tests of L-BFGS and of both line searches share: losses along a line, directions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

import gdjax as gd
from gdjax.core.rule import tree
from tests.references import loss


def bowl(sign):
    """Extra arguments for which ± the updates are the gradient of a parabola at the parameters."""

    def extra(params, updates):
        grad = tree.map(lambda g: sign * g, updates)

        def value_fn(at):
            total = jnp.zeros([])
            for x, start, g in zip(*map(jax.tree.leaves, (at, params, grad))):
                if tree.differentiable(x):
                    g = jnp.asarray(g).astype(jnp.result_type(float))
                    d = x.astype(g.dtype) - start.astype(g.dtype)
                    curvature = 1.0 + 0.3 * jnp.arange(d.size, dtype=d.dtype).reshape(d.shape)
                    total = total + jnp.sum(d * (g + curvature * d))
            return total

        return {"value": jnp.zeros([]), "grad": grad, "value_fn": value_fn}

    return extra


def of_problem(params, grads, t):
    """Extra arguments for a search on the problem of the references."""
    value_fn = lambda params: loss(params, t)
    return {"value": value_fn(params), "grad": grads, "value_fn": value_fn}


# Directions of transcriptions: makers of functions of θ and g.


def downhill():
    """Steepest descent."""
    return lambda theta, g: -g


def heavy_ball(mu):
    """A momentum, v ← μv + g, whose direction may lead uphill."""
    v = 0.0

    def direction(theta, g):
        nonlocal v
        v = mu * v + g
        return -v

    return direction


def momentum():
    """The heavy ball with μ = 0.9."""
    return heavy_ball(0.9)


def one_search(tx, function, start=None, at=0.0, direction=1.0):
    """One search from a point of the real line, along it: the move and the state."""
    at, direction = jnp.asarray(at), jnp.asarray(direction)
    state = tx.init(at)
    if start is not None:
        state = state._replace(learning_rate=jnp.asarray(start))
    value, grad = jax.value_and_grad(function)(at)
    return tx.update(direction, state, at, value=value, grad=grad, value_fn=function)


SEARCHES = {
    "zoom": gd.scale_by_zoom_linesearch(6),
    "backtracking": gd.scale_by_backtracking_linesearch(6, store_grad=True),
}


def valley(x):
    return jnp.sum((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2)

"""What the tests of wrappers share: small parameters, and a run by `step` and by `update`."""

import jax
import jax.numpy as jnp

import gdjax as gd
from tests.helpers import close

PARAMS = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "gain": jnp.ones([])}
GRADS = jax.tree.map(lambda p: 2.0 * p, PARAMS)


def zeros(updates):
    return all(not u.any() for u in jax.tree.leaves(updates))


def go(tx, gradients, params, **extra):
    """Parameters after each of some gradients, by `step` and by `update`, which must agree."""
    state = other = tx.init(params)
    params_, path = params, []
    for g in gradients:
        params, state = tx.step(g, state, params, **extra)
        updates, other = tx.update(g, other, params_, **extra)
        params_ = gd.apply_updates(params_, updates)
        close((params_, other), (params, state), rtol=1e-6)
        path.append(params)
    return path, state


NAN = jnp.asarray([jnp.nan, 1.0])
ONE = jnp.ones(2)

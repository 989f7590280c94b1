"""What the tests of `compat.optax` share: small trees, and calls written once for both."""

from __future__ import annotations

import jax.numpy as jnp

PARAMS = {"w": jnp.array([1.0, -2.0, 0.5]), "b": jnp.array(0.5)}
GRADS = {"w": jnp.array([1.0, 2.0, 3.0]), "b": jnp.array(4.0)}
MASK = {"w": True, "b": False}


def even(step, **extra):
    return step % 2 == 0


def decaying(o):
    return o.exponential_decay(0.1, 5, 0.5)


def make(text, o):
    """The call, made by the namespace o."""
    return eval(text, {"o": o, "MASK": MASK, "decaying": decaying, "even": even})

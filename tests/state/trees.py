"""What the tests of states share."""

from __future__ import annotations

import jax.numpy as jnp

import gdjax as gd

PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
GRADS = {"w": jnp.array([0.3, 0.1]), "b": jnp.array(-0.2)}


def falling(step):
    return 0.1 / (1.0 + step.astype(float))


NAMED = gd.chain(
    clip=gd.clip_by_global_norm(1.0),
    opt=gd.adamw(falling, weight_decay=gd.live(0.1)),
    after=gd.chain(gd.trace(0.9), gd.chain(deep=gd.ema(0.5))),
)

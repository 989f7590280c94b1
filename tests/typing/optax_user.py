"""Where optax's class is annotated, transformations of gdjax are taken. Read by pyright.

`# error` marks what has to be refused. It is never run.
"""

import jax.numpy as jnp
import optax
from flax import nnx
from flax.training.train_state import TrainState

import gdjax as gd
from gdjax.compat.optax.convert import to_optax


def takes(tx: optax.GradientTransformation) -> None:
    """A client."""


tx = gd.adamw(1e-3)
takes(tx)
takes(gd.chain(gd.clip(1.0), tx))
takes(to_optax(tx))
optax.chain(optax.clip(1.0), tx)
optax.apply_updates({"w": jnp.ones(2)}, {"w": jnp.ones(2)})
gd.chain(optax.clip(1.0), tx)
model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
nnx.Optimizer(model, tx, wrt=nnx.Param)
TrainState.create(apply_fn=print, params={"w": jnp.ones(2)}, tx=tx)

takes(gd.adamw)  # error
takes(gd.linear_schedule(1.0, 0.0, 10))  # error
nnx.Optimizer(model, "adamw", wrt=nnx.Param)  # error

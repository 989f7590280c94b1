"""Train a Flax Linen model and its TrainState with gdjax: python docs/recipes/flax_linen.py."""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from flax import linen as nn
from flax.training.train_state import TrainState

import gdjax as gd
from gdjax.compat.optax import from_optax_state


# --8<-- [start:model]
class Backbone(nn.Module):
    dtype: Any

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(16, param_dtype=self.dtype)(x)
        return nn.relu(nn.LayerNorm(param_dtype=self.dtype)(x))


class Classifier(nn.Module):
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        x = Backbone(self.dtype, name="backbone")(x)
        return nn.Dense(3, param_dtype=self.dtype, name="head")(x)


def loss_fn(params, apply_fn, x, y):
    logits = apply_fn({"params": params}, x)
    return gd.losses.softmax_cross_entropy_with_integer_labels(logits, y).mean()


x = jax.random.normal(jax.random.key(0), (8, 32, 8))  # 8 batches of 32 examples
y = jnp.argmax(x[..., :3], axis=-1)
# --8<-- [end:model]

# --8<-- [start:schedule]
rate = gd.warmup_cosine_decay_schedule(0.0, 0.05, warmup_steps=5, decay_steps=20)
# --8<-- [end:schedule]
# --8<-- [start:no_decay]
adamw = gd.adamw(rate, weight_decay=0.1, mask=~gd.by_bias_or_norm())
# --8<-- [end:no_decay]
# --8<-- [start:clipping]
clipped = gd.chain(gd.clip_by_global_norm(1.0), adamw)
# --8<-- [end:clipping]
# --8<-- [start:ema]
with_average = gd.with_ema(clipped, decay=0.8)


def averaged(state):
    return gd.state.eval_params(state.tx, state.opt_state, state.params)


# --8<-- [end:ema]
# --8<-- [start:accumulation]
tx = gd.accumulate(with_average, every=2)
# --8<-- [end:accumulation]


# --8<-- [start:logging]
@jax.jit
def train_step(state, x, y):
    loss, grads = jax.value_and_grad(loss_fn)(state.params, state.apply_fn, x, y)
    state = state.apply_gradients(grads=grads)
    return state, {"loss": loss, **gd.state.metrics(state.opt_state)}


def train(state, steps):
    logs = []
    for i in steps:
        state, log = train_step(state, x[i % 8], y[i % 8])
        logs.append(jax.tree.map(float, log))
    return state, logs


# --8<-- [end:logging]
# --8<-- [start:train]
model = Classifier()


def create(model, tx):
    params = model.init(jax.random.key(0), x[0])["params"]
    return TrainState.create(apply_fn=model.apply, params=params, tx=tx)


state, logs = train(create(model, tx), range(20))
# --8<-- [end:train]

# --8<-- [start:checkpoint]
folder = Path(tempfile.mkdtemp())
saver = ocp.StandardCheckpointer()
saver.save(folder / "20", state)
state, more = train(state, range(20, 40))
logs += more

abstract = jax.eval_shape(lambda: create(model, tx))  # in another process
resumed = saver.restore(folder / "20", abstract)
resumed, logs_resumed = train(resumed, range(20, 40))
# --8<-- [end:checkpoint]

# --8<-- [start:optax]
theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.1))
ours = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(rate, weight_decay=0.1))

old, _ = train(create(model, theirs), range(10))  # or restored by Orbax, as above
opt_state = from_optax_state(ours, old.params, old.opt_state)
taken, logs_taken = train(old.replace(tx=ours, opt_state=opt_state), range(10, 20))
# --8<-- [end:optax]

# --8<-- [start:freeze]
only_head = gd.groups(gd.adamw(0.05), ("backbone/.*", gd.frozen))  # or ("backbone/.*", 0.1)
start = create(model, only_head)  # with a new head
start = start.replace(params={**state.params, "head": start.params["head"]})
tuned, logs_tuned = train(start, range(20))
# --8<-- [end:freeze]

# --8<-- [start:bfloat16]
half = Classifier(jnp.bfloat16)
small, logs_small = train(create(half, gd.stochastic_rounding(tx, key=0)), range(40))
# --8<-- [end:bfloat16]

mean_loss = jax.jit(lambda params: loss_fn(params, model.apply, x, y))
loss, average = float(mean_loss(state.params)), float(mean_loss(averaged(state)))
print(f"loss {logs[0]['loss']:.3f} -> {loss:.3f}, of the averaged weights {average:.3f}")
print("last step:", {name: round(value, 4) for name, value in logs[-1].items()})
print("resumed run equals the uninterrupted one:", logs_resumed == logs[20:])
print(f"taken over from optax: {logs_taken[0]['loss']:.3f} -> {logs_taken[-1]['loss']:.3f}")
print(f"fine-tuned head: {logs_tuned[0]['loss']:.3f} -> {logs_tuned[-1]['loss']:.3f}")
print(f"bfloat16 weights: {logs_small[0]['loss']:.3f} -> {logs_small[-1]['loss']:.3f}")

"""Train a Flax NNX model with gdjax: python docs/recipes/flax_nnx.py."""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from flax import nnx

import gdjax as gd
from gdjax.compat.optax import from_optax_state


# --8<-- [start:model]
class Backbone(nnx.Module):
    def __init__(self, dtype, rngs: nnx.Rngs):
        self.dense = nnx.Linear(8, 16, param_dtype=dtype, rngs=rngs)
        self.norm = nnx.LayerNorm(16, param_dtype=dtype, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.norm(self.dense(x)))


class Classifier(nnx.Module):
    def __init__(self, dtype, rngs: nnx.Rngs):
        self.backbone = Backbone(dtype, rngs)
        self.head = nnx.Linear(16, 3, param_dtype=dtype, rngs=rngs)

    def __call__(self, x):
        return self.head(self.backbone(x))


def loss_fn(model, x, y):
    return gd.losses.softmax_cross_entropy_with_integer_labels(model(x), y).mean()


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


def averaged(model, optimizer):
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    params = gd.state.eval_params(optimizer.tx, optimizer.opt_state, params)
    return nnx.merge(graphdef, params, rest)


# --8<-- [end:ema]
# --8<-- [start:accumulation]
tx = gd.accumulate(with_average, every=2)
# --8<-- [end:accumulation]


# --8<-- [start:logging]
@nnx.jit
def train_step(model, optimizer, x, y):
    loss, grads = nnx.value_and_grad(loss_fn)(model, x, y)
    optimizer.update(model, grads)
    return {"loss": loss, **gd.state.metrics(optimizer.opt_state)}


def train(model, optimizer, steps):
    logs = [train_step(model, optimizer, x[i % 8], y[i % 8]) for i in steps]
    return jax.tree.map(float, logs)


# --8<-- [end:logging]
# --8<-- [start:train]
def create(tx, dtype=jnp.float32):
    model = Classifier(dtype, nnx.Rngs(0))
    return model, nnx.Optimizer(model, tx, wrt=nnx.Param)


model, optimizer = create(tx)
logs = train(model, optimizer, range(20))
# --8<-- [end:train]

# --8<-- [start:checkpoint]
folder = Path(tempfile.mkdtemp())
saver = ocp.StandardCheckpointer()
saver.save(folder / "20", nnx.state((model, optimizer)))
logs += train(model, optimizer, range(20, 40))

graphdef, abstract = nnx.split(nnx.eval_shape(lambda: create(tx)))  # in another process
resumed = nnx.merge(graphdef, saver.restore(folder / "20", abstract))
logs_resumed = train(*resumed, range(20, 40))
# --8<-- [end:checkpoint]

# --8<-- [start:optax]
theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.1))
ours = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(rate, weight_decay=0.1))

taken, old = create(theirs)  # or restored by Orbax, as above
train(taken, old, range(10))
new = nnx.Optimizer(taken, ours, wrt=nnx.Param)
state = from_optax_state(ours, nnx.state(taken, nnx.Param), old.opt_state)
nnx.update(new.opt_state, nnx.state(state))
logs_taken = train(taken, new, range(10, 20))
# --8<-- [end:optax]

# --8<-- [start:freeze]
tuned = nnx.clone(model)
tuned.head = nnx.Linear(16, 3, rngs=nnx.Rngs(1))
only_head = gd.groups(gd.adamw(0.05), ("backbone/.*", gd.frozen))  # or ("backbone/.*", 0.1)
logs_tuned = train(tuned, nnx.Optimizer(tuned, only_head, wrt=nnx.Param), range(20))
# --8<-- [end:freeze]

# --8<-- [start:bfloat16]
small, rounded = create(gd.stochastic_rounding(tx, key=0), jnp.bfloat16)
logs_small = train(small, rounded, range(40))
# --8<-- [end:bfloat16]

mean_loss = nnx.jit(lambda model: loss_fn(model, x, y))
loss, average = float(mean_loss(model)), float(mean_loss(averaged(model, optimizer)))
print(f"loss {logs[0]['loss']:.3f} -> {loss:.3f}, of the averaged weights {average:.3f}")
print("last step:", {name: round(value, 4) for name, value in logs[-1].items()})
print("resumed run equals the uninterrupted one:", logs_resumed == logs[20:])
print(f"taken over from optax: {logs_taken[0]['loss']:.3f} -> {logs_taken[-1]['loss']:.3f}")
print(f"fine-tuned head: {logs_tuned[0]['loss']:.3f} -> {logs_tuned[-1]['loss']:.3f}")
print(f"bfloat16 weights: {logs_small[0]['loss']:.3f} -> {logs_small[-1]['loss']:.3f}")

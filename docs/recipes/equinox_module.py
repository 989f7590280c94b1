"""Train an Equinox module with gdjax: python docs/recipes/equinox_module.py."""

import tempfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp

import gdjax as gd
from gdjax.compat.optax import from_optax_state


# --8<-- [start:model]
class Backbone(eqx.Module):
    dense: eqx.nn.Linear
    norm: eqx.nn.LayerNorm

    def __init__(self, dtype, key):
        self.dense = eqx.nn.Linear(8, 16, dtype=dtype, key=key)
        self.norm = eqx.nn.LayerNorm(16, dtype=dtype)

    def __call__(self, x):
        return jax.nn.relu(self.norm(self.dense(x)))


class Classifier(eqx.Module):
    backbone: Backbone
    head: eqx.nn.Linear

    def __init__(self, dtype, key):
        first, last = jax.random.split(key)
        self.backbone = Backbone(dtype, first)
        self.head = eqx.nn.Linear(16, 3, dtype=dtype, key=last)

    def __call__(self, x):
        return self.head(self.backbone(x))


def loss_fn(model, x, y):
    logits = jax.vmap(model)(x)
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


def averaged(tx, model, state):
    params, static = eqx.partition(model, eqx.is_inexact_array)
    return eqx.combine(gd.state.eval_params(tx, state, params), static)


# --8<-- [end:ema]
# --8<-- [start:accumulation]
tx = gd.accumulate(with_average, every=2)
# --8<-- [end:accumulation]


# --8<-- [start:logging]
@eqx.filter_jit
def train_step(tx, model, state, x, y):
    loss, grads = eqx.filter_value_and_grad(loss_fn)(model, x, y)
    params, static = eqx.partition(model, eqx.is_inexact_array)
    params, state = tx.step(grads, state, params)
    return eqx.combine(params, static), state, {"loss": loss, **gd.state.metrics(state)}


def train(tx, model, state, steps):
    logs = []
    for i in steps:
        model, state, log = train_step(tx, model, state, x[i % 8], y[i % 8])
        logs.append(jax.tree.map(float, log))
    return model, state, logs


# --8<-- [end:logging]
# --8<-- [start:train]
def create(tx, dtype=jnp.float32):
    model = Classifier(dtype, jax.random.key(0))
    return model, tx.init(eqx.filter(model, eqx.is_inexact_array))


model, state, logs = train(tx, *create(tx), range(20))
# --8<-- [end:train]

# --8<-- [start:checkpoint]
folder = Path(tempfile.mkdtemp())
saver = ocp.StandardCheckpointer()
saver.save(folder / "20", eqx.filter((model, state), eqx.is_array))
model, state, more = train(tx, model, state, range(20, 40))
logs += more

abstract = eqx.filter_eval_shape(create, tx)  # in another process
arrays, static = eqx.partition(abstract, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
start, start_state = eqx.combine(saver.restore(folder / "20", arrays), static)
resumed, _, logs_resumed = train(tx, start, start_state, range(20, 40))
# --8<-- [end:checkpoint]

# --8<-- [start:optax]
theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.1))
ours = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(rate, weight_decay=0.1))

old, old_state = create(theirs)
for i in range(10):  # or restored by Orbax, as above
    grads = eqx.filter_grad(loss_fn)(old, x[i % 8], y[i % 8])
    updates, old_state = theirs.update(grads, old_state, eqx.filter(old, eqx.is_inexact_array))
    old = eqx.apply_updates(old, updates)
state_taken = from_optax_state(ours, eqx.filter(old, eqx.is_inexact_array), old_state)
taken, _, logs_taken = train(ours, old, state_taken, range(10, 20))
# --8<-- [end:optax]

# --8<-- [start:freeze]
only_head = gd.groups(gd.adamw(0.05), ("backbone/.*", gd.frozen))  # or ("backbone/.*", 0.1)
start, start_state = create(only_head)  # with a new head
start = eqx.tree_at(lambda model: model.backbone, start, model.backbone)
tuned, _, logs_tuned = train(only_head, start, start_state, range(20))
# --8<-- [end:freeze]

# --8<-- [start:bfloat16]
rounded = gd.stochastic_rounding(tx, key=0)
small, _, logs_small = train(rounded, *create(rounded, jnp.bfloat16), range(40))
# --8<-- [end:bfloat16]

mean_loss = eqx.filter_jit(lambda model: jnp.mean(jax.vmap(loss_fn, (None, 0, 0))(model, x, y)))
loss, average = float(mean_loss(model)), float(mean_loss(averaged(tx, model, state)))
print(f"loss {logs[0]['loss']:.3f} -> {loss:.3f}, of the averaged weights {average:.3f}")
print("last step:", {name: round(value, 4) for name, value in logs[-1].items()})
print("resumed run equals the uninterrupted one:", logs_resumed == logs[20:])
print(f"taken over from optax: {logs_taken[0]['loss']:.3f} -> {logs_taken[-1]['loss']:.3f}")
print(f"fine-tuned head: {logs_tuned[0]['loss']:.3f} -> {logs_tuned[-1]['loss']:.3f}")
print(f"bfloat16 weights: {logs_small[0]['loss']:.3f} -> {logs_small[-1]['loss']:.3f}")

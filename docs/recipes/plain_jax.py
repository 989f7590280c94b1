"""Train a model in plain JAX with gdjax: python docs/recipes/plain_jax.py."""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp

import gdjax as gd
from gdjax.compat.optax import from_optax_state


# --8<-- [start:model]
def init_params(key, dtype=jnp.float32):
    first, last = jax.random.split(key)
    params = {
        "backbone": {
            "dense": {"w": jax.random.normal(first, (8, 16)) / 3, "b": jnp.zeros(16)},
            "norm": {"scale": jnp.ones(16), "bias": jnp.zeros(16)},
        },
        "head": {"w": jax.random.normal(last, (16, 3)) / 4, "b": jnp.zeros(3)},
    }
    return jax.tree.map(lambda p: p.astype(dtype), params)


def apply(params, x):
    dense, norm = params["backbone"]["dense"], params["backbone"]["norm"]
    x = jax.nn.standardize(x @ dense["w"] + dense["b"])
    x = jax.nn.relu(x * norm["scale"] + norm["bias"])
    return x @ params["head"]["w"] + params["head"]["b"]


def loss_fn(params, x, y):
    return gd.losses.softmax_cross_entropy_with_integer_labels(apply(params, x), y).mean()


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


def averaged(tx, params, state):
    return gd.state.eval_params(tx, state, params)


# --8<-- [end:ema]
# --8<-- [start:accumulation]
tx = gd.accumulate(with_average, every=2)
# --8<-- [end:accumulation]


# --8<-- [start:logging]
@jax.jit
def train_step(tx, params, state, x, y):
    loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
    params, state = tx.step(grads, state, params)
    return params, state, {"loss": loss, **gd.state.metrics(state)}


def train(tx, params, state, steps):
    logs = []
    for i in steps:
        params, state, log = train_step(tx, params, state, x[i % 8], y[i % 8])
        logs.append(jax.tree.map(float, log))
    return params, state, logs


# --8<-- [end:logging]
# --8<-- [start:train]
params = init_params(jax.random.key(0))
params, state, logs = train(tx, params, tx.init(params), range(20))
# --8<-- [end:train]

# --8<-- [start:checkpoint]
folder = Path(tempfile.mkdtemp())
saver = ocp.StandardCheckpointer()
saver.save(folder / "20", (params, state))
params, state, more = train(tx, params, state, range(20, 40))
logs += more


def create():
    params = init_params(jax.random.key(0))
    return params, tx.init(params)


start, start_state = saver.restore(folder / "20", jax.eval_shape(create))  # in another process
resumed, _, logs_resumed = train(tx, start, start_state, range(20, 40))
# --8<-- [end:checkpoint]

# --8<-- [start:optax]
theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.1))
ours = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(rate, weight_decay=0.1))

old, _ = create()
old_state = theirs.init(old)
for i in range(10):  # or restored by Orbax, as above
    grads = jax.grad(loss_fn)(old, x[i % 8], y[i % 8])
    updates, old_state = theirs.update(grads, old_state, old)
    old = optax.apply_updates(old, updates)
state_taken = from_optax_state(ours, old, old_state)
taken, _, logs_taken = train(ours, old, state_taken, range(10, 20))
# --8<-- [end:optax]

# --8<-- [start:freeze]
only_head = gd.groups(gd.adamw(0.05), ("backbone/.*", gd.frozen))  # or ("backbone/.*", 0.1)
start = {**params, "head": init_params(jax.random.key(1))["head"]}  # with a new head
tuned, _, logs_tuned = train(only_head, start, only_head.init(start), range(20))
# --8<-- [end:freeze]

# --8<-- [start:bfloat16]
half, rounded = init_params(jax.random.key(0), jnp.bfloat16), gd.stochastic_rounding(tx, key=0)
small, _, logs_small = train(rounded, half, rounded.init(half), range(40))
# --8<-- [end:bfloat16]

mean_loss = jax.jit(lambda params: loss_fn(params, x, y))
loss, average = float(mean_loss(params)), float(mean_loss(averaged(tx, params, state)))
print(f"loss {logs[0]['loss']:.3f} -> {loss:.3f}, of the averaged weights {average:.3f}")
print("last step:", {name: round(value, 4) for name, value in logs[-1].items()})
print("resumed run equals the uninterrupted one:", logs_resumed == logs[20:])
print(f"taken over from optax: {logs_taken[0]['loss']:.3f} -> {logs_taken[-1]['loss']:.3f}")
print(f"fine-tuned head: {logs_tuned[0]['loss']:.3f} -> {logs_tuned[-1]['loss']:.3f}")
print(f"bfloat16 weights: {logs_small[0]['loss']:.3f} -> {logs_small[-1]['loss']:.3f}")

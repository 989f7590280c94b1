"""Minimise a function by Optimistix with gdjax: python docs/recipes/optimistix_minimise.py."""

import tempfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optimistix as optx
import orbax.checkpoint as ocp

import gdjax as gd
from gdjax.compat.optax import from_optax_state


# --8<-- [start:model]
def init_params(key):
    first, last = jax.random.split(key)
    return {
        "backbone": {"w": jax.random.normal(first, (8, 16)) / 3, "b": jnp.zeros(16)},
        "head": {"w": jax.random.normal(last, (16, 3)) / 4, "b": jnp.zeros(3)},
    }


def loss_fn(params, batch):
    x, y = batch
    hidden = jax.nn.relu(x @ params["backbone"]["w"] + params["backbone"]["b"])
    logits = hidden @ params["head"]["w"] + params["head"]["b"]
    return gd.losses.softmax_cross_entropy_with_integer_labels(logits, y).mean()


x = jax.random.normal(jax.random.key(0), (8, 32, 8))  # 8 batches of 32 examples
y = jnp.argmax(x[..., :3], axis=-1)
# --8<-- [end:model]

# --8<-- [start:schedule]
rate = gd.warmup_cosine_decay_schedule(0.0, 0.05, warmup_steps=5, decay_steps=40)
# --8<-- [end:schedule]
# --8<-- [start:no_decay]
adamw = gd.adamw(rate, weight_decay=0.1, mask=~gd.by_bias_or_norm())
# --8<-- [end:no_decay]
# --8<-- [start:clipping]
clipped = gd.chain(gd.clip_by_global_norm(1.0), adamw)
# --8<-- [end:clipping]
# --8<-- [start:ema]
tx = gd.with_ema(clipped, decay=0.8)


def averaged(tx, solver_state, params):
    return gd.state.eval_params(tx, solver_state.opt_state, params)


# --8<-- [end:ema]


# --8<-- [start:train]
start = init_params(jax.random.key(0))
data = x.reshape(-1, 8), y.reshape(-1)
solver = optx.OptaxMinimiser(tx, rtol=1e-4, atol=1e-4)
solution = optx.minimise(loss_fn, solver, start, data, max_steps=40, throw=False)
# --8<-- [end:train]


# --8<-- [start:logging]
def fn(params, batch):
    return loss_fn(params, batch), None  # the function of a step returns auxiliary output


def begin(solver, params):
    number = jax.ShapeDtypeStruct((), jnp.float32)
    return params, solver.init(fn, params, (x[0], y[0]), {}, number, None, frozenset())


@eqx.filter_jit
def solver_step(fn, solver, params, state, batch):
    params, state, _ = solver.step(fn, params, batch, {}, state, frozenset())
    return params, state, {"loss": state.f, **gd.state.metrics(state.opt_state)}


def train(solver, params, state, steps, fn=fn):
    logs = []
    for i in steps:
        params, state, log = solver_step(fn, solver, params, state, (x[i % 8], y[i % 8]))
        logs.append(jax.tree.map(float, log))
    return params, state, logs


# --8<-- [end:logging]
# --8<-- [start:accumulation]
solver = optx.OptaxMinimiser(gd.accumulate(tx, every=2), rtol=0.0, atol=0.0)
params, state, logs = train(solver, *begin(solver, start), range(20))
# --8<-- [end:accumulation]

# --8<-- [start:checkpoint]
folder = Path(tempfile.mkdtemp())
saver = ocp.StandardCheckpointer()
saver.save(folder / "20", (params, state))
params, state, more = train(solver, params, state, range(20, 40))
logs += more

old, old_state = saver.restore(folder / "20", begin(solver, start))  # in another process
resumed, _, logs_resumed = train(solver, old, old_state, range(20, 40))
# --8<-- [end:checkpoint]

# --8<-- [start:optax]
theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.1))
ours = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(rate, weight_decay=0.1))

old_solver = optx.OptaxMinimiser(theirs, rtol=0.0, atol=0.0)
old, old_state, _ = train(old_solver, *begin(old_solver, start), range(10))
new_solver = optx.OptaxMinimiser(ours, rtol=0.0, atol=0.0)
opt_state = from_optax_state(ours, old, old_state.opt_state)  # or restored by Orbax, as above
new_state = eqx.tree_at(lambda state: state.opt_state, old_state, opt_state)
taken, _, logs_taken = train(new_solver, old, new_state, range(10, 20))
# --8<-- [end:optax]

# --8<-- [start:freeze]
only_head = gd.groups(gd.adamw(0.05), ("backbone/.*", gd.frozen))  # or ("backbone/.*", 0.1)
head_solver = optx.OptaxMinimiser(only_head, rtol=0.0, atol=0.0)
new_head = {**params, "head": init_params(jax.random.key(1))["head"]}
tuned, _, logs_tuned = train(head_solver, *begin(head_solver, new_head), range(20))
# --8<-- [end:freeze]


# --8<-- [start:bfloat16]
def fn_in_bfloat16(params, batch):
    return fn(jax.tree.map(lambda p: p.astype(jnp.bfloat16), params), batch)


small, _, logs_small = train(solver, *begin(solver, start), range(40), fn_in_bfloat16)
# --8<-- [end:bfloat16]

mean_loss = jax.jit(lambda params: loss_fn(params, data))
loss, average = float(mean_loss(params)), float(mean_loss(averaged(solver.optim, state, params)))
print(f"minimise: {float(mean_loss(start)):.3f} -> {float(mean_loss(solution.value)):.3f}")
print(f"loss {logs[0]['loss']:.3f} -> {loss:.3f}, of the averaged weights {average:.3f}")
print("last step:", {name: round(value, 4) for name, value in logs[-1].items()})
print("resumed run equals the uninterrupted one:", logs_resumed == logs[20:])
print(f"taken over from optax: {logs_taken[0]['loss']:.3f} -> {logs_taken[-1]['loss']:.3f}")
print(f"fine-tuned head: {logs_tuned[0]['loss']:.3f} -> {logs_tuned[-1]['loss']:.3f}")
print(f"bfloat16 function: {logs_small[0]['loss']:.3f} -> {logs_small[-1]['loss']:.3f}")

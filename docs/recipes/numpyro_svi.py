"""Variational inference in NumPyro with gdjax: python docs/recipes/numpyro_svi.py."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import optax
import orbax.checkpoint as ocp
from flax import linen as nn
from numpyro.contrib.module import flax_module
from numpyro.infer import SVI, Predictive, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

import gdjax as gd
from gdjax.compat.optax import from_optax_state


# --8<-- [start:model]
class Backbone(nn.Module):
    dtype: Any

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(16, param_dtype=self.dtype)(x)
        return nn.relu(nn.LayerNorm(param_dtype=self.dtype)(x))


def classifier(x, y=None, dtype: Any = jnp.float32):
    """A network whose last layer has a posterior."""
    backbone = flax_module("backbone", Backbone(dtype), input_shape=(1, 8))
    head = numpyro.sample("head", dist.Normal(jnp.zeros((16, 3)), 1.0).to_event(2))
    with numpyro.plate("data", len(x)):
        numpyro.sample("y", dist.CategoricalLogits(backbone(x) @ head), obs=y)


guide = AutoNormal(classifier)

x = jax.random.normal(jax.random.key(0), (8, 32, 8))  # 8 batches of 32 examples
y = jnp.argmax(x[..., :3], axis=-1)
# --8<-- [end:model]

# --8<-- [start:schedule]
rate = gd.warmup_cosine_decay_schedule(0.0, 0.05, warmup_steps=5, decay_steps=20)
# --8<-- [end:schedule]
# --8<-- [start:no_decay]
decayed = gd.by_path(r"backbone\$params/.*") & ~gd.by_bias_or_norm()
adamw = gd.adamw(rate, weight_decay=0.1, mask=decayed)
# --8<-- [end:no_decay]
# --8<-- [start:clipping]
clipped = gd.chain(gd.clip_by_global_norm(100.0), adamw)
# --8<-- [end:clipping]
# --8<-- [start:ema]
with_average = gd.with_ema(clipped, decay=0.8)


def averaged(tx, svi, svi_state):
    _, (params, opt_state) = svi_state.optim_state  # params are unconstrained
    return svi.constrain_fn(gd.state.eval_params(tx, opt_state, params))


# --8<-- [end:ema]
# --8<-- [start:accumulation]
tx = gd.accumulate(with_average, every=2)
# --8<-- [end:accumulation]


# --8<-- [start:logging]
@functools.partial(jax.jit, static_argnames="svi")
def train_step(svi, svi_state, x, y):
    svi_state, loss = svi.update(svi_state, x, y)
    _, (_, opt_state) = svi_state.optim_state
    return svi_state, {"loss": loss, **gd.state.metrics(opt_state)}


def train(svi, svi_state, steps):
    logs = []
    for i in steps:
        svi_state, log = train_step(svi, svi_state, x[i % 8], y[i % 8])
        logs.append(jax.tree.map(float, log))
    return svi_state, logs


# --8<-- [end:logging]
# --8<-- [start:train]
svi = SVI(classifier, guide, tx, Trace_ELBO(num_particles=8))
svi_state, logs = train(svi, svi.init(jax.random.PRNGKey(0), x[0], y[0]), range(20))
# --8<-- [end:train]

# --8<-- [start:checkpoint]
folder = Path(tempfile.mkdtemp())
saver = ocp.StandardCheckpointer()
saver.save(folder / "20", svi_state)
svi_state, more = train(svi, svi_state, range(20, 40))
logs += more

start = svi.init(jax.random.PRNGKey(0), x[0], y[0])  # in another process
resumed, logs_resumed = train(svi, saver.restore(folder / "20", start), range(20, 40))
# --8<-- [end:checkpoint]

# --8<-- [start:optax]
theirs = optax.chain(optax.clip_by_global_norm(100.0), optax.adam(rate))
ours = gd.chain(gd.clip_by_global_norm(100.0), gd.adam(rate))

old = SVI(classifier, guide, theirs, Trace_ELBO(num_particles=8))
old_start = old.init(jax.random.PRNGKey(0), x[0], y[0])
old_state, _ = train(old, old_start, range(10))
step, (params, opt_state) = old_state.optim_state  # or restored by Orbax, as above
optim_state = step, (params, from_optax_state(ours, params, opt_state))
new = SVI(classifier, guide, ours, Trace_ELBO(num_particles=8))
new.init(jax.random.PRNGKey(0), x[0], y[0])  # prepares the object
taken, logs_taken = train(new, old_state._replace(optim_state=optim_state), range(10, 20))
# --8<-- [end:optax]

# --8<-- [start:freeze]
only_head = gd.groups(gd.adam(0.05), (r"backbone\$params/.*", gd.frozen))
head = SVI(classifier, guide, only_head, Trace_ELBO(num_particles=8))
trained = svi.get_params(svi_state)  # the network of which is kept
network = {"backbone$params": trained["backbone$params"]}
start = head.init(jax.random.PRNGKey(1), x[0], y[0], init_params=network)
tuned, logs_tuned = train(head, start, range(20))
# --8<-- [end:freeze]

# --8<-- [start:bfloat16]
rounded = gd.stochastic_rounding(tx, key=0)
half = SVI(classifier, guide, rounded, Trace_ELBO(num_particles=8), dtype=jnp.bfloat16)
small, logs_small = train(half, half.init(jax.random.PRNGKey(0), x[0], y[0]), range(40))
# --8<-- [end:bfloat16]


def mean_loss(params):
    predictive = Predictive(classifier, guide=guide, params=params, num_samples=100)
    samples = predictive(jax.random.PRNGKey(0), x.reshape(-1, 8))["y"]
    return 1 - float(jnp.mean(samples == y.reshape(-1)))


loss, average = mean_loss(svi.get_params(svi_state)), mean_loss(averaged(tx, svi, svi_state))
print(f"negative ELBO {logs[0]['loss']:.1f} -> {logs[-1]['loss']:.1f}")
print(f"errors of predictions {loss:.3f}, of the averaged weights {average:.3f}")
print("last step:", {name: round(value, 4) for name, value in logs[-1].items()})
print("resumed run equals the uninterrupted one:", logs_resumed == logs[20:])
print(f"taken over from optax: {logs_taken[0]['loss']:.1f} -> {logs_taken[-1]['loss']:.1f}")
print(f"fine-tuned head: {logs_tuned[0]['loss']:.1f} -> {logs_tuned[-1]['loss']:.1f}")
print(f"bfloat16 weights: {logs_small[0]['loss']:.1f} -> {logs_small[-1]['loss']:.1f}")

"""A script as users write it, read by pyright and by mypy --strict.

They have to refuse the calls at its end and nothing else; what stands above these also runs.
"""

from typing import Any, assert_type

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from gdjax import chain, live, losses, minimize, sharding, spec, state, states, transformation

Params = dict[str, jax.Array]


def loss(params: Params) -> jax.Array:
    return jnp.sum(params["w"] ** 2)


def falling(count: jax.Array) -> jax.Array:
    return 0.1 / (count + 1)


# A training loop.
params = {"w": jnp.ones(3)}
schedule = gd.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100)
tx = gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(schedule, weight_decay=0.1, mask="matrices"))
opt_state = tx.init(params)
grads = {"w": 2 * params["w"]}
params, opt_state = tx.step(grads, opt_state, params)
updates, opt_state = tx.update(grads, opt_state, params, value=loss(params))
assert_type(params, Params)
assert_type(updates, Params)
assert_type(gd.adamw(1e-3), gd.GradientTransformation)
assert_type(gd.adamw(1e-3).replace(b1=0.8), gd.GradientTransformation)
assert_type(schedule(3), jax.Array)
assert_type(schedule, gd.Schedule)
init, update = tx
rates = gd.state.hyperparams(tx, opt_state)
gd.build(gd.spec(tx))
by_type = state.find(opt_state, states.ScaleByAdamState)
assert_type(gd.by_path("a") | gd.by_rank(2), gd.ParamRule)


# What a hyperparameter may be.
@jax.jit
def traced(rate: jax.Array) -> jax.Array:
    return gd.sgd(rate).step(grads, gd.sgd(rate).init(params), params)[0]["w"]


gd.adamw(1)
gd.adamw(1e-3, b1=jnp.array(0.9), b2=np.float32(0.99), eps=np.array(1e-8))
gd.adamw(jnp.logspace(-5, -2, 8))
gd.adamw(schedule)
gd.adamw(falling)
gd.adamw(lambda count: 0.1 / (count + 1))
gd.adamw(live(1e-3))
gd.adamw(loss(params))
gd.clip_by_global_norm(schedule)
gd.join_schedules([0.1, schedule, falling], [10, 20])
scales: dict[int, float] = {10: 0.1}
gd.piecewise_constant_schedule(1.0, scales)


# Rules of one's own: bodies compute with the number that holds now.
@transformation
def negate(
    factor: gd.Hyperparam = 1.0, decay: gd.Decay = 0.9, eps: gd.Positive | None = None
) -> Any:
    """A rule."""

    def update(updates: Params, state: gd.EmptyState, params: Params | None = None) -> object:
        scale = -factor * (1 - decay) / 2 + jnp.sqrt(decay) - max(float(factor), 1.0)
        if eps is not None:
            scale = scale / (eps + 1e-3**decay)
        return jax.tree.map(lambda g: scale * g, updates), state

    return (lambda params: gd.EmptyState()), update


@transformation(kind="optimizer")
def descend(learning_rate: gd.NonNegative, *, momentum: gd.Decay = 0.9) -> Any:
    """An alias."""
    return chain(gd.trace(momentum), negate(learning_rate))


@gd.schedule
def halving(init_value: gd.Number, every: gd.Number) -> Any:
    """A schedule."""
    return lambda step: init_value * 0.5 ** (step // every)


assert_type(descend(halving(0.1, every=3), momentum=falling), gd.GradientTransformation)
assert_type(negate(), gd.GradientTransformation)

# The modules.
minimize(loss, params, gd.lbfgs(), 10)
gd.explain(tx, params)
losses.l2_loss(jnp.ones(2))
gd.projections.projection_simplex(jnp.ones(2))
sharding.zero(tx, axis="data")
gd.contract.check(tx, ["is_data"])
gd.plots.schedules([schedule], 100)
gd.params.select(params, "matrices")
print(gd.lab, gd.compat, spec(tx))

# What is wrong.
gd.adamww(1e-3)  # error
gd.adamw("fast")  # error
gd.adamw(1e-3, beta1=0.9)  # error
gd.adamw(1e-3, b1="0.9")  # error
gd.adamw([1e-3])  # error
gd.adamw({"w": 1e-3})  # error
gd.adamw(None)  # error
gd.adamw(lambda: 0.1)  # error
gd.adamw()  # error
gd.adamw(gd.adam(1e-3))  # error
gd.linear_schedule("high", 0.0, 100)  # error
gd.linear_schedule(schedule, 0.0, 100)  # error
print(gd.ScaleByAdamState)  # error
print(gd.states.ScaleByAdamStat)  # error
gd.transformation(kind="optimiser")  # error
descend("fast")  # error
descend(0.1, 0.9)  # error
halving(0.1)  # error
tx.stepp(grads, opt_state, params)  # error
tx.update(grads)  # error
params, opt_state, extra = tx.step(grads, opt_state, params)  # error

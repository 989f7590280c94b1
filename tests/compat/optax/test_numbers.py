"""The numbers of optax, and where it departs from a paper; runs go on from states of either."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdjax.compat import optax as ours
from gdjax.compat.optax.convert import from_optax_state, to_optax_state
from tests.compat.optax.calls import make
from tests.helpers import first
from tests.oracles import problem
from tests.references import gradient, join, loss, split

pytestmark = pytest.mark.usefixtures("standard")  # what other libraries count on

# Written once, made by both. optax's schedules compute in float32, hence 1e-6 for those.
SAME = """
o.sgd(0.1)
o.sgd(decaying(o), 0.9, nesterov=True)
o.adam(0.1, b2=0.9)
o.adam(decaying(o), nesterov=True)
o.adamw(decaying(o), weight_decay=0.1, mask=MASK)
o.adamw(0.1, eps_root=1e-4, nesterov=True)
o.nadam(0.1)
o.nadamw(0.1, nesterov=False)
o.adamax(0.1)
o.adamaxw(0.1)
o.adabelief(0.1)
o.adadelta(0.1)
o.adafactor(0.1)
o.adafactor(0.1, 2, momentum=0.9, weight_decay_rate=0.1)
o.adagrad(0.1)
o.amsgrad(0.1)
o.fromage(0.1)
o.lamb(0.1)
o.lars(0.1)
o.lion(0.1)
o.novograd(0.1)
o.chain(o.scale_by_novograd(), o.scale_by_learning_rate(0.1), o.scale_by_learning_rate())
o.optimistic_adam(0.1)
o.optimistic_adam_v2(0.1, alpha=0.7)
o.optimistic_gradient_descent(0.1)
o.radam(0.1)
o.rmsprop(0.1)
o.rmsprop(decaying(o), centered=True, momentum=0.5)
o.rmsprop(0.1, momentum=0.5, bias_correction=True)
o.signum(0.1)
o.sm3(0.1)
o.polyak_sgd()
o.contrib.ademamix(0.1)
o.chain(o.contrib.scale_by_ademamix(), o.scale(-0.1))
o.contrib.adopt(0.1)
o.contrib.cocob(1.0)
o.contrib.dadapt_adamw(1.0)
o.contrib.dog(0.1)
o.contrib.dowg(0.1)
o.contrib.madgrad(0.1)
o.contrib.momo(0.1)
o.contrib.momo_adam(0.1)
o.contrib.prodigy(1.0)
o.contrib.schedule_free(o.sgd(0.1), 0.1)
o.contrib.schedule_free_adamw(0.1)
o.contrib.simplified_ademamix(0.1)
o.contrib.sam(o.sgd(0.1), o.sgd(0.05))
o.chain(o.sgd(0.1), o.contrib.reduce_on_plateau(patience=2))
o.chain(o.adaptive_grad_clip(0.1), o.contrib.normalize(), o.sgd(0.1))
o.chain(o.clip(0.1), o.clip_by_global_norm(0.2), o.adam(0.1))
o.chain(o.ema(0.9), o.centralize(), o.sgd(0.1))
o.chain(o.trace(0.9), o.add_decayed_weights(0.1), o.scale_by_schedule(decaying(o)), o.scale(-1.0))
o.chain(o.apply_every(2), o.scale_by_trust_ratio(), o.zero_nans(), o.sgd(0.1))
o.chain(o.scale_by_rss(), o.scale_by_stddev(), o.scale_by_rms(), o.sgd(0.1))
o.apply_if_finite(o.adam(0.1), 2)
o.flatten(o.adam(0.1))
o.masked(o.adam(0.1), MASK)
o.multi_transform({1: o.adam(0.1), 2: o.sgd(0.1, 0.9)}, {"w": 1, "b": 2})
o.named_chain(("z", o.trace(0.5)), ("a", o.adam(decaying(o))))
o.inject_hyperparams(o.adam)(0.1, b1=0.8)
o.inject_hyperparams(o.adam)(decaying(o))
o.MultiSteps(o.adam(decaying(o)), 3)
o.MultiSteps(o.sgd(0.1, 0.9), lambda step: 1 + step, use_grad_mean=False)
o.MultiSteps(o.sgd(0.1, 0.9), 2, should_skip_update_fn=o.skip_not_finite)
o.conditionally_transform(o.adam(0.1), even)
o.conditionally_mask(o.sgd(0.1, 0.9), even)
o.chain(o.adam(0.1), o.freeze(MASK))
o.selective_transform(o.adam(0.1), freeze_mask=MASK)
o.scale_by_distance_over_gradients()
o.contrib.muon(0.1)
o.contrib.galore(0.1)
o.polyak_sgd(scaling=0.5, f_min=0.1)
o.contrib.schedule_free_sgd(0.1, warmup_steps=3, weight_decay=0.1)
o.contrib.schedule_free_adamw(decaying(o), weight_decay=0.1)
o.adan(0.1, b2=0.5, weight_decay=0.1)
o.lars(0.1, weight_decay=0.1)
""".strip().splitlines()


# Where optax departs from the paper, ours does not; each agrees with its reference.
OTHER = {
    "o.adan(0.1)": "optax is right for b2 = 0.5 alone",
    "o.rprop(0.1)": "optax does not move in the first step",
    "o.yogi(0.1)": "optax starts the mean gradient at the value of v; the paper at 0",
    "o.contrib.acprop(0.1)": "optax corrects the bias of one step more than there was",
    "o.lbfgs(0.1, linesearch=None)": "the first step, and steps of negative curvature",
    "o.contrib.mechanize(o.sgd(0.1))": "optax recovers the sum of steps from the parameters",
}


# Tolerances where optax computes a part in float32.
FLOAT32 = {"o.contrib.madgrad(0.1)": 1e-4, "o.scale_by_distance_over_gradients()": 1e-5}


def stepper(tx):
    @jax.jit
    def step(params, state, t):
        grads, value = gradient(params, t), loss(params, t)
        try:
            updates, state = tx.update(grads, state, params, value=value)
        except TypeError:  # a plain pair of optax
            updates, state = tx.update(grads, state, params)
        return ours.apply_updates(params, updates), state

    return step


def walk(step, params, state, steps):
    path = []
    for t in steps:
        params, state = step(params, state, t)
        path.append(np.asarray(join(params)))
    return np.stack(path), params, state


@pytest.mark.parametrize("text", first(20, SAME))
def test_same_numbers_and_states(text, x64):
    """Equal paths; and each continues, after 5 of 9 steps, what the other has begun."""
    here, theirs = make(text, ours), make(text, optax)
    assert isinstance(here, (ours.GradientTransformation, ours.MultiSteps))
    step, their_step = stepper(here), stepper(theirs)
    start = split(jnp.asarray(problem.start()))
    tolerance = {"rtol": 0, "atol": 1e-6 if "decaying" in text else FLOAT32.get(text, 1e-7)}
    path, params, state = walk(step, start, here.init(start), range(5))
    rest, _, _ = walk(step, params, state, range(5, 9))
    expected, their_params, their_state = walk(their_step, start, theirs.init(start), range(5))
    np.testing.assert_allclose(path, expected, **tolerance)

    converted = from_optax_state(here, their_params, their_state)
    like = lambda x: (x.shape, x.dtype)
    assert jax.tree.map(like, converted) == jax.tree.map(like, here.init(start))
    np.testing.assert_allclose(walk(step, params, converted, range(5, 9))[0], rest, **tolerance)

    back = to_optax_state(theirs, params, state)
    got, _, _ = walk(their_step, params, back, range(5, 9))
    np.testing.assert_allclose(got, rest, **tolerance)


@pytest.mark.parametrize("text", OTHER)
def test_where_optax_departs_from_the_paper(text, x64):
    """The reasons in `OTHER` still hold: a difference that goes away should be noticed."""
    here, theirs = make(text, ours), make(text, optax)
    start = split(jnp.asarray(problem.start()))
    path, _, _ = walk(stepper(here), start, here.init(start), range(5))
    expected, _, _ = walk(stepper(theirs), start, theirs.init(start), range(5))
    assert np.abs(path - expected).max() > 1e-7

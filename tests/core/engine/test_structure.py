"""What a transformation declares decides what wrappers do with it; how it is written does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.engine.facts import facts_of
from gdjax.core.engine.walk import walk
from gdjax.core.rule import tree
from tests.helpers import first

PARAMS = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.array([0.5, -2.0, 1.0])}
GRADS = [jax.tree.map(lambda p, t=t: jnp.sin(3 * p + t), PARAMS) for t in range(4)]


def rule(form, init, update, **declared):
    """The same rule in the forms in which it may be written."""

    def step(updates, state, params, **extra):
        updates, state = update(updates, state, params, **extra)
        return gd.apply_updates(params, updates), state

    if form == "pair" and not declared:
        return init, update
    if form == "triple" and not declared:
        return init, update, step
    return gd.Rule(init, update, step if form in ("step", "triple") else None, **declared)


@gd.transformation
def half(form: str):
    """Half of the updates: without state."""

    def update(updates, state, params=None, **extra):
        return tree.map(lambda g: 0.5 * g, updates), state

    return rule(form, lambda params: gd.EmptyState(), update)


@gd.transformation
def every_other(inner, form: str):
    """A wrapper that leaves out every other call."""

    def init(params):
        return jnp.zeros([], jnp.int32), inner.init(params)

    def update(updates, state, params=None, **extra):
        count, before = state
        out, after = inner.update(updates, before, params, **extra)
        take = count % 2 == 1
        choose = lambda x, y: jax.tree.map(lambda a, b: jnp.where(take, a, b), x, y)
        zeros = jax.tree.map(jnp.zeros_like, out)
        return choose(out, zeros), (count + 1, choose(after, before))

    children = (gd.Child("inner", inner, at=1),)
    return rule(form, init, update, children=children, skips=True)


FORMS = ["pair", "triple", "rule", "step"]
WRAPPERS = {
    "with_ema": lambda tx: gd.with_ema(tx, 0.5),
    "with_swa": lambda tx: gd.with_swa(tx, 1),
    "with_polynomial_averaging": lambda tx: gd.with_polynomial_averaging(tx, 2.0),
    "lookahead": lambda tx: gd.lookahead(tx, 2, 0.5),
    "schedule_free": lambda tx: gd.schedule_free(tx, 0.5),
    "generalized_primal_averaging": lambda tx: gd.generalized_primal_averaging(tx, 0.9, 0.9),
    "accumulate": lambda tx: gd.accumulate(tx, 2),
    "apply_if_finite": gd.apply_if_finite,
    "skip_spikes": lambda tx: gd.skip_spikes(tx, loss=None),
    "loss_scale": gd.loss_scale,
    "conditionally_mask": lambda tx: gd.conditionally_mask(tx, lambda step: step > 0),
    "conditionally_transform": lambda tx: gd.conditionally_transform(tx, lambda step: step > 0),
    "masked": lambda tx: gd.masked(tx, "matrices"),
    "partition": lambda tx: gd.partition(
        gd.by_label(matrix=gd.by_rank(2), rest=True), matrix=tx, rest=gd.sgd(0.1)
    ),
    "groups": lambda tx: gd.groups(gd.chain(tx, gd.sgd(1.0)), ("b", gd.sgd(1.0))),
    "sam": lambda tx: gd.sam(tx, gd.sgd(0.1)),
    "with_master_weights": gd.with_master_weights,
    "compensated": gd.compensated,
    "stochastic_rounding": lambda tx: gd.stochastic_rounding(tx, key=0),
    "offload": gd.offload,
    "cautious": gd.cautious,
    "mars": gd.mars,
    "mechanize": gd.mechanize,
    "graft": lambda tx: gd.graft(tx, gd.sgd(1.0)),
    "flatten": gd.flatten,
    "split_real_and_imaginary": gd.split_real_and_imaginary,
    "chain": lambda tx: gd.chain(gd.clip(0.7), tx),
    "zero": gd.sharding.zero,
    "placed": lambda tx: gd.sharding.placed(tx, None),
}


def path(tx):
    """Parameters after each step, those to evaluate at, and the arrays of the state."""
    params, state, found = PARAMS, tx.init(PARAMS), []
    step = jax.jit(tx.step)
    for grads in GRADS:
        params, state = step(grads, state, params)
        found += [params, gd.state.eval_params(tx, state, params)]
    return jax.tree.leaves((found, state))


@pytest.mark.parametrize("wrap", first(15, WRAPPERS))
def test_a_wrapper_does_the_same_however_a_rule_is_written(wrap):
    first, *others = (path(WRAPPERS[wrap](gd.chain(half(form), gd.sgd(0.1)))) for form in FORMS)
    for other in others:
        jax.tree.map(np.testing.assert_array_equal, other, first)


@pytest.mark.parametrize("wrap", first(15, WRAPPERS))
def test_a_wrapper_does_the_same_however_a_guard_is_written(wrap):
    """F2: an average depended on whether a wrapper inside had a `step`."""
    plain, with_step = (path(WRAPPERS[wrap](every_other(gd.sgd(0.1), f))) for f in ("rule", "step"))
    jax.tree.map(np.testing.assert_array_equal, plain, with_step)


def test_an_average_counts_the_steps_that_a_guard_took():
    tx = gd.with_ema(every_other(gd.sgd(1.0), "rule"), 0.5)
    params, state = jnp.zeros(1), tx.init(jnp.zeros(1))
    for _ in range(4):
        params, state = tx.step(-jnp.ones(1), state, params)
    assert int(state.count) == 2  # two of four calls
    np.testing.assert_allclose(gd.state.eval_params(tx, state, params), 5 / 3, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_groups_split_a_rule_however_it_is_written(form):
    """F3: what is no clip of all leaves belongs to the base, and a row has another in its place."""
    tx = gd.groups(gd.chain(half(form), gd.sgd(1.0)), ("b", gd.sgd(1.0)))
    ones = {"w": jnp.ones(2), "b": jnp.ones(2)}
    updates, _ = tx.update(ones, tx.init(ones), ones)
    assert float(updates["b"][0]) == -1.0 and float(updates["w"][0]) == -0.5


@gd.transformation
def unit(couples: bool):
    """All leaves as one vector of length 1."""

    def update(updates, state, params=None, **extra):
        length = tree.norm(updates)
        return tree.map(lambda g: g / length, updates), state

    return gd.Rule(lambda params: gd.EmptyState(), update, couples=couples)


def test_what_couples_stays_one_stage_of_all():
    ones = {"w": jnp.ones(2), "b": jnp.ones(2)}
    tx = gd.groups(gd.chain(unit(True), gd.sgd(1.0)), ("b", gd.sgd(1.0)))
    updates, _ = tx.update(ones, tx.init(ones), ones)
    assert float(updates["b"][0]) == -0.5 == float(updates["w"][0])


def test_the_contract_finds_coupling_that_is_not_declared():
    gd.contract.check(unit(True), ["declares_what_couples"], descends=False)
    with pytest.raises(AssertionError):
        gd.contract.check(unit(False), ["declares_what_couples"], descends=False)


@gd.transformation
def asks(declared: bool):
    """An estimator made inside, which needs an extra argument."""
    inner = gd.hutchinson_estimator_diag_hessian()
    children = (gd.Child("inner", inner, at=()),) if declared else ()
    return gd.Rule(inner.init, inner.update, children=children)


def test_what_is_needed_is_declared_by_children():
    assert gd.sophia(1e-3).extra_args == {"obj_fn": True}
    assert gd.accumulate(gd.sophia(1e-3), 2).extra_args == {"obj_fn": True}
    assert gd.accumulate(gd.sgd(0.1), 2, weight="tokens").extra_args == {"tokens": True}
    about = {"extra": {"obj_fn": lambda p: tree.norm(p) ** 2}, "descends": False}
    gd.contract.check(asks(True), ["declares_extra_arguments"], **about)
    assert asks(False).extra_args == {}


@pytest.mark.parametrize(
    "tx",
    [
        gd.apply_if_finite(gd.sgd(1.0)),
        gd.accumulate(gd.sgd(1.0), 2),
        gd.lookahead(gd.sgd(1.0), 2, 0.5),
    ],
    ids=str,
)
def test_skips_are_known_through_any_wrapper(tx):
    for wrapped in (tx, gd.chain(gd.clip(1.0), tx), gd.masked(tx, True), gd.mars(tx)):
        assert facts_of(wrapped).skips
    assert not facts_of(gd.chain(gd.clip_by_global_norm(1.0), gd.adamw(1e-3))).skips
    at_the_parameters = (gd.mechanize, lambda tx: gd.weight_normalized(tx, gd.sgd(1.0)))
    for wrapper in at_the_parameters:
        assert facts_of(wrapper(tx)).skips and not facts_of(wrapper(gd.sgd(1.0))).skips


def test_walk_goes_from_the_outside_in():
    tx = gd.chain(clip=gd.clip(1.0), opt=gd.with_ema(gd.adam(gd.live(1e-3)), 0.9))
    state = tx.init(PARAMS)
    visits = list(walk(tx, state, PARAMS))
    names = [visit.tx.name for visit in visits]
    assert names == [
        *("chain", "clip", "with_ema", "adam", "chain", "scale_by_adam", "scale_by_learning_rate")
    ]
    adam = visits[3]
    assert adam.path == ("opt", "inner") and adam.prefix == ("opt",) and adam.given
    assert float(adam.moving.hyperparams["learning_rate"]) == pytest.approx(1e-3)
    assert not visits[5].given and type(visits[5].state).__name__ == "ScaleByAdamState"

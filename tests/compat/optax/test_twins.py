"""Twins of gdjax's factories: dtypes, ranges and states as in optax, still data as ours are."""

from __future__ import annotations

import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from gdjax.compat import optax as ours
from tests.compat.optax.calls import GRADS, PARAMS, make
from tests.compat.optax.test_numbers import SAME
from tests.helpers import first

pytestmark = pytest.mark.usefixtures("standard")  # what other libraries count on

ONE = {"w": jnp.asarray([[0.5, -2.0, 1.0], [3.0, 0.25, -1.0]]), "b": jnp.asarray([1.0, -0.5])}


def updates_of(tx, grads, params, steps=2):
    state = tx.init(params)
    for _ in range(steps):
        try:
            out, state = tx.update(grads, state, params, value=jnp.float32(1.0))
        except TypeError:  # a plain pair of optax
            out, state = tx.update(grads, state, params)
    return out


@pytest.mark.parametrize("dtype", first(1, [jnp.bfloat16, jnp.float16]))
@pytest.mark.parametrize("text", first(6, SAME))
def test_updates_have_the_dtype_of_gradients(text, dtype):
    """A guard of maxtext's kind: one branch updates, the other makes zeros like the gradients."""
    grads = jax.tree.map(lambda x: x.astype(dtype), ONE)
    tx = make(text, ours)
    state = tx.init(grads)

    def stepped():
        try:
            return tx.update(grads, state, grads)[0]
        except TypeError:  # it needs the loss
            return tx.update(grads, state, grads, value=jnp.float32(1.0))[0]

    out = jax.lax.cond(True, stepped, lambda: jax.tree.map(jnp.zeros_like, grads))
    assert {x.dtype for x in jax.tree.leaves(out)} == {jnp.dtype(dtype)}
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(out))


def test_native_updates_stay_wide_until_they_are_applied():
    grads = jax.tree.map(lambda x: x.astype(jnp.bfloat16), ONE)
    native, twin = gd.adamw(0.1), ours.adamw(0.1)
    state = native.init(grads)
    assert native.update(grads, state, grads)[0]["w"].dtype == jnp.float32
    moved, _ = twin.step(grads, state, grads)
    applied = ours.apply_updates(grads, twin.update(grads, state, grads)[0])
    np.testing.assert_array_equal(moved["w"], applied["w"])  # `step` is both in one, here too


MOMENTS = {
    "o.sgd(0.1, momentum=0.9, accumulator_dtype='bfloat16')": "trace",
    "o.adam(0.1, mu_dtype='bfloat16')": "mu",
    "o.adamw(0.1, mu_dtype='float16')": "mu",
    "o.contrib.muon(0.1, mu_dtype='bfloat16')": "mu",
}


@pytest.mark.parametrize("text", MOMENTS)
def test_moments_have_the_dtype_that_was_asked_for(text):
    states = [jax.eval_shape(make(text, o).init, {"w": ONE["w"]}) for o in (ours, optax)]
    found = [optax.tree_utils.tree_get_all_with_path(s, MOMENTS[text]) for s in states]
    kinds = [{x.dtype for x in jax.tree.leaves([value for _, value in f])} for f in found]
    assert kinds[0] == kinds[1] and jnp.dtype(jnp.float32) not in kinds[0]


# What gdjax's own factories refuse, and optax takes.
RANGES = """
o.lion(0.1, b2=0.0)
o.sgd(0.0)
o.sgd(-0.1)
o.sgd(0.1, momentum=1.0)
o.sgd(0.1, momentum=-0.5)
o.adam(0.0)
o.adam(-0.1)
o.adamw(0.1, weight_decay=-0.1)
o.adagrad(-0.1)
o.rmsprop(0.1, decay=1.0, initial_scale=1.0)
o.lion(0.1, b1=1.0)
o.add_decayed_weights(-0.5)
o.ema(1.0, debias=False)
o.trace(1.5)
o.clip(-1.0)
o.scale_by_learning_rate(-0.1)
o.inject_hyperparams(o.sgd)(-0.1, momentum=1.0)
o.adafactor(-0.1)
o.lars(-0.1)
""".strip().splitlines()


@pytest.mark.parametrize("text", first(9, RANGES))
def test_ranges_are_those_of_optax(text):
    found, expected = (updates_of(make(text, o), ONE, ONE) for o in (ours, optax))
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["adam(0.1, b2=1.0)", "sgd(-0.1)", "ema(1.0)", "adamw(0.1, weight_decay=-1.0)"]
)
def test_native_ranges_stay_strict(text):
    with pytest.raises(ValueError, match="must lie in"):
        eval(f"gd.{text}", {"gd": gd})
    assert repr(eval(f"o.{text}", {"o": ours})).startswith("optax.")


def test_what_is_no_number_is_none_here_either():
    with pytest.raises(TypeError, match="learning_rate must be a number, an array or a schedule"):
        ours.adam("0.1")


def form(state):
    """Classes, fields, shapes and dtypes of a state."""
    if hasattr(state, "_fields"):
        return type(state).__name__, {k: form(getattr(state, k)) for k in state._fields}
    if isinstance(state, (tuple, list)):
        return type(state).__name__, [form(x) for x in state]
    if isinstance(state, dict):
        return {k: form(v) for k, v in state.items()}
    return (str(state.dtype), state.shape) if hasattr(state, "dtype") else state


STATES = [
    *SAME,
    "o.adan(decaying(o))",
    "o.fromage(0.1)",
    "o.yogi(0.1)",
    "o.rprop(0.1)",
    "o.lbfgs(0.1)",
    "o.lbfgs(0.1, linesearch=None)",
    "o.adamw(0.1, weight_decay=decaying(o))",
    "o.add_decayed_weights(decaying(o))",
    "o.scale_by_factored_rms(min_dim_size_to_factor=2)",
    "o.scale_by_rms(bias_correction=True)",
    "o.scale_by_stddev(bias_correction=True)",
    "o.contrib.normalize()",
    "o.keep_params_nonnegative()",
    "o.contrib.galore(0.1, 1)",
    "o.noisy_sgd(0.1, key=1)",
    "o.contrib.dpsgd(0.1, 1.0, 1.0, 1)",
    "o.contrib.acprop(0.1)",
    "o.contrib.split_real_and_imaginary(o.adam(0.1))",
]


@pytest.mark.parametrize("text", first(30, STATES))
def test_states_have_the_form_of_optax(text):
    """So a checkpoint of optax is restored as it is."""
    found, expected = (form(jax.eval_shape(make(text, o).init, ONE)) for o in (ours, optax))
    assert found == expected


# Schedules that optax reads at the count of the rule, and leaves that are not there.
ALIKE = """
o.contrib.momo(decaying(o))
o.contrib.momo_adam(decaying(o))
o.contrib.prodigy(decaying(o))
o.contrib.dadapt_adamw(decaying(o))
o.contrib.madgrad(decaying(o))
o.contrib.ademamix(0.1, b3=decaying(o), alpha=decaying(o))
o.contrib.simplified_ademamix(0.1, alpha=decaying(o))
o.contrib.muon(0.1)
o.contrib.muon(0.1, weight_decay_mask=True, adam_weight_decay=0.1)
o.adafactor(0.1)
""".strip().splitlines()


@pytest.mark.parametrize("text", first(3, ALIKE))
def test_states_have_the_structure_of_optax(text):
    params = {**ONE, "n": None}
    found, expected = (
        jax.tree.structure(jax.eval_shape(make(text, o).init, params)) for o in (ours, optax)
    )
    assert str(found) == str(expected)


def test_the_sum_of_apply_every_is_that_of_optax_when_it_was_passed_on():
    """A checkpoint of that moment holds it, and the next sum starts anew."""
    found, expected = ours.apply_every(3), optax.apply_every(3)
    state = expected.init(ONE)
    for _ in range(3):
        _, state = expected.update(ONE, state)
    mine = found.init(ONE)._replace(count=state.count, grad_acc=state.grad_acc)
    for _ in range(3):
        out, mine = found.update(ONE, mine)
    np.testing.assert_allclose(out["w"], 3 * ONE["w"])


@pytest.mark.parametrize(
    "text",
    [
        "o.chain(o.clip_by_global_norm(1.0), o.adamw(decaying(o), weight_decay=decaying(o)))",
        "o.adafactor(decaying(o), 2)",
        "o.chain(o.sm3(0.1), o.scale_by_stddev())",
        "o.MultiSteps(o.contrib.muon(decaying(o)), 2)",
    ],
)
def test_a_checkpoint_of_optax_is_restored(text):
    serialization = pytest.importorskip("flax.serialization")
    here, theirs = make(text, ours), make(text, optax)
    state = theirs.init(ONE)
    for scale in (1.0, 3.0):
        grads = jax.tree.map(lambda x, scale=scale: scale * x, ONE)
        _, state = theirs.update(grads, state, ONE)
    mine = serialization.from_bytes(here.init(ONE), serialization.to_bytes(state))
    found, expected = (tx.update(ONE, s, ONE)[0] for tx, s in ((here, mine), (theirs, state)))
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["clip_by_global_norm", "clip", "scale", "clip_by_block_rms"])
def test_what_has_no_state_takes_none(name):
    tx = getattr(ours, name)(0.5)
    assert tx.init(None) == ours.EmptyState()
    updates, _ = tx.update(GRADS, tx.init(PARAMS))
    expected, _ = getattr(optax, name)(0.5).update(GRADS, optax.EmptyState())
    np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    ["o.adamw(0.1, b2=0.9)", "o.adadelta(0.1, rho=0.3)", "o.contrib.muon(0.1)", "o.sgd(0.1)"],
)
def test_twins_are_data(text):
    tx = make(text, ours)
    assert pickle.loads(pickle.dumps(tx)) == tx and gd.build(gd.spec(tx)) == tx
    assert repr(tx).startswith(f"optax.{text.partition('(')[0].removeprefix('o.')}(")
    assert tx.replace(learning_rate=0.2) != tx
    assert 0.1 in jax.tree.leaves(tx) and isinstance(tx, gd.GradientTransformation)


def test_a_schedule_stands_where_optax_has_it_and_live_numbers_stay():
    tx = ours.adamw(gd.live(0.1))
    state = gd.state.set_hyperparams(tx, tx.init(ONE), learning_rate=0.5)
    slow, fast = (tx.update(ONE, s, ONE)[0]["b"] for s in (tx.init(ONE), state))
    np.testing.assert_allclose(fast, 5 * slow, rtol=1e-5)


SCHEDULES = """
o.exponential_decay(0.1, 0, 0.5)
o.exponential_decay(0.1, 10, 0.0)
o.exponential_decay(0.1, 10, 0.5, -3)
o.exponential_decay(0.1, 2.5, 0.5)
o.polynomial_schedule(1.0, 0.5, 1, -1)
o.polynomial_schedule(1.0, 0.5, 2, 10, -5)
o.polynomial_schedule(1.0, 0.5, 0, 10)
o.linear_schedule(1.0, 0.1, -5)
o.linear_schedule(1.0, 0.1, 2.5)
o.linear_schedule(1.0, 0.1, 5, -2)
o.cosine_decay_schedule(1.0, 10**10)
o.cosine_decay_schedule(1.0, 10.5)
o.warmup_constant_schedule(0.0, 1.0, 0)
o.warmup_cosine_decay_schedule(0.2, 0, 5, 10, -3.0)
o.warmup_exponential_decay_schedule(0.0, 1.0, 3, 0, 0.5)
o.linear_onecycle_schedule(10, 1.0)
o.linear_onecycle_schedule(7, 1.0, 0.3, 0.5)
o.cosine_onecycle_schedule(7, 1.0)
""".strip().splitlines()


@pytest.mark.parametrize("text", SCHEDULES)
def test_schedules_take_what_those_of_optax_take(text):
    found, expected = (make(text, o) for o in (ours, optax))
    for step in (0, 1, 2, 3, 5, 9, 10, 11, 15):
        np.testing.assert_allclose(found(step), expected(step), rtol=1e-5, atol=1e-6)


def test_a_schedule_longer_than_int32_counts():
    np.testing.assert_allclose(gd.cosine_decay_schedule(1.0, 10**10)(5), 1.0)
    with pytest.raises(ValueError, match="decay_steps must be above 0"):
        ours.cosine_decay_schedule(1.0, 0)


def test_multi_steps_of_one_gather_nothing():
    one = ours.MultiSteps(ours.adam(0.1), 1)
    state = one.init(ONE)
    assert jax.tree.leaves(state.acc_grads) == [] and not bool(one.has_updated(state))
    for scale in (1.0, 2.0):
        grads = jax.tree.map(lambda x, scale=scale: scale * x, ONE)
        found, state = one.update(grads, state, ONE)
    assert bool(one.has_updated(state)) and int(state.gradient_step) == 2
    plain = ours.adam(0.1)
    s = plain.init(ONE)
    for scale in (1.0, 2.0):
        grads = jax.tree.map(lambda x, scale=scale: scale * x, ONE)
        expected, s = plain.update(grads, s, ONE)
    np.testing.assert_array_equal(found["w"], expected["w"])


INJECTED = {
    "a mask that is a function": lambda o: o.inject_hyperparams(o.adamw)(
        0.1, weight_decay=0.5, mask=lambda p: {"w": True, "b": False}
    ),
    "adafactor": lambda o: o.inject_hyperparams(o.adafactor, ("min_dim_size_to_factor",))(0.1),
    "lbfgs": lambda o: o.inject_hyperparams(o.lbfgs, ("memory_size",))(0.1, linesearch=None),
    "a typed key": lambda o: o.inject_hyperparams(o.noisy_sgd)(0.1, 0.0, key=jax.random.key(3)),
}


@pytest.mark.parametrize("name", INJECTED)
def test_numbers_to_inject_are_those_that_the_factory_declares(name):
    tx = INJECTED[name](ours)
    state = jax.jit(tx.init)(ONE)
    found, _ = jax.jit(tx.update)(ONE, state, ONE)
    assert float(state.hyperparams["learning_rate"]) == pytest.approx(0.1)
    if name not in ("a typed key", "lbfgs"):  # noise of other keys; another first step
        theirs = INJECTED[name](optax)
        expected, _ = theirs.update(ONE, theirs.init(ONE), ONE)
        np.testing.assert_allclose(found["w"], expected["w"], rtol=1e-5)


def test_keys_of_users_are_no_numbers():
    def noise(key, scale):
        def update(updates, state, params=None):
            key, _ = jax.random.split(state)
            return jax.tree.map(lambda g: g + scale, updates), key

        return ours.GradientTransformation(lambda params: key, update)

    tx = ours.inject_hyperparams(noise)(key=jax.random.key(17), scale=0.5)
    state = jax.jit(tx.init)(ONE)
    out, _ = jax.jit(tx.update)(ONE, state)
    assert list(state.hyperparams) == ["scale"]
    np.testing.assert_allclose(out["b"], ONE["b"] + 0.5)


def test_none_stands_for_a_part():
    tx = ours.add_decayed_weights(0.1)
    part = {"w": None, "b": jnp.ones(2)}
    whole = {"w": {"x": jnp.ones(2)}, "b": jnp.ones(2)}
    out, _ = tx.update(part, tx.init(whole), whole)
    assert out["w"] is None and float(out["b"][0]) == pytest.approx(1.1)
    assert ours.tree.add_scale(part, 2.0, whole)["w"] is None
    assert ours.incremental_update(part, whole, 0.5)["w"] is None
    assert tx.update(None, ours.EmptyState(), whole)[0] is None


def test_value_and_grad_of_any_state():
    from typing import Any, NamedTuple

    class Search(NamedTuple):  # of somebody else
        value: Any
        grad: Any

    fn = lambda x: jnp.sum(x**2)
    x = jnp.asarray([1.0, 2.0])
    again = ours.value_and_grad_from_state(fn)
    state = ({"a": 1}, Search(jnp.float32(7.0), jnp.ones(2)))
    assert float(again(x, state=state)[0]) == 7.0
    fresh = (Search(jnp.float32(jnp.inf), jnp.zeros(2)),)
    np.testing.assert_allclose(again(x, state=fresh)[1], 2 * x)
    with pytest.raises(ValueError, match="must have a value and a gradient"):
        again(x, state=ours.adam(0.1).init(x))
    with pytest.raises(KeyError):
        again(x, state=(state[1], state[1]))


@pytest.mark.parametrize("name", ["scale_by_backtracking_linesearch", "scale_by_zoom_linesearch"])
def test_line_searches_refuse_arguments_that_the_loss_does_not_take(name):
    tx, x = getattr(ours, name)(5), jnp.asarray([1.0, 2.0])
    fn = lambda x, batch: jnp.sum((x - batch) ** 2)
    value, grad = jax.value_and_grad(fn)(x, 1.0)
    given = {"value": value, "grad": grad, "value_fn": fn, "batch": 1.0}
    tx.update(-grad, tx.init(x), x, **given)
    with pytest.raises(TypeError, match="Unexpected keyword arguments"):
        tx.update(-grad, tx.init(x), x, **given, other=1)


def test_params_of_lookahead_and_of_masks_are_mapped():
    params = ours.LookaheadParams.init_synced(ONE)
    for tx, given in (
        (ours.lookahead(ours.adam(0.1), 3, 0.5), params),
        (ours.masked(ours.adam(0.1), {"w": True, "b": False}), ONE),
        (ours.partition({"a": ours.adam(0.1)}, {"w": "a", "b": "a"}), ONE),
        (ours.contrib.muon(0.1), ONE),
    ):
        state = tx.init(given)
        doubled = ours.tree.map_params(tx, lambda x: x + 2, state)
        assert jax.tree.structure(doubled) == jax.tree.structure(state)
        assert any(bool((x == 2).all()) for x in jax.tree.leaves(doubled) if x.ndim)


def test_none_is_a_seed_of_the_hessian():
    tx, fn = ours.contrib.hutchinson_estimator_diag_hessian(None), lambda p: jnp.sum(p**2)
    out, _ = tx.update(jnp.ones(2), tx.init(jnp.ones(2)), jnp.ones(2), obj_fn=fn)
    np.testing.assert_allclose(out, [2.0, 2.0], rtol=1e-6)
    assert ours.contrib.hutchinson_estimator_diag_hessian() == tx.replace(random_seed=None)


@pytest.mark.parametrize("mode", ["smooth", "refined"])
def test_lion_bends_its_sign(mode):
    found, expected = (
        updates_of(o.scale_by_lion(mode=mode, smooth_beta=2.0), ONE, ONE) for o in (ours, optax)
    )
    np.testing.assert_allclose(found["w"], expected["w"], rtol=1e-6)


def test_what_optax_deprecates_says_so():
    with pytest.warns(DeprecationWarning, match="use `optimistic_adam_v2` instead"):
        ours.optimistic_adam(0.1)


def test_trees_of_abstract_values_and_narrow_ones():
    """jax_privacy makes noise like gradients that it has not computed, and bounds their norms."""
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16), ONE)
    noise = ours.tree.random_like(jax.random.key(0), abstract)
    assert {x.dtype for x in jax.tree.leaves(noise)} == {jnp.dtype(jnp.bfloat16)}
    assert ours.tree.dtype(abstract) == jnp.bfloat16
    for length in (ours.global_norm(noise), ours.tree.norm(noise), optax.global_norm(noise)):
        assert length.dtype == jnp.bfloat16
    expected = ours.global_norm(ours.tree.cast(noise, jnp.float32))
    assert ours.global_norm(noise) == expected.astype(jnp.bfloat16)
    assert ours.tree.cast_like(ONE, abstract)["w"].dtype == jnp.bfloat16


def test_rates_are_annotated_as_in_optax():
    """So code for optax knows whether a schedule may be given."""
    for make_, name in ((ours.adam, "learning_rate"), (ours.contrib.muon, "learning_rate")):
        assert inspect.signature(make_).parameters[name].annotation is ours.ScalarOrSchedule


@pytest.mark.parametrize("kind", [jnp.uint8, jnp.uint32, jnp.int32, jnp.float32])
def test_increments_stay_at_the_largest(kind):
    top = jnp.asarray(jnp.finfo(kind).max if kind == jnp.float32 else jnp.iinfo(kind).max, kind)
    assert ours.safe_increment(top) == top and ours.safe_increment(jnp.asarray(1, kind)) == 2


def test_muon_takes_dimension_numbers_for_a_part_of_the_tree():
    numbers = ours.contrib.MuonDimensionNumbers()
    params = {"a": {"x": jnp.ones((2, 3)), "y": jnp.ones((3, 2))}, "b": {"z": jnp.ones((2, 2))}}
    tx = ours.contrib.muon(0.1, muon_weight_dimension_numbers={"a": numbers, "b": None})
    mu = tx.init(params).inner_states["muon"].inner_state[0].mu
    assert mu["a"]["x"].shape == (2, 3) and isinstance(mu["b"]["z"], ours.MaskedNode)
    other = optax.contrib.muon(
        0.1,
        muon_weight_dimension_numbers={
            "a": {k: optax.contrib.MuonDimensionNumbers() for k in "xy"},
            "b": {"z": None},
        },
    )
    found, expected = (updates_of(o, params, params) for o in (tx, other))
    np.testing.assert_allclose(found["a"]["x"], expected["a"]["x"], rtol=1e-4, atol=1e-6)


def test_states_are_made_of_abstract_parameters():
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), ONE)
    for make_ in (gd.adamw, gd.sm3, ours.adamw, ours.adafactor):
        found, expected = make_(0.1).init(abstract), make_(0.1).init(ONE)
        assert form(found) == form(expected)

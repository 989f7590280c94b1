"""What wrappers promise beyond the contract: who is moved, what is kept, what runs."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from gdjax.compat.optax.spellings import SPELLINGS

PARAMS = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "gain": jnp.ones([])}
GRADS = jax.tree.map(lambda p: 2.0 * p, PARAMS)


def zeros(updates):
    return all(not u.any() for u in jax.tree.leaves(updates))


def close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def go(tx, gradients, params, **extra):
    """Parameters after each of some gradients, by `step` and by `update`, which must agree."""
    state = other = tx.init(params)
    params_, path = params, []
    for g in gradients:
        params, state = tx.step(g, state, params, **extra)
        updates, other = tx.update(g, other, params_, **extra)
        params_ = gd.apply_updates(params_, updates)
        close((params_, other), (params, state), rtol=1e-6)
        path.append(params)
    return path, state


# Masks


@pytest.mark.parametrize("inner", [gd.sgd(0.1, 0.9), gd.adamw(0.1)], ids=["sgd", "adamw"])
def test_what_is_masked_out_has_no_update_and_no_state(inner):
    tx = gd.masked(inner, "matrices")
    updates, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    alone = {"kernel": PARAMS["dense"]["kernel"]}
    grads = {"kernel": GRADS["dense"]["kernel"]}
    expected, inside = inner.update(grads, inner.init(alone), alone)
    np.testing.assert_array_equal(updates["dense"]["kernel"], expected["kernel"])
    assert zeros((updates["dense"]["bias"], updates["gain"]))
    sizes = [x.shape for x in jax.tree.leaves(state)]
    assert sizes == [x.shape for x in jax.tree.leaves(inside)]


def test_masked_everywhere_is_itself_and_nowhere_holds_nothing():
    inner = gd.adamw(0.1)
    for mask in (None, True, {"dense": True, "gain": True}):
        close(go(gd.masked(inner, mask), [GRADS] * 2, PARAMS)[0], go(inner, [GRADS] * 2, PARAMS)[0])
    tx = gd.masked(gd.sgd(0.1, 0.9), False)
    assert jax.tree.leaves(tx.init(PARAMS)) == []
    assert zeros(tx.update(GRADS, tx.init(PARAMS), PARAMS)[0])


def test_masked_stages_of_a_chain_may_pass_what_is_not_theirs():
    """As optax does, which compositions of its users rely on."""
    tx = gd.chain(gd.masked(gd.add_decayed_weights(0.5), "matrices", outside="pass"), gd.sgd(1.0))
    theirs = optax.chain(
        optax.masked(
            optax.add_decayed_weights(0.5), lambda p: jax.tree.map(lambda x: x.ndim > 1, p)
        ),
        optax.sgd(1.0),
    )
    ours, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    close(ours, theirs.update(GRADS, theirs.init(PARAMS), PARAMS)[0])
    with pytest.raises(ValueError, match='outside must be "zero" or "pass".*Did you mean pass'):
        gd.masked(gd.sgd(0.1), True, outside="passs")


def test_masks_without_params_and_of_optax():
    tx = gd.masked(optax.sgd(0.1, momentum=0.9), "matrices")
    updates, state = tx.update(GRADS, tx.init(PARAMS))
    assert zeros(updates["gain"]) and updates["dense"]["kernel"].any()
    tx.update(GRADS, state)


def test_extra_arguments_are_masked_on_request():
    def add(updates, state, params=None, *, other, **extra):
        assert (other["gain"] is None) == expected
        return jax.tree.map(jnp.add, updates, other) if expected else updates, state

    foreign = optax.GradientTransformationExtraArgs(lambda params: (), add)
    for expected in (True, False):
        masked = gd.masked(foreign, "matrices", mask_compatible_extra_args=expected)
        parts = gd.partition(
            gd.by_label(foreign="matrices", rest=True),
            foreign=foreign,
            rest=gd.sgd(0.1),
            mask_compatible_extra_args=expected,
        )
        for tx in (masked, parts):
            updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, other=GRADS)
            assert updates["dense"]["kernel"][0, 0] == (4.0 if expected else 2.0)


def test_frozen():
    tx = gd.selective_transform(gd.adamw(0.1), freeze_mask="dense/.*")
    _, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert gd.state.find(state, "mu")["dense"] == {"kernel": None, "bias": None}
    (after,), _ = go(tx, [GRADS], PARAMS)
    np.testing.assert_array_equal(after["dense"]["kernel"], PARAMS["dense"]["kernel"])
    assert after["gain"] != PARAMS["gain"]
    chained, _ = go(gd.chain(gd.adamw(0.1), gd.freeze("dense/.*")), [GRADS], PARAMS)
    close(chained[0], after)


def test_partition():
    tx = gd.partition(
        {"dense": {"kernel": "m", "bias": "r"}, "gain": "f"},
        m=gd.sgd(gd.linear_to_zero(1.0, 10), 0.9),
        r=gd.adam(0.1),
        f=gd.frozen,
    )
    updates, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert gd.state.find(state.inner_states["m"], "trace")["dense"]["bias"] is None
    assert gd.state.find(state.inner_states["r"], "mu")["dense"]["kernel"] is None
    assert jax.tree.leaves(state.inner_states["f"]) == []
    close(updates["dense"]["kernel"], -2.0 * jnp.ones((2, 3)))
    close(updates["dense"]["bias"], -0.1 * jnp.ones(3), rtol=1e-5)
    assert zeros(updates["gain"])
    assert set(gd.state.hyperparams(tx, state)) >= {"m/learning_rate", "r/learning_rate", "r/b1"}
    assert float(gd.state.hyperparams(tx, state)["m/learning_rate"]) == 1.0


@pytest.mark.parametrize(
    "labels, message",
    [
        ({"dense": "sdg", "gain": "adam"}, "'dense/bias'.*got 'sdg'. Did you mean sgd"),
        ({"dense": "sgd"}, "rules must be a tree of labels.*lacks 'gain'"),
        (gd.by_label(sgd="matrices", adam="gian"), "pattern.*'gian'.*gain"),
        (gd.by_label(sgd="matrices", adam="gain"), "none for 'dense/bias'"),
    ],
)
def test_a_parameter_without_a_label_raises(labels, message):
    tx = gd.partition(labels, sgd=gd.sgd(0.1), adam=gd.adam(0.1))
    with pytest.raises(ValueError, match="partition: .*" + message):
        tx.init(PARAMS)


# Conditions and guards


def test_inner_schedules_count_inner_steps():
    ramp = lambda step: jnp.asarray([1.0, 10.0, 100.0])[step]
    tx = gd.conditionally_mask(gd.sgd(ramp), lambda step: step % 2 == 1)
    path, state = go(tx, [jnp.ones([])] * 6, jnp.zeros([]))
    assert [float(p) for p in path] == [0, -1, -1, -11, -11, -111]
    assert (
        int(state.step) == 6
        and float(gd.state.hyperparams(tx, state)["inner/learning_rate"]) == 100
    )
    tx = gd.accumulate(gd.sgd(ramp), 2)
    path, state = go(tx, [jnp.ones([])] * 6, jnp.zeros([]))
    assert [float(p) for p in path] == [0, -1, -1, -11, -11, -111]


def test_conditions_see_extra_arguments():
    seen = lambda step, *, loss, **extra: loss < 1.0
    for make, other in ((gd.conditionally_mask, 0.0), (gd.conditionally_transform, 1.0)):
        tx = make(gd.scale(-1.0), seen, forward_extra_args=True)
        state = tx.init(jnp.zeros([]))
        for loss, expected in ((0.5, -1.0), (2.0, other)):
            assert tx.update(jnp.ones([]), state, None, loss=jnp.asarray(loss))[0] == expected
    with pytest.raises(TypeError, match="conditionally_mask: should_transform_fn must be callable"):
        gd.conditionally_mask(gd.sgd(0.1), 3)


NAN = jnp.asarray([jnp.nan, 1.0])
ONE = jnp.ones(2)


def test_a_step_that_is_not_finite_leaves_everything():
    inner = gd.adamw(0.1)
    clean, kept = go(inner, [ONE, 2 * ONE], ONE)
    tx = gd.apply_if_finite(inner)
    path, state = go(tx, [ONE, NAN, jnp.inf * ONE, 2 * ONE], ONE)
    close(path, [clean[0], clean[0], clean[0], clean[1]])
    close(state.inner_state, kept)
    assert int(state.total_notfinite) == 2 and int(state.notfinite_count) == 0
    assert bool(state.last_finite)


def test_nothing_but_being_told_lets_a_nan_in():
    path, state = go(gd.apply_if_finite(gd.sgd(0.1)), [NAN] * 9, ONE)
    assert jnp.all(path[-1] == 1) and int(state.notfinite_count) == 9
    path, _ = go(gd.apply_if_finite(gd.sgd(0.1), 2), [NAN] * 3, ONE)
    assert [bool(jnp.isnan(p).any()) for p in path] == [False, False, True]
    with pytest.raises(ValueError, match="max_consecutive must be 0 or more, or None, got -1"):
        gd.apply_if_finite(gd.sgd(0.1), -1)


def test_all_finite():
    assert gd.all_finite({"w": ONE, "n": jnp.arange(2), "none": None}) and gd.all_finite({})
    assert not gd.all_finite({"w": ONE, "v": NAN}) and not gd.all_finite(1j * jnp.inf)


def test_zero_nans_notes_where():
    tx = gd.zero_nans()
    state = tx.init({"a": ONE, "b": ONE, "c": ONE})
    updates, state = tx.update({"a": NAN, "b": jnp.inf * ONE, "c": None}, state)
    np.testing.assert_array_equal(updates["a"], [0.0, 1.0])
    assert jnp.isinf(updates["b"]).all()
    assert [bool(x) for x in jax.tree.leaves(state.found_nan)] == [True, False, False]
    updates, state = tx.update({"a": ONE, "b": ONE, "c": NAN}, state)
    assert [bool(x) for x in jax.tree.leaves(state.found_nan)] == [False, False, True]


def test_keep_params_nonnegative():
    tx = gd.keep_params_nonnegative()
    params = jnp.asarray([1.0, 1.0, -1.0])
    after, _ = tx.step(jnp.asarray([-2.0, -0.5, -0.5]), tx.init(params), params)
    np.testing.assert_array_equal(after, [0.0, 0.5, 0.0])
    z = jnp.asarray([1j])
    with pytest.raises(TypeError, match="must be real"):
        tx.update(z, tx.init(z), z)
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(ONE, tx.init(ONE))


# Accumulation


@pytest.mark.parametrize("inner", [gd.sgd(0.1, 0.9), gd.adamw(0.1)], ids=["sgd", "adamw"])
def test_accumulation_is_the_large_batch(inner):
    gs = [jnp.asarray([1.0, 2.0]), jnp.asarray([3.0, -1.0]), jnp.asarray([2.0, 5.0])]
    path, state = go(gd.accumulate(inner, 3), gs * 2, ONE)
    large, kept = go(inner, [sum(gs) / 3] * 2, ONE)
    close([path[2], path[5]], large, rtol=1e-6)
    assert all(jnp.all(path[i] == (1.0, large[0])[i > 2]) for i in (0, 1, 3, 4))
    close(state.inner_opt_state, kept, rtol=1e-6)
    assert int(state.gradient_step) == 2 and int(state.mini_step) == 0


def test_a_nan_in_a_small_batch_is_left_out_and_counted():
    """optax's MultiSteps keeps it in its sum for good."""
    tx = gd.accumulate(gd.sgd(1.0), 2)
    gs = [NAN, ONE, jnp.inf * ONE, 3 * ONE, NAN]
    path, state = go(tx, gs, ONE)
    np.testing.assert_array_equal(path[-1], -ONE)
    assert int(state.skip_state.skipped) == 3 and int(state.gradient_step) == 1
    state, params, did = tx.init(ONE), ONE, []
    for g in gs:
        params, state = tx.step(g, state, params)
        did.append(bool(gd.did_step({"anywhere": state})))
    assert did == [False, False, False, True, False]
    path, _ = go(gd.accumulate(gd.sgd(1.0), 2, should_skip_update_fn=None), [NAN, ONE], ONE)
    assert jnp.isnan(path[-1][0])


def test_large_gradients_may_be_left_out():
    skip = functools.partial(gd.skip_large_updates, max_squared_norm=10.0)
    path, state = go(
        gd.accumulate(gd.sgd(1.0), 1, should_skip_update_fn=skip), [ONE, 3 * ONE, NAN, ONE], 2 * ONE
    )
    assert [float(p[0]) for p in path] == [1.0, 1.0, 1.0, 0.0]
    assert int(state.skip_state.skipped) == 2
    flag, told = gd.skip_large_updates({"w": 2 * ONE}, 0, None, 8.0)
    assert not flag and told["norm_squared"] == 8.0
    flag, told = gd.skip_not_finite({"w": NAN, "v": jnp.inf * ONE}, 0, None)
    assert flag and told["num_not_finite"] == 3


def test_weights_of_small_batches():
    tx = gd.accumulate(gd.sgd(1.0), 2, weight="tokens")
    state, params = tx.init(ONE), jnp.zeros(2)
    for g, w in ((ONE, 3.0), (5 * ONE, 1.0)):
        params, state = tx.step(g, state, params, tokens=w)
    np.testing.assert_allclose(params, -2 * ONE)
    for w in (0.0, 0.0):  # nothing was in the batches
        params, state = tx.step(7 * ONE, state, params, tokens=w)
    np.testing.assert_allclose(params, -2 * ONE)


def test_accumulation_of_16_bit_gradients_is_wide():
    tx = gd.accumulate(gd.sgd(1.0), 256)
    params = jnp.zeros(1, jnp.bfloat16)
    state = tx.init(params)
    state, _ = jax.lax.scan(
        lambda state, g: (tx.update(g, state)[1], None),
        state,
        jnp.full((255, 1), 1.01, jnp.bfloat16),
    )
    assert state.acc_grads.dtype == jnp.float32
    np.testing.assert_allclose(state.acc_grads, jnp.bfloat16(1.01).astype(float), rtol=1e-5)


@pytest.mark.parametrize("every", [0, 2.0, None])
def test_what_every_must_be(every):
    with pytest.raises(ValueError, match="accumulate: every must be an integer of 1 or more"):
        gd.accumulate(gd.sgd(0.1), every)
    with pytest.raises(ValueError, match="apply_every: every must be an integer of 1 or more"):
        gd.apply_every(every)


def test_did_step_asks_for_one_state():
    with pytest.raises(KeyError, match="did_step: 'MultiStepsState' must be .* got none"):
        gd.did_step(gd.sgd(0.1).init(ONE))
    twice = gd.accumulate(gd.accumulate(gd.sgd(0.1), 2), 1)  # the state that is given, of the two
    assert gd.did_step(twice.update(ONE, twice.init(ONE))[1])


def branches(text):
    return text.count("cond[")


def test_between_steps_the_inner_transformation_does_not_run():
    """It stands in a branch; `step` has the parameters in it too."""
    tx = gd.accumulate(gd.adamw(0.1), 4)
    state = tx.init(PARAMS)
    for function in (tx.update, tx.step):
        jaxpr = jax.make_jaxpr(function)(GRADS, state, PARAMS)
        assert branches(str(jaxpr)) >= 1
        outside = [e.primitive.name for e in jaxpr.jaxpr.eqns]
        assert "sqrt" not in outside and "sqrt" in str(jaxpr)


def test_accumulation_within_accumulation():
    path, _ = go(gd.accumulate(gd.accumulate(gd.sgd(1.0), 2), 2), [ONE, 2 * ONE] * 4, jnp.zeros(2))
    assert [float(p[0]) for p in path] == [0, 0, 0, -1.5, -1.5, -1.5, -1.5, -3.0]


# Measurements


def test_monitor_in_a_scan():
    tx = gd.chain(
        gd.monitor(
            {
                "norm": gd.global_norm,
                "large": gd.measure_with_ema(lambda u: gd.global_norm(u) > 1.5, 0.5),
                "tree": lambda u: u,
            }
        ),
        gd.sgd(0.1),
    )
    params = jnp.zeros(1, jnp.bfloat16)
    gs = jnp.asarray([[1.0], [2.0]], jnp.bfloat16)
    state, _ = jax.lax.scan(lambda s, g: (tx.update(g, s)[1], None), tx.init(params), gs)
    assert gd.state.find(state, "norm") == 2.0 and gd.state.find(state, "tree") == 2.0
    np.testing.assert_allclose(gd.state.find(state, "large"), 0.5 / 0.75, rtol=1e-6)
    assert set(gd.state.hyperparams(tx, state)) == {"monitor/large/decay", "sgd/learning_rate"}


def test_averages_of_what_is_measured():
    for debias, expected in ((True, 2.0), (False, 1.5)):
        tx = gd.measure_with_ema(lambda u: {"a": u[0], "n": u.size}, 0.5, debias)
        state = tx.init(ONE)
        for g in (4.0, 1.0):
            updates, state = tx.update(g * ONE, state)
            np.testing.assert_array_equal(updates, g * ONE)
        np.testing.assert_allclose(state.measurement["a"], expected)
        assert int(state.count) == 2 and state.ema["n"].dtype == jnp.float32
    moving = gd.monitor({"norm": gd.measure_with_ema(gd.global_norm, lambda step: 0.5)})
    _, state = moving.update(ONE, moving.init(ONE))
    np.testing.assert_allclose(gd.state.find(state, "norm"), 2**0.5, rtol=1e-6)
    with pytest.raises(TypeError, match="monitor: a measure must be a function of the updates, or"):
        gd.monitor({"norm": gd.sgd(0.1)}).init(ONE)
    with pytest.raises(TypeError, match="monitor: measure must be callable"):
        gd.monitor({"norm": 3})
    with pytest.raises(TypeError, match="snapshot: measure must be callable"):
        gd.snapshot("norm", gd.sgd(0.1))


def test_snapshot_keeps_its_dtypes():
    tx = gd.snapshot("count", lambda u: jnp.sum(u > 0))
    state = tx.init(ONE)
    _, after = tx.update(jnp.asarray([1.0, -1.0]), state)
    assert gd.state.find(after, "count") == 1
    assert gd.state.find(after, "count").dtype == gd.state.find(state, "count").dtype


# Other forms


def test_flatten_is_one_vector():
    params = {**PARAMS, "half": jnp.ones(2, jnp.bfloat16), "n": jnp.arange(2)}
    grads = {**GRADS, "half": jnp.ones(2, jnp.bfloat16), "n": None, "gain": None}
    inner = gd.chain(gd.trace(0.9), gd.clip_by_global_norm(0.1), gd.scale(-1.0))
    tx = gd.flatten(inner)
    state = tx.init(params)
    assert gd.state.find(state, "trace").shape == (12,)
    updates, state = tx.update(grads, state, params)
    assert updates["n"] is None and updates["gain"] is None
    expected, _ = inner.update(grads, inner.init(params), params)
    close(updates, expected, rtol=1e-6)
    assert updates["half"].dtype == jnp.float32


def test_complex_parameters_in_two_parts():
    params = {"z": jnp.asarray([1.0 + 2.0j]), "x": jnp.ones(1)}
    grads = {"z": jnp.asarray([3.0 - 0.1j]), "x": jnp.ones(1)}
    tx = gd.split_real_and_imaginary(gd.adam(0.1))
    updates, state = tx.update(grads, tx.init(params), params)
    np.testing.assert_allclose(updates["z"], [-0.1 + 0.1j], rtol=1e-5)
    np.testing.assert_allclose(updates["x"], [-0.1], rtol=1e-5)
    assert gd.state.find(state, "mu")["z"].real.dtype == jnp.float32
    evaluated = gd.state.eval_params(tx, state, params)
    close(evaluated, params)


def test_a_function_of_one_array():
    tx = gd.stateless_with_tree_map(lambda g, p: g if p is None else g * p)
    assert tx.update(3.0 * jnp.ones([]), tx.init(None))[0] == 3.0
    assert tx.update(3.0 * jnp.ones([]), tx.init(None), jnp.asarray(2.0))[0] == 6.0
    with pytest.raises(TypeError, match="f must be callable"):
        gd.stateless_with_tree_map(3)


# Evaluation parameters reach through


@gd.transformation
def _shadow_for_test():
    """A transformation whose evaluation parameters are twice those that are trained."""
    init = lambda params: gd.EmptyState()
    update = lambda updates, state, params=None, **extra: (updates, state)
    return gd.Rule(init, update, evaluate=lambda state, p: jax.tree.map(lambda x: 2 * x, p))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: gd.flatten(tx),
        lambda tx: gd.split_real_and_imaginary(tx),
        lambda tx: gd.apply_if_finite(tx),
        lambda tx: gd.accumulate(tx, 2),
        lambda tx: gd.masked(tx, True),
        lambda tx: gd.partition("a", a=tx),
        lambda tx: gd.sam(tx, gd.sgd(0.1)),
        lambda tx: gd.conditionally_mask(tx, lambda step: step > 3),
    ],
)
def test_evaluation_parameters_reach_through(wrap):
    tx = wrap(_shadow_for_test())
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    assert all(
        jnp.all(x == 2) for x in jax.tree.leaves(gd.state.eval_params(tx, tx.init(params), params))
    )


def test_evaluation_parameters_of_a_part():
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    for tx in (
        gd.masked(_shadow_for_test(), "matrices"),
        gd.selective_transform(_shadow_for_test(), freeze_mask="b"),
        gd.partition(gd.by_label(w="matrices", b=True), w=_shadow_for_test(), b=optax.sgd(0.1)),
    ):
        seen = gd.state.eval_params(tx, tx.init(params), params)
        assert jnp.all(seen["w"] == 2) and jnp.all(seen["b"] == 1)


# A metric that no longer falls


def scales(metrics, **arguments):
    tx = gd.reduce_on_plateau(**{"factor": 0.5, "patience": 1, **arguments})
    state, found = tx.init(ONE), []
    for value in metrics:
        updates, state = tx.update(ONE, state, value=jnp.asarray(float(value)))
        found.append(float(updates[0]))
    return found


@pytest.mark.parametrize(
    "metrics, arguments, expected",
    [
        ([3, 2, 2, 2, 1, 1, 1], {}, [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
        # of a negative metric, a fall of one part in ten thousand is none either
        ([-1, -1.00001, -1.00002, -1.00003], {}, [1, 1, 0.5, 0.5]),
        ([-1, -1.1, -1.2, -1.3], {}, [1, 1, 1, 1]),
        ([-1, -1.1, -1.2, -1.3], {"rtol": 0.5}, [1, 1, 0.5, 0.5]),
        ([2, 1.9, 1.8], {"atol": 0.3}, [1, 1, 0.5]),
        ([1, 1, 1, 1, 1, 1], {"cooldown": 2}, [1, 1, 0.5, 0.5, 0.5, 0.5]),
        ([1] * 9, {"patience": 0, "min_scale": 0.3}, [1, 0.5] + [0.3] * 7),
        ([1, 1, 1], {"patience": 0, "min_scale": 2.0}, [1, 1, 1]),
        ([1, 3, 2, 2, 2, 2], {"accumulation_size": 2, "patience": 0}, [1, 1, 1, 0.5, 0.5, 0.25]),
        ([np.nan, np.nan, 1, 1], {}, [1, 0.5, 0.5, 0.5]),
    ],
)
def test_reduce_on_plateau(metrics, arguments, expected):
    np.testing.assert_allclose(scales(metrics, **arguments), expected, rtol=1e-6)


def test_the_metric_is_asked_for():
    tx = gd.chain(gd.sgd(0.1), gd.reduce_on_plateau())
    with pytest.raises(
        TypeError, match="reduce_on_plateau: update needs the extra argument 'value'"
    ):
        tx.update(ONE, tx.init(ONE))


# Sharpness


def test_sam_tells_where_it_trains():
    tx = gd.sam(gd.sgd(0.1), gd.chain(gd.normalize(), gd.sgd(0.5)))
    params = jnp.asarray([3.0, 4.0])
    state = tx.init(params)
    up, state = tx.step(params, state, params)
    np.testing.assert_allclose(up, [3.3, 4.4], rtol=1e-6)
    np.testing.assert_array_equal(gd.state.eval_params(tx, state, up), params)
    down, state = tx.step(up, state, up)
    np.testing.assert_allclose(down, [2.67, 3.56], rtol=1e-6)
    np.testing.assert_array_equal(gd.state.eval_params(tx, state, down), down)
    names = {"inner/learning_rate", "adv_optimizer/sgd/learning_rate"}
    assert set(gd.state.hyperparams(tx, state)) == names


def test_sam_averages_over_devices():
    tx = gd.sam(gd.sgd(1.0), gd.sgd(0.5), opaque_mode=True, batch_axis_name="batch")

    def one(target):
        grad = lambda x, i=None: x - target
        x = jnp.zeros([])
        return tx.step(grad(x), tx.init(x), x, grad_fn=grad)[0]

    np.testing.assert_allclose(
        jax.vmap(one, axis_name="batch")(jnp.asarray([1.0, 3.0])), [3.0, 3.0]
    )


def test_what_sam_refuses():
    with pytest.raises(ValueError, match="every must be an integer of 2 or more, got 1"):
        gd.sam(gd.sgd(0.1), gd.sgd(0.1), 1)
    tx = gd.sam(gd.sgd(0.1), gd.sgd(0.1))
    with pytest.raises(ValueError, match="sam: update needs the parameters"):
        tx.update(ONE, tx.init(ONE))
    tx = gd.sam(gd.sgd(0.1), gd.sgd(0.1), opaque_mode=True)
    with pytest.raises(TypeError, match="sam: update needs the extra argument 'grad_fn'"):
        tx.update(ONE, tx.init(ONE), ONE)
    with pytest.raises(ValueError, match="normalize_adaptively: update needs the parameters"):
        gd.normalize_adaptively().update(ONE, gd.EmptyState())


def test_the_adaptive_climb_does_not_see_scale():
    """Where parameters are scaled by s and gradients by 1/s, the climb is scaled by s."""
    tx = gd.normalize_adaptively(0.0)
    p, g, s = jnp.asarray([1.0, -2.0]), jnp.asarray([0.5, 3.0]), jnp.asarray([10.0, 0.1])
    u, _ = tx.update(g, gd.EmptyState(), p)
    scaled, _ = tx.update(g / s, gd.EmptyState(), p * s)
    np.testing.assert_allclose(scaled, u * s, rtol=1e-6)
    np.testing.assert_allclose(jnp.linalg.norm(u / jnp.abs(p)), 1.0, rtol=1e-6)
    assert zeros(tx.update(0 * g, gd.EmptyState(), p)[0])


# Slow copies


def test_slow_copies():
    new = {"w": jnp.asarray([4.0]), "n": jnp.asarray(3)}
    old = {"w": jnp.asarray([0.0], jnp.bfloat16), "n": jnp.asarray(1)}
    slow = gd.incremental_update(new, old, 0.25)
    assert slow["w"] == 1.0 and slow["w"].dtype == jnp.bfloat16 and slow["n"] == 3
    for step, expected in ((0, 4.0), (1, 0.0), (2, 0.0), (3, 4.0)):
        copy = jax.jit(gd.periodic_update)(new, old, jnp.asarray(step), 3)
        assert copy["w"] == expected and copy["w"].dtype == jnp.bfloat16
    assert gd.incremental_update(4.0, 2.0, 0.25) == 2.5
    assert gd.incremental_update(1.0, 0.0, 0.5) == 0.5 and gd.periodic_update(1.0, 0.0, 4, 2) == 1.0


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (gd.masked, optax.masked),
        (gd.freeze, optax.transforms.freeze),
        (gd.selective_transform, optax.transforms.selective_transform),
        (gd.conditionally_mask, optax.conditionally_mask),
        (gd.conditionally_transform, optax.conditionally_transform),
        (gd.apply_every, optax.apply_every),
        (gd.snapshot, optax.snapshot),
        (gd.measure_with_ema, optax.measure_with_ema),
        (gd.reduce_on_plateau, optax.contrib.reduce_on_plateau),
        (gd.sam, optax.contrib.sam),
        (gd.incremental_update, optax.incremental_update),
        (gd.periodic_update, optax.periodic_update),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_arguments_are_ordered_as_in_optax_and_called_so_in_compat(ours, theirs):
    name = ours.__name__
    ours, theirs = (inspect.signature(f).parameters for f in (ours, theirs))
    spelling = {**SPELLINGS, "selective_transform": {"inner": "optimizer"}}.get(name, {})
    ours = {spelling.get(name, name): parameter for name, parameter in ours.items()}
    assert [name for name in ours if name in theirs] == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default, name


def test_a_plateau_is_what_is_not_better_by_a_margin():
    for kinds in ({"rtol": 0.0, "atol": 0.1}, {"rtol": 0.1, "atol": 0.0}):
        tx = gd.reduce_on_plateau(factor=0.5, patience=0, **kinds)
        state = tx.init(jnp.zeros(1))
        for value, scale in ((1.0, 1.0), (0.85, 1.0), (0.8, 0.5)):
            _, state = tx.update(jnp.ones(1), state, value=jnp.asarray(value))
            assert float(state.scale) == scale, (kinds, value)

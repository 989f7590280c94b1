"""optax's namespace over gdjax: names, numbers, states both ways, and code that uses it."""

from __future__ import annotations

import functools
import importlib
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.compat import optax as ours
from gdjax.compat.optax.convert import from_optax_state, to_optax, to_optax_state

from .oracles import problem

# Where only the contract is run there is nothing but pytest and chex.
optax = pytest.importorskip("optax")


@pytest.fixture(autouse=True)
def standard():
    """What other libraries count on; ours is held to stricter rules elsewhere."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


# Names. ----------------------------------------------------------------------------------------

SPACES = (
    "",
    "contrib",
    "transforms",
    "schedules",
    "tree",
    "tree_utils",
    "losses",
    "projections",
    "perturbations",
    "second_order",
    "assignment",
)
# Modules that are no part of optax's documented interface.
LEFT_OUT = {"": {"experimental"}, "tree_utils": {"functools", "typing"}}


@pytest.mark.parametrize("space", SPACES)
def test_every_name_is_here(space):
    theirs = importlib.import_module(f"optax.{space}".rstrip("."))
    here = importlib.import_module(f"gdjax.compat.optax.{space}".rstrip("."))
    wanted = {n for n in dir(theirs) if not n.startswith("_")} - LEFT_OUT.get(space, set())
    assert {n for n in wanted if not hasattr(here, n)} == set()
    assert wanted <= set(dir(here))


def test_a_star_brings_all():
    scope = {}
    exec("from gdjax.compat.optax import *; from gdjax.compat.optax.contrib import *", scope)
    assert scope["adamw"] is gd.adamw and scope["masked"] is ours.masked and "muon" in scope


def test_what_is_no_name_raises():
    with pytest.raises(AttributeError, match="no attribute 'adamm'. Did you mean"):
        ours.adamm  # noqa: B018
    with pytest.raises(AttributeError, match="optax.contrib"):
        ours.contrib.adam_  # noqa: B018
    with pytest.raises(ImportError):
        from gdjax.compat.optax import no_such_name  # noqa: F401


# Defaults that are objects, and are equal in what they do.
SAME_IN_EFFECT = {
    ("adafactor", "dtype_momentum"),
    ("scale_by_distance_over_gradients", "param_dtype"),
    ("lbfgs", "linesearch"),
    ("scale_by_factored_rms", "decay_rate_fn"),
    ("adopt", "clip_value_fn"),
    ("scale_by_adopt", "clip_value_fn"),
    ("sophia", "hessian_diagonal_fn"),
    ("hutchinson_estimator_diag_hessian", "random_seed"),  # None is 0
    ("microbatch", "accumulator"),
    ("muon", "muon_weight_dimension_numbers"),
    ("scale_by_muon", "ns_coeffs"),  # by name
}


@pytest.mark.parametrize("space", ("", "contrib", "transforms", "schedules"))
def test_arguments_and_defaults(space):
    """What can be written for optax can be written here, and means the same."""
    theirs = importlib.import_module(f"optax.{space}".rstrip("."))
    here = importlib.import_module(f"gdjax.compat.optax.{space}".rstrip("."))
    wrong = []
    for name in dir(theirs):
        function = getattr(theirs, name)
        if name.startswith("_") or not inspect.isfunction(function) or not hasattr(here, name):
            continue
        mine = inspect.signature(getattr(here, name)).parameters
        for i, p in enumerate(inspect.signature(function).parameters.values()):
            q = mine.get(p.name)
            by_name = p.kind is p.KEYWORD_ONLY
            if q is None and by_name and any(m.kind is m.VAR_KEYWORD for m in mine.values()):
                continue
            if q is None or not (by_name or list(mine)[i] == p.name):
                wrong.append(f"{name}: {p.name}")
            elif (name, p.name) not in SAME_IN_EFFECT and q.default != p.default:
                wrong.append(f"{name}: {p.name}={p.default}, not {q.default}")
    assert wrong == []


@pytest.mark.parametrize("space", ("", "contrib"))
def test_fields_of_states(space):
    theirs = importlib.import_module(f"optax.{space}".rstrip("."))
    here = importlib.import_module(f"gdjax.compat.optax.{space}".rstrip("."))
    for name in dir(theirs):
        fields = getattr(getattr(theirs, name), "_fields", None)
        known = inspect.isclass(getattr(theirs, name)) and hasattr(here, name)
        if known and fields and name not in MORE_FIELDS:
            assert getattr(here, name)._fields == fields, name


# States with fields of their own besides; the reason stands where they are defined.
MORE_FIELDS = {"ScaleByRmsState", "ScaleByRStdDevState", "MechanicState", "MuonState"}


# Numbers and states. -----------------------------------------------------------------------------

MASK = {"w": True, "b": False}


def even(step, **extra):
    return step % 2 == 0


def decaying(o):
    return o.exponential_decay(0.1, 5, 0.5)


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
""".strip().splitlines()

# Where optax departs from the paper, ours does not; each stands with its reference in `families/`.
OTHER = {
    "o.adan(0.1)": "optax is right for b2 = 0.5 alone",
    "o.rprop(0.1)": "optax does not move in the first step",
    "o.yogi(0.1)": "optax starts the mean gradient at the value of v; the paper at 0",
    "o.contrib.acprop(0.1)": "optax corrects the bias of one step more than there was",
    "o.contrib.muon(0.1)": "optax corrects the two parts of Nesterov's mean apart, which turns it",
    "o.lbfgs(0.1, linesearch=None)": "the first step, and steps of negative curvature",
    "o.contrib.mechanize(o.sgd(0.1))": "optax recovers the sum of steps from the parameters",
}
# Tolerances where optax computes a part in float32.
FLOAT32 = {"o.contrib.madgrad(0.1)": 1e-4, "o.scale_by_distance_over_gradients()": 1e-5}


def make(text, o):
    return eval(text, {"o": o, "MASK": MASK, "decaying": decaying, "even": even})


def split(flat):
    return {"w": flat[:6].reshape(2, 3), "b": flat[6:]}


def join(tree):
    return jnp.concatenate([jnp.ravel(tree["w"]), tree["b"]])


def stepper(tx):
    @jax.jit
    def step(params, state, t):
        noise = 0.1 * jnp.asarray(problem.NOISE)[t]
        h, c, x = jnp.asarray(problem.H), jnp.asarray(problem.C), join(params)
        grads, value = split(h @ x - c + noise), 0.5 * x @ h @ x - (c - noise) @ x
        try:
            updates, state = tx.update(grads, state, params, value=value)
        except TypeError:  # a plain pair of optax
            updates, state = tx.update(grads, state, params)
        return ours.apply_updates(params, updates), state

    return step


def run(step, params, state, steps):
    path = []
    for t in steps:
        params, state = step(params, state, t)
        path.append(np.asarray(join(params)))
    return np.stack(path), params, state


@pytest.mark.parametrize("text", SAME)
def test_same_numbers_and_states(text, x64):
    """Equal paths; and each continues, after 5 of 9 steps, what the other has begun."""
    here, theirs = make(text, ours), make(text, optax)
    assert isinstance(here, (ours.GradientTransformation, ours.MultiSteps))
    step, their_step = stepper(here), stepper(theirs)
    start = split(jnp.asarray(problem.start()))
    tolerance = {"rtol": 0, "atol": 1e-6 if "decaying" in text else FLOAT32.get(text, 1e-7)}
    path, params, state = run(step, start, here.init(start), range(5))
    rest, _, _ = run(step, params, state, range(5, 9))
    expected, their_params, their_state = run(their_step, start, theirs.init(start), range(5))
    np.testing.assert_allclose(path, expected, **tolerance)

    converted = from_optax_state(here, their_params, their_state)
    like = lambda x: (x.shape, x.dtype)
    assert jax.tree.map(like, converted) == jax.tree.map(like, here.init(start))
    np.testing.assert_allclose(run(step, params, converted, range(5, 9))[0], rest, **tolerance)

    back = to_optax_state(theirs, params, state)
    got, _, _ = run(their_step, params, back, range(5, 9))
    np.testing.assert_allclose(got, rest, **tolerance)


@pytest.mark.parametrize("text", OTHER)
def test_where_optax_departs_from_the_paper(text, x64):
    """The reasons in `OTHER` still hold: a difference that goes away should be noticed."""
    here, theirs = make(text, ours), make(text, optax)
    start = split(jnp.asarray(problem.start()))
    path, _, _ = run(stepper(here), start, here.init(start), range(5))
    expected, _, _ = run(stepper(theirs), start, theirs.init(start), range(5))
    assert np.abs(path - expected).max() > 1e-7


class TestStates:
    params = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(2)}

    def after(self, tx, steps=3):
        state = tx.init(self.params)
        for _ in range(steps):
            grads = jax.tree.map(jnp.ones_like, self.params)
            _, state = tx.update(grads, state, self.params)
        return state

    def test_hyperparameters_in_use(self):
        """The rate shown is the one last used; a live one is what optax held."""
        theirs = optax.adam(optax.linear_schedule(1.0, 0.0, 10))
        tx = gd.adam(gd.linear_schedule(1.0, 0.0, 10))
        state = from_optax_state(tx, self.params, self.after(theirs))
        assert int(state.count) == 3
        assert float(gd.state.hyperparams(tx, state)["learning_rate"]) == pytest.approx(0.8)
        injected = self.after(optax.inject_hyperparams(optax.adam)(0.25))
        live = gd.adam(gd.live(0.1))
        state = from_optax_state(live, self.params, injected)
        assert float(state.hyperparams["learning_rate"]) == 0.25

    def test_named_chains_and_wrappers(self):
        theirs = self.after(optax.chain(optax.clip(1.0), optax.adamw(optax.constant_schedule(0.1))))
        tx = gd.chain(clip=gd.clip(1.0), opt=gd.adamw(lambda t: 0.1))
        state = from_optax_state(tx, self.params, theirs)
        assert int(state["opt"].count) == int(gd.state.find(state, "ScaleByAdamState").count) == 3

    def test_wrappers_of_both_kinds(self):
        """gdjax leaves None where optax has a placeholder, and nests a label's state less."""
        here, theirs = gd.muon(0.1), optax.contrib.muon(0.1)
        state = self.after(theirs)
        converted = from_optax_state(here, self.params, state)
        back = to_optax_state(theirs, self.params, converted)
        assert jax.tree.structure(back) == jax.tree.structure(state)
        for x, y in zip(jax.tree.leaves(back), jax.tree.leaves(state)):
            np.testing.assert_array_equal(x, y)

    def test_what_does_not_fit_is_named(self):
        adam = self.after(optax.adam(0.1))
        with pytest.raises(
            ValueError, match=r"'0' \(TraceState: trace\) must have the same fields"
        ):
            from_optax_state(gd.sgd(0.1, 0.9), self.params, adam)
        with pytest.raises(ValueError, match="'0' has no counterpart, got ScaleByAdamState"):
            from_optax_state(gd.sgd(0.1), self.params, adam)
        with pytest.raises(
            ValueError, match=r"'0/mu/w' must have the shape \(3, 2\), got \(2, 3\)"
        ):
            other = {"w": jnp.zeros((3, 2)), "b": jnp.zeros(2)}
            from_optax_state(gd.adam(0.1), other, adam)
        with pytest.raises(ValueError, match="'0/mu/v' must be in both"):
            other = {"v": jnp.zeros((2, 3)), "b": jnp.zeros(2)}
            from_optax_state(gd.adam(0.1), other, adam)
        with pytest.raises(ValueError, match="'count' needs the number of steps"):
            sgd = self.after(optax.sgd(0.1, 0.9))
            from_optax_state(gd.sgd(lambda t: 0.1, 0.9), self.params, sgd)
        state = from_optax_state(gd.sgd(lambda t: 0.1, 0.9), self.params, sgd, count=3)
        assert int(state.count) == 3

    def test_momentum_on_the_other_side_of_the_rate_is_refused(self):
        theirs = self.after(optax.rmsprop(0.1, momentum=0.9))
        with pytest.raises(ValueError, match="same side of the learning rate"):
            from_optax_state(gd.rmsprop(0.1, momentum=0.9), self.params, theirs)


# Conventions. ------------------------------------------------------------------------------------

PARAMS = {"w": jnp.array([1.0, -2.0, 0.5]), "b": jnp.array(0.5)}
GRADS = {"w": jnp.array([1.0, 2.0, 3.0]), "b": jnp.array(4.0)}


class TestClasses:
    def test_members(self):
        plain = ours.GradientTransformation(lambda p: (), lambda u, s, p=None: (u, s))
        pair, extra = ours.GradientTransformation, ours.GradientTransformationExtraArgs
        for tx in (gd.adam(0.1), gd.chain(gd.clip(1.0)), ours.masked(gd.sgd(0.1), True)):
            assert isinstance(tx, pair) and isinstance(tx, extra)
        assert isinstance(plain, pair) and not isinstance(plain, extra)
        assert isinstance(optax.adam(0.1), pair) and isinstance(optax.adam(0.1), extra)
        assert not isinstance((1, 2), pair) and not isinstance(gd.adam, pair)
        assert isinstance(to_optax(gd.adam(0.1)), optax.GradientTransformationExtraArgs)
        init, update = plain
        assert (init, update) == (plain.init, plain.update)

    def test_a_subclass_is_a_class_of_its_own(self):
        class Mine(ours.GradientTransformation):
            pass

        assert not isinstance(gd.adam(0.1), Mine)
        assert isinstance(Mine(None, None), Mine) and isinstance(Mine(None, None), tuple)

    def test_plain_pairs_stand_in_chains(self):
        plain = ours.GradientTransformation(
            lambda p: ours.EmptyState(), lambda u, s, p=None: (jax.tree.map(jnp.negative, u), s)
        )
        for chain in (gd.chain, ours.chain, optax.chain):
            tx = chain(plain, gd.sgd(0.5))
            updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, value=jnp.array(1.0))
            np.testing.assert_allclose(updates["w"], 0.5 * GRADS["w"])
        assert isinstance(ours.with_extra_args_support(plain), ours.GradientTransformationExtraArgs)

    def test_states_have_the_classes(self):
        state = ours.chain(ours.adam(0.1), ours.masked(ours.trace(0.9), MASK)).init(PARAMS)
        assert isinstance(state[0][0], ours.ScaleByAdamState)
        assert isinstance(state[1], ours.MaskedState)
        assert isinstance(state[1].inner_state.trace["b"], ours.MaskedNode)

    @pytest.mark.parametrize(
        "text",
        [
            "o.chain(o.clip(1.0), o.inject_hyperparams(o.adamw)(0.1))",
            "o.masked(o.adam(0.1), {'w': True, 'b': False})",
            "o.multi_transform({'a': o.sgd(0.1), 'b': o.adam(0.1)}, {'w': 'a', 'b': 'b'})",
            "o.MultiSteps(o.adam(0.1), 2)",
            "o.rmsprop(0.1, momentum=0.5)",
        ],
    )
    def test_is_data(self, text):
        tx = make(text, ours)
        again = pickle.loads(pickle.dumps(tx))
        assert again == tx and hash(again) == hash(tx) and repr(again) == repr(tx)
        assert make(text, ours) == tx
        state = tx.init(PARAMS)

        def body(carry, _):
            params, state = carry
            updates, state = tx.update(GRADS, state, params)
            return (ours.apply_updates(params, updates), state), None

        (scanned, _), _ = jax.jit(lambda c: jax.lax.scan(body, c, None, length=4))((PARAMS, state))
        params = PARAMS
        for _ in range(4):
            (params, state), _ = body((params, state), None)
        for x, y in zip(jax.tree.leaves(scanned), jax.tree.leaves(params)):
            np.testing.assert_allclose(x, y, rtol=1e-5)


class TestConventions:
    def test_masked_out_passes(self):
        tx = ours.masked(ours.sgd(0.5), MASK)
        updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
        assert updates["b"] is GRADS["b"] or updates["b"] == GRADS["b"]
        updates, _ = (tx := ours.masked(ours.sgd(0.5), lambda p: MASK)).update(
            GRADS, tx.init(PARAMS), PARAMS
        )
        np.testing.assert_allclose(updates["w"], -0.5 * GRADS["w"])

    def test_a_mask_that_is_a_tree_is_not_called(self):
        eqx = pytest.importorskip("equinox")
        model = eqx.nn.Linear(2, 1, key=jax.random.key(0))
        mask = jax.tree.map(lambda x: x.ndim > 1, eqx.filter(model, eqx.is_array))
        tx = ours.masked(ours.sgd(0.5), mask)
        grads = jax.tree.map(jnp.ones_like, eqx.filter(model, eqx.is_array))
        updates, _ = tx.update(grads, tx.init(grads), grads)
        assert float(updates.bias[0]) == 1.0 and float(updates.weight[0, 0]) == -0.5

    def test_extra_arguments_are_masked_on_demand(self):
        def update(updates, state, params=None, *, other, **extra):
            return jax.tree.map(jnp.add, updates, other), state

        add = ours.GradientTransformationExtraArgs(lambda p: (), update)
        tx = ours.masked(add, MASK, mask_compatible_extra_args=True)
        updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, other=GRADS)
        np.testing.assert_allclose(updates["w"], 2 * GRADS["w"])

    def test_wrong_masks_and_labels(self):
        with pytest.raises(ValueError, match="mask must be a tree like"):
            ours.masked(ours.sgd(0.1), {"w": True}).init(PARAMS)
        with pytest.raises(ValueError, match="labels must be among those of transforms"):
            ours.partition({"a": ours.sgd(0.1)}, {"w": "a", "b": "c"}).init(PARAMS)

    def test_injected_hyperparameters_are_set(self):
        tx = ours.inject_hyperparams(ours.adam, static_args="mu_dtype")(learning_rate=1.0)
        state = tx.init(PARAMS)
        assert set(state.hyperparams) >= {"learning_rate", "b1", "b2", "eps"}
        step = jax.jit(tx.update)
        before, _ = step(GRADS, state, PARAMS)
        state.hyperparams["learning_rate"] = jnp.array(0.5)
        after, state = step(GRADS, state, PARAMS)
        np.testing.assert_allclose(after["w"], 0.5 * before["w"], rtol=1e-6)
        assert float(state.hyperparams["learning_rate"]) == 0.5
        with pytest.raises(ValueError, match="static_args must be arguments"):
            ours.inject_hyperparams(ours.adam, static_args="rate")

    def test_stateful_schedules(self):
        class ByValue:
            def init(self):
                return jnp.array(1.0)

            def update(self, state, **extra):
                return state * extra["value"]

            def __call__(self, state, **extra):
                return state

        here = ours.inject_hyperparams(ours.sgd)(ByValue())
        theirs = optax.inject_hyperparams(optax.sgd)(ByValue())
        states = here.init(PARAMS), theirs.init(PARAMS)
        for _ in range(3):
            a, state = here.update(GRADS, states[0], PARAMS, value=jnp.array(0.5))
            b, their_state = theirs.update(GRADS, states[1], PARAMS, value=jnp.array(0.5))
            states = state, their_state
            np.testing.assert_allclose(a["w"], b["w"])
        wrapped = ours.WrappedSchedule(lambda t: 2.0 * t)
        assert float(wrapped(wrapped.update(wrapped.init()))) == 2.0

    def test_multi_steps(self):
        multi = ours.MultiSteps(ours.sgd(1.0), 2, should_skip_update_fn=ours.skip_not_finite)
        state = multi.init(PARAMS)
        assert not bool(multi.has_updated(state)) and multi.inner_opt == ours.sgd(1.0)
        bad = jax.tree.map(lambda g: g * jnp.nan, GRADS)
        for grads, stepped in ((GRADS, False), (bad, False), (GRADS, True)):
            updates, state = multi.update(grads, state, PARAMS)
            assert bool(jnp.any(updates["w"] != 0)) == stepped
        assert bool(multi.has_updated(state)) and int(state.gradient_step) == 1
        tx = multi.gradient_transformation()
        assert isinstance(tx, ours.GradientTransformation)
        skip = functools.partial(ours.skip_large_updates, max_squared_norm=1.0)
        _, told = skip(GRADS, 0, PARAMS)
        assert bool(told["should_skip"]) and float(told["norm_squared"]) == pytest.approx(30.0)

    def test_lookahead_with_two_trees(self):
        params = ours.LookaheadParams.init_synced(PARAMS)
        theirs = optax.LookaheadParams.init_synced(PARAMS)
        mine = ours.chain(ours.clip(3.0), ours.lookahead(ours.adam(0.1), 3, 0.5, reset_state=True))
        other = optax.chain(
            optax.clip(3.0), optax.lookahead(optax.adam(0.1), 3, 0.5, reset_state=True)
        )
        state, their_state = mine.init(params), other.init(theirs)
        for i in range(7):
            grads = jax.tree.map(lambda g, i=i: g * (i + 1.0), GRADS)
            updates, state = jax.jit(mine.update)(grads, state, params)
            params = ours.apply_updates(params, updates)
            updates, their_state = other.update(grads, their_state, theirs)
            theirs = optax.apply_updates(theirs, updates)
            for x, y in zip(jax.tree.leaves(params), jax.tree.leaves(theirs)):
                np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
        with pytest.raises(ValueError, match="LookaheadParams"):
            mine.init(PARAMS)

    def test_noise_needs_a_key(self):
        with pytest.raises(ValueError, match="one of key and seed"):
            ours.add_noise(0.1, 0.5)
        assert ours.add_noise(0.1, 0.5, seed=3) == ours.add_noise(0.1, 0.5, 3)
        with pytest.raises(ValueError, match="mode"):
            ours.scale_by_lion(mode="smooth")


# Code that people have written. ------------------------------------------------------------------


class TestPublicCode:
    """Examples of other projects' documentation, shortened, with another import of optax."""

    def test_optax_readme(self):
        from gdjax.compat import optax

        params = {"w": jnp.ones((2,))}
        optimizer = optax.adam(learning_rate=1e-2)
        opt_state = optimizer.init(params)
        compute_loss = lambda params, x, y: optax.l2_loss(params["w"].dot(x), y)
        start = compute_loss(params, jnp.ones(2), 0.0)
        for _ in range(5):
            grads = jax.grad(compute_loss)(params, jnp.ones(2), 0.0)
            updates, opt_state = optimizer.update(grads, opt_state)
            params = optax.apply_updates(params, updates)
        assert compute_loss(params, jnp.ones(2), 0.0) < start

    def test_flax_train_state(self):
        nn = pytest.importorskip("flax.linen")
        from flax.training import train_state

        from gdjax.compat import optax

        model = nn.Dense(features=3)
        x, y = jnp.ones((4, 2)), jnp.array([0, 1, 2, 0])
        params = model.init(jax.random.key(0), x)["params"]
        tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-1))
        state = train_state.TrainState.create(apply_fn=model.apply, params=params, tx=tx)

        @jax.jit
        def train_step(state):
            def loss_fn(params):
                logits = state.apply_fn({"params": params}, x)
                one_hot = jax.nn.one_hot(y, 3)
                return jnp.mean(optax.softmax_cross_entropy(logits=logits, labels=one_hot))

            loss, grads = jax.value_and_grad(loss_fn)(state.params)
            return state.apply_gradients(grads=grads), loss

        losses = []
        for _ in range(5):
            state, loss = train_step(state)
            losses.append(float(loss))
        assert losses[-1] < losses[0]

    def test_flax_nnx(self):
        nnx = pytest.importorskip("flax.nnx")
        from gdjax.compat import optax

        model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        tx = optax.MultiSteps(optax.adam(1e-1), every_k_schedule=2).gradient_transformation()
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        x = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)

        @nnx.jit
        def train_step(model, optimizer):
            loss_fn = lambda model: ((model(x) - 1.0) ** 2).mean()
            loss, grads = nnx.value_and_grad(loss_fn)(model)
            optimizer.update(model, grads)
            return loss

        losses = [float(train_step(model, optimizer)) for _ in range(10)]
        assert losses[-1] < losses[0]
        arrays = gd.adam(jnp.array(0.1))  # nnx refuses arrays in a static attribute
        nnx.Optimizer(model, to_optax(arrays), wrt=nnx.Param)

    def test_equinox(self):
        eqx = pytest.importorskip("equinox")
        from gdjax.compat import optax

        model = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
        x, y = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2), jnp.ones((4, 1))
        optim = optax.lion(1e-2)
        opt_state = optim.init(eqx.filter(model, eqx.is_inexact_array))

        @eqx.filter_value_and_grad
        def compute_loss(model, x, y):
            return jnp.mean((jax.vmap(model)(x) - y) ** 2)

        @eqx.filter_jit
        def make_step(model, opt_state, x, y):
            loss, grads = compute_loss(model, x, y)
            updates, opt_state = optim.update(
                grads, opt_state, eqx.filter(model, eqx.is_inexact_array)
            )
            return eqx.apply_updates(model, updates), opt_state, loss

        losses = []
        for _ in range(5):
            model, opt_state, loss = make_step(model, opt_state, x, y)
            losses.append(float(loss))
        assert losses[-1] < losses[0]

    def test_numpyro(self):
        numpyro = pytest.importorskip("numpyro")
        from numpyro import distributions as dist
        from numpyro.infer import SVI, Trace_ELBO
        from numpyro.infer.autoguide import AutoDelta

        from gdjax.compat import optax

        def model(data):
            mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
            numpyro.sample("data", dist.Normal(mean, 1.0), obs=data)

        data = jnp.array([0.5, 1.5, 1.0, 2.0])
        tx = optax.chain(optax.clip(10.0), optax.adam(0.05))
        for optim in (numpyro.optim.optax_to_numpyro(tx), to_optax(tx)):
            svi = SVI(model, AutoDelta(model), optim, Trace_ELBO())
            result = svi.run(jax.random.key(0), 200, data, progress_bar=False)
            assert float(result.params["mean_auto_loc"]) == pytest.approx(1.0, abs=1e-2)

    def test_optimistix(self):
        optimistix = pytest.importorskip("optimistix")
        from gdjax.compat import optax

        fn = lambda y, args: jnp.sum((y - args) ** 2)
        solver = optimistix.OptaxMinimiser(optax.adam(0.1), rtol=1e-5, atol=1e-5)
        solution = optimistix.minimise(fn, solver, jnp.zeros(2), args=jnp.ones(2), max_steps=2000)
        np.testing.assert_allclose(solution.value, 1.0, atol=1e-2)

    def test_extra_arguments_reach_through_theirs(self):
        tx = optax.chain(to_optax(gd.chain(optax.scale_by_polyak())), optax.sgd(1.0))
        updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, value=jnp.array(3.0))
        np.testing.assert_allclose(updates["w"], -0.1 * GRADS["w"], rtol=1e-6)

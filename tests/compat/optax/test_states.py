"""States and classes of optax, converted both ways."""

from __future__ import annotations

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from gdjax.compat import optax as ours
from gdjax.compat.optax import from_optax_state, to_optax, to_optax_state
from tests.compat.optax.calls import GRADS, MASK, PARAMS, make
from tests.helpers import first

pytestmark = pytest.mark.usefixtures("standard")  # what other libraries count on


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

    def test_boxes_of_flax(self):
        """A state of `nnx.Optimizer` is taken as it is, and given back as `init` makes it."""
        nnx = pytest.importorskip("flax.nnx")
        theirs, ours = (lib.adamw(lib.linear_schedule(0.1, 0.0, 10)) for lib in (optax, gd))
        model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, theirs, wrt=nnx.Param)
        for _ in range(3):
            optimizer.update(model, nnx.grad(lambda model: jnp.sum(model.kernel**2))(model))
        params = nnx.state(model, nnx.Param)
        state = from_optax_state(ours, params, optimizer.opt_state)
        assert jax.tree.structure(state) == jax.tree.structure(ours.init(params))
        bare = from_optax_state(ours, nnx.as_pure(params), nnx.as_pure(optimizer.opt_state))
        for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(bare), strict=True):
            np.testing.assert_array_equal(x, y)
        back = to_optax_state(theirs, params, state)
        assert jax.tree.structure(back) == jax.tree.structure(theirs.init(params))
        for x, y in zip(jax.tree.leaves(back), jax.tree.leaves(optimizer.opt_state), strict=True):
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

    def test_a_checkpoint_without_the_classes_is_refused_with_the_way(self):
        """Orbax restores lists and dicts where it is not given a target."""
        state = self.after(optax.chain(optax.clip(1.0), optax.adam(0.1)))
        raw = [None, [{"count": state[1][0].count, "mu": state[1][0].mu, "nu": state[1][0].nu}]]
        with pytest.raises(ValueError, match=r"got list\. .*restore\(path, optimizer\.init"):
            from_optax_state(gd.adam(0.1), self.params, raw)

    def test_momentum_on_the_other_side_of_the_rate_is_refused(self):
        theirs = self.after(optax.rmsprop(0.1, momentum=0.9))
        with pytest.raises(ValueError, match="same side of the learning rate"):
            from_optax_state(gd.rmsprop(0.1, momentum=0.9), self.params, theirs)


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


# The same rules, of optax (and of compat) and of gdjax.
PAIRS = {
    "o.MultiSteps(o.adam(0.1), 3)": lambda: gd.accumulate(gd.adam(0.1), 3),
    "o.MultiSteps(o.adam(decaying(o)), 3)": lambda: gd.accumulate(
        gd.adam(gd.exponential_decay(0.1, 5, 0.5)), 3
    ),
    "o.apply_if_finite(o.adam(0.1), 2)": lambda: gd.apply_if_finite(gd.adam(0.1)),
    "o.chain(o.clip_by_global_norm(1.0), o.adamw(decaying(o)))": lambda: gd.chain(
        gd.clip_by_global_norm(1.0), gd.adamw(gd.exponential_decay(0.1, 5, 0.5))
    ),
    "o.adafactor(0.1, 2)": lambda: gd.adafactor(0.1, 2),
    "o.sm3(0.1)": lambda: gd.sm3(0.1),
    "o.rmsprop(0.1, centered=True)": lambda: gd.rmsprop(0.1, centered=True),
    "o.noisy_sgd(0.1, key=1)": lambda: gd.noisy_sgd(0.1, key=1),
    "o.contrib.muon(0.1)": lambda: gd.muon(0.1),
    "o.inject_hyperparams(o.adamw)(0.1)": lambda: gd.adamw(gd.live(0.1)),
    "o.contrib.sam(o.sgd(0.1), o.sgd(0.1))": lambda: gd.sam(gd.sgd(0.1), gd.sgd(0.1)),
    "o.add_decayed_weights(decaying(o))": lambda: gd.add_decayed_weights(
        gd.exponential_decay(0.1, 5, 0.5)
    ),
    "o.contrib.schedule_free_adamw(0.1)": lambda: gd.schedule_free_adamw(0.1),
    "o.contrib.mechanize(o.sgd(0.1))": lambda: gd.mechanize(gd.sgd(0.1)),
    "o.scale_by_distance_over_gradients()": lambda: gd.scale_by_distance_over_gradients(),
    "o.contrib.split_real_and_imaginary(o.adam(0.1))": lambda: gd.split_real_and_imaginary(
        gd.adam(0.1)
    ),
}


@pytest.mark.parametrize("space", first(1, [optax, ours]), ids=["optax", "compat"])
@pytest.mark.parametrize("text", first(5, PAIRS))
def test_every_class_is_converted_both_ways(text, space):
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(2)}
    theirs, native = make(text, space), PAIRS[text]()
    state = theirs.init(params)
    for scale in (1.0, 2.0, 3.0, 4.0):
        grads = jax.tree.map(lambda p, scale=scale: scale * p, params)
        updates, state = theirs.update(grads, state, params)
    here = from_optax_state(native, params, state, count=4)
    assert jax.tree.structure(here) == jax.tree.structure(native.init(params))
    back = to_optax_state(theirs, params, here, count=4)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    for x, y in zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True):
        if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.extended):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_the_two_trees_of_lookahead_are_one_and_a_state():
    params = {"w": jnp.ones(3)}
    both = optax.LookaheadParams({"w": jnp.zeros(3)}, params)  # fast and slow
    theirs, native = optax.lookahead(optax.sgd(0.1), 5, 0.5), gd.lookahead(gd.sgd(0.1), 5, 0.5)
    here = from_optax_state(native, both, theirs.init(both))
    np.testing.assert_array_equal(gd.state.eval_params(native, here, both.fast)["w"], params["w"])
    assert to_optax_state(theirs, both, here) == theirs.init(both)


def test_what_is_not_of_the_other_library_is_refused():
    """Its state would be given back as it is."""
    tx, theirs = gd.adamw(0.1), optax.adamw(0.1)
    for wrong in (tx, gd.chain(gd.clip(1.0), tx)):
        with pytest.raises(TypeError, match="must be a transformation of optax or of gdjax.compat"):
            to_optax_state(wrong, PARAMS, tx.init(PARAMS))
    with pytest.raises(TypeError, match="must be a transformation of gdjax"):
        from_optax_state(theirs, PARAMS, theirs.init(PARAMS))
    assert type(to_optax_state(ours.chain(ours.adamw(0.1)), PARAMS, tx.init(PARAMS))) is tuple

"""Objects that remember their call, and the machine that builds, compiles and checks them."""

from __future__ import annotations

import copy
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.rule import tree

optax = pytest.importorskip("optax")  # only for the foreign stages; the contract runs without it

FLOAT0 = np.zeros([], jax.dtypes.float0)
PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
GRADS = {"w": jnp.array([0.3, 0.1]), "b": jnp.array(-0.2)}


def close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_allclose(x, y, **{"rtol": 1e-6, "atol": 1e-7, **tolerance})


def scaled(factor, tree):
    return jax.tree.map(lambda x: factor * x, tree)


def words(error) -> str:
    """The message with its notes."""
    return "\n".join([str(error.value), *getattr(error.value, "__notes__", ())])


def only_weights(params):
    """A mask with a name, so it pickles."""
    return {name: name == "w" for name in params}


def falling(step):
    """A schedule of a user, with a name."""
    return 0.1 / (1.0 + jnp.asarray(step).astype(float))


# A user's own rules, as the readme writes them.

CALLS = []  # one entry for each time that Python runs the update of `counted`


@gd.transformation
def counted(rate: gd.Hyperparam = 0.1):
    """Descends, and counts how often Python comes by."""

    def init(params):
        return gd.EmptyState()

    def update(updates, state, params=None, **extra):
        CALLS.append(rate)
        return tree.map(lambda g: -rate * g, updates), state

    return init, update


@gd.transformation
def bare(rate: gd.Positive):
    """Takes no extra arguments, and returns what it makes without annotations of its own."""

    def init(params):
        return ()

    def update(updates, state, params=None):
        return jax.tree.map(lambda g: -rate * g, updates), state

    return init, update


@gd.transformation
def leaping(rate: gd.Hyperparam):
    """Has a step of its own, which gives the numbers of update in one go."""

    def init(params):
        return gd.EmptyState()

    def update(updates, state, params=None, **extra):
        return tree.map(lambda g: -rate * g, updates), state

    def step(grads, state, params, **extra):
        CALLS.append("step")
        return tree.map(lambda p, g: p - rate * g, params, grads), state

    return init, update, step


@gd.transformation
def by_value(target: gd.Hyperparam = 0.0):
    """Needs the loss, may use a curvature."""

    def init(params):
        return gd.EmptyState()

    def update(updates, state, params=None, *, value, curvature=1.0, **extra):
        factor = (value - target) / curvature
        return tree.map(lambda g: factor * g, updates), state

    return init, update


@gd.transformation
def by_any_function(rate: gd.Hyperparam):
    """Calls a function that it is given."""

    def init(params):
        return gd.EmptyState()

    def update(updates, state, params=None, *, value_fn, **extra):
        return tree.map(lambda g: -rate * value_fn(params) * g, updates), state

    return init, update


@gd.transformation
def failing(deep: bool = False):
    """Raises in update."""

    def update(updates, state, params=None, **extra):
        raise RuntimeError("no")

    return lambda params: gd.EmptyState(), update


class TestRecipe:
    # What a call prints as, in the order of the signature and as it was given.
    PRINTS = [
        (lambda: gd.adam(1e-3), "adam(learning_rate=0.001)"),
        (lambda: gd.adam(1), "adam(learning_rate=1)"),
        (lambda: gd.adam(b2=0.95, learning_rate=0.1), "adam(learning_rate=0.1, b2=0.95)"),
        (lambda: gd.adam(jnp.float32(0.1)), "adam(learning_rate=array(0.1))"),
        (lambda: gd.adam(np.float64(0.1)), "adam(learning_rate=array(0.1))"),
        (lambda: gd.adam(jnp.array([0.1, 0.2])), "adam(learning_rate=array([0.1, 0.2]))"),
        (
            lambda: gd.adam(0.1, mu_dtype=jnp.bfloat16),
            "adam(learning_rate=0.1, mu_dtype=bfloat16)",
        ),
        (
            lambda: gd.adam(0.1, mu_dtype=jnp.dtype("bfloat16")),
            "adam(learning_rate=0.1, mu_dtype=bfloat16)",
        ),
        (lambda: gd.sgd(gd.live(0.1)), "sgd(learning_rate=live(value=0.1))"),
        (lambda: gd.sgd(falling), "sgd(learning_rate=<falling>)"),
        (lambda: gd.sgd(lambda step: 0.1), "sgd(learning_rate=<lambda>)"),
        (lambda: gd.scale(-1j), "scale(step_size=(-0-1j))"),
        (lambda: gd.scale(float("-inf")), "scale(step_size=-inf)"),
        (
            lambda: gd.adamw(0.1, mask={"w": True, "b": False}),
            "adamw(learning_rate=0.1, mask={'w': True, 'b': False})",
        ),
        (lambda: gd.adamw(0.1, mask=only_weights), "adamw(learning_rate=0.1, mask=<only_weights>)"),
        (lambda: gd.chain(), "chain()"),
        (lambda: gd.chain(gd.chain(gd.clip(1.0))), "chain(chain(clip(max_delta=1.0)))"),
        (
            lambda: gd.chain(a=gd.chain(gd.clip(1.0)), b=gd.sgd(0.1)),
            "chain(a=chain(clip(max_delta=1.0)), b=sgd(learning_rate=0.1))",
        ),
        (
            lambda: gd.sgd(gd.linear_schedule(0.1, 0.0, 10)),
            "sgd(learning_rate=linear_schedule(init_value=0.1, end_value=0.0, "
            "transition_steps=10))",
        ),
        (
            lambda: gd.chain(optax.scale_by_polyak()),
            "chain(<scale_by_polyak of optax._src.transform>)",
        ),
    ]

    @pytest.mark.parametrize("make, text", PRINTS, ids=[text for _, text in PRINTS])
    def test_prints_compares_hashes(self, make, text):
        assert repr(make()) == text
        tx = make()
        assert tx == tx and not tx != tx and hash(tx) == hash(tx)
        if "<" not in text or "_weights" in text or "falling" in text:  # made anew, still equal
            assert make() == tx and hash(make()) == hash(tx)

    JSON = [  # what goes through json, pickle and copy
        gd.adam(0.1),
        gd.adam(jnp.logspace(-3, -1, 3)),
        gd.adam(np.float64(0.1)),
        gd.adam(jnp.array(0.1, jnp.bfloat16)),
        gd.adam(0.1, mu_dtype=jnp.bfloat16),
        gd.adam(0.1, mu_dtype="bfloat16"),
        gd.adamw(0.1, mask={"w": True, "b": False}),
        gd.adamw(0.1, mask=only_weights),
        gd.adamw(0.1, mask=(True, [False, True])),
        gd.adamw(0.1, mask={0: True, 1: False}),
        gd.adamw(0.1, mask={"adam": True}),
        gd.adamw(0.1, mask={"array": True, "dtype": False}),
        gd.sgd(gd.live(0.1)),
        gd.sgd(gd.live(jnp.float32(0.1)), momentum=0.9, nesterov=True),
        gd.sgd(falling),
        gd.sgd(0.1, None),
        gd.scale(1.5 - 2j),
        gd.scale(jnp.array(1.5 - 2j)),
        gd.scale(float("inf")),
        gd.scale(-0.0),
        gd.scale(10**12),
        gd.scale(1e-300),
        gd.chain(),
        gd.chain(gd.chain(), gd.chain(gd.clip(1.0), gd.sgd(0.1))),
        gd.chain(a=gd.chain(x=gd.clip(1.0)), b=gd.sgd(gd.linear_schedule(0.1, 0.0, 10))),
        gd.linear_schedule(1.0, 0.0, 10),
        gd.piecewise_constant_schedule(1.0, {3: 0.1, 6: 0.5}),
    ]

    @pytest.mark.parametrize("tx", JSON, ids=repr)
    def test_goes_through_json_pickle_copy(self, tx):
        text = json.dumps(gd.spec(tx))
        for again in (
            gd.build(json.loads(text)),
            pickle.loads(pickle.dumps(tx)),
            copy.copy(tx),
            copy.deepcopy(tx),
            tx.replace(),
            jax.tree.unflatten(*reversed(jax.tree.flatten(tx))),
        ):
            assert again == tx and hash(again) == hash(tx) and repr(again) == repr(tx)
            assert json.dumps(gd.spec(again)) == text

    def test_json_writes_plain_words(self):
        tx = gd.chain(clip=gd.clip(1.0), opt=gd.adamw(gd.linear_schedule(0.1, 0.0, 10), b2=0.95))
        assert gd.spec(tx) == {
            "chain": {
                "clip": {"clip": {"max_delta": 1.0}},
                "opt": {
                    "adamw": {
                        "learning_rate": {
                            "linear_schedule": {
                                "init_value": 0.1,
                                "end_value": 0.0,
                                "transition_steps": 10,
                            }
                        },
                        "b2": 0.95,
                    }
                },
            }
        }
        assert gd.build({"chain": [{"sgd": [0.1]}, {"clip": {"max_delta": 1}}]}) == gd.chain(
            gd.sgd(0.1), gd.clip(1)
        )
        assert gd.build({"sgd": [{"live": [0.1]}, 0.9]}) == gd.sgd(gd.live(0.1), 0.9)

    def test_json_keeps_nan_and_dtypes(self):
        tx = gd.adamw(0.1, mask={"w": float("nan")})  # a mask is not judged
        again = gd.build(json.loads(json.dumps(gd.spec(tx))))
        assert again == tx and hash(again) == hash(tx)
        rate = jnp.asarray([0.1, 0.2], jnp.float16)
        again = gd.build(json.loads(json.dumps(gd.spec(gd.sgd(rate)))))
        assert again.arguments["learning_rate"].dtype == jnp.float16

    @pytest.mark.parametrize(
        "make",
        [
            lambda: gd.chain(optax.adam(0.1)),
            lambda: gd.chain(a=gd.clip(1.0), b=optax.scale_by_polyak()),
        ],
    )
    def test_spec_refuses_what_is_foreign(self, make):
        with pytest.raises(TypeError, match="^spec: .*, got .*") as error:
            gd.spec(make())
        assert "Define the function" not in str(error.value)  # that would not help here
        assert "optax" in str(error.value)

    @pytest.mark.parametrize(
        "tx", [gd.sgd(lambda step: 0.1), gd.adamw(0.1, mask=lambda params: params)]
    )
    def test_spec_refuses_functions_without_a_name(self, tx):
        with pytest.raises(TypeError, match="spec: .* Define the function at the top level"):
            gd.spec(tx)

    def test_spec_refuses_what_is_traced(self):
        with pytest.raises(TypeError, match="spec: .*got .*[Tt]race"):
            jax.jit(lambda rate: gd.spec(gd.sgd(rate)))(0.1)

    BUILDS = [
        ({"adm": {"learning_rate": 0.1}}, ValueError, "got adm. Did you mean adam"),
        ({"adam": {}, "sgd": {}}, ValueError, "must be a dict of one key"),
        ({}, ValueError, "must be a dict of one key"),
        ({3: {}}, ValueError, "the key must be a factory"),
        ({"adam": {"learnin_rate": 0.1}}, TypeError, "adam: .*learning_rate"),
        ({"adam": {"learning_rate": 0.1, "epss": 1}}, TypeError, "'epss'. Did you mean eps"),
        ({"adam": {}}, TypeError, "adam: missing a required argument: 'learning_rate'"),
        ({"adam": 0.1}, ValueError, "the arguments of adam must be a dict or a list, got 0.1"),
        ({"adam": [0.1, 1.5]}, ValueError, "b1 must lie in"),
        ({"adam": {"learning_rate": "fast"}}, TypeError, "learning_rate must be a number"),
        ({"chain": [0.1]}, TypeError, "stage 0 must be a transformation"),
        ({"chain": ["adam"]}, TypeError, "stage 0 must be a transformation"),
        ({"sgd": [{"function": "no_such_module:f"}]}, ValueError, "a module that is imported"),
        ({"sgd": [{"function": "json:no_such"}]}, ValueError, "must be named module:name"),
    ]

    @pytest.mark.parametrize("data, kind, message", BUILDS, ids=[str(row[0]) for row in BUILDS])
    def test_build_says_what_is_wrong(self, data, kind, message):
        with pytest.raises(kind, match=message):
            gd.build(data)

    def test_equal_are_equal_calls(self):
        assert gd.adam(0.1) == gd.adam(learning_rate=0.1, b1=0.9)  # a default spelt out
        assert gd.adam(1) == gd.adam(1.0)
        assert gd.adam(jnp.array(0.1)) == gd.adam(jnp.array(0.1))
        assert gd.adam(0.1, mu_dtype=jnp.float32) == gd.adam(0.1, mu_dtype=np.dtype("float32"))
        different = [
            gd.adam(0.1),
            gd.adam(0.2),
            gd.adamw(0.1),
            gd.adam(jnp.array(0.1)),
            gd.adam(jnp.array([0.1])),
            gd.adam(gd.live(0.1)),
            gd.adam(0.1, mu_dtype=jnp.float32),
            gd.chain(gd.adam(0.1)),
            gd.chain(a=gd.adam(0.1)),
            gd.chain(b=gd.adam(0.1)),
            gd.chain(a=gd.adam(0.1), b=gd.clip(1.0)),
            gd.chain(b=gd.clip(1.0), a=gd.adam(0.1)),  # order counts
        ]
        assert len(set(different)) == len(different)
        assert all(
            (a == b) == (i == j) for i, a in enumerate(different) for j, b in enumerate(different)
        )
        assert gd.adam(0.1) != tuple(gd.adam(0.1)) and tuple(gd.adam(0.1)) != gd.adam(0.1)

    def test_replace(self):
        tx = gd.adamw(0.1, weight_decay=0.1)
        assert tx.replace(weight_decay=0.0, b1=0.5) == gd.adamw(0.1, 0.5, weight_decay=0.0)
        assert repr(tx) == "adamw(learning_rate=0.1, weight_decay=0.1)"  # it is not changed
        named = gd.chain(a=gd.clip(1.0), b=tx)
        assert named.replace(b=gd.sgd(0.1)) == gd.chain(a=gd.clip(1.0), b=gd.sgd(0.1))
        assert list(named.replace(b=gd.sgd(0.1)).arguments["named"]) == ["a", "b"]
        listed = gd.chain(gd.clip(1.0), tx).replace(transformations=(tx,))
        assert listed == gd.chain(tx)
        with pytest.raises(TypeError, match="Did you mean learning_rate"):
            tx.replace(learnin_rate=0.1)
        with pytest.raises(ValueError, match="b1 must lie in"):
            tx.replace(b1=1.0)
        with pytest.raises(TypeError, match="Did you mean clip"):  # stages are names too
            gd.chain(clip=gd.clip(1.0), opt=tx).replace(clp=gd.clip(2.0))

    def test_leaves_are_the_numbers_given(self):
        table = [
            (gd.adam(0.1), {".learning_rate": 0.1}),
            (gd.adam(0.1, b1=0.5), {".learning_rate": 0.1, ".b1": 0.5}),
            (gd.sgd(0.1, None, True), {".learning_rate": 0.1}),
            (gd.sgd(gd.live(0.1)), {".learning_rate.value": 0.1}),
            (gd.adamw(0.1, mask={"w": True}), {".learning_rate": 0.1}),
            (gd.chain(gd.clip(1.0), gd.sgd(0.1)), {0: 1.0, 1: 0.1}),
            (gd.chain(a=gd.clip(1.0)), {".a.max_delta": 1.0}),
            (gd.chain(optax.scale_by_polyak()), {}),
        ]
        for tx, leaves in table:
            found = jax.tree_util.tree_flatten_with_path(tx)[0]
            assert [leaf for _, leaf in found] == list(leaves.values())
            paths = [jax.tree_util.keystr(path) for path, _ in found]
            assert all(isinstance(p, int) or p == q for p, q in zip(leaves, paths))

    @pytest.mark.parametrize(
        "leaf", [None, object(), jax.ShapeDtypeStruct((), jnp.float32), "x", -1.0]
    )
    def test_unflatten_takes_placeholders(self, leaf):
        tx = gd.chain(a=gd.clip(1.0), b=gd.sgd(gd.live(0.1), momentum=0.9))
        leaves, treedef = jax.tree.flatten(tx)
        odd = treedef.unflatten([leaf] * len(leaves))
        assert "sgd(learning_rate=live(value=" in repr(odd)
        assert odd == odd and odd != tx and hash(odd) == hash(odd)
        is_leaf = lambda x: x is leaf
        assert jax.tree.structure(odd, is_leaf=is_leaf) == treedef
        assert jax.tree.leaves(odd, is_leaf=is_leaf) == [leaf] * len(leaves)
        assert treedef.unflatten(leaves) == tx

    def test_in_axes_are_a_tree_like_it(self):
        tx = gd.chain(gd.clip(1.0), gd.adam(jnp.array([0.1, 0.2]), b1=0.8))
        axes = jax.tree.map(lambda x: 0 if jnp.ndim(x) else None, tx)
        run = lambda tx: tx.update(jnp.ones(1), tx.init(jnp.ones(1)))[0]
        out = jax.vmap(run, in_axes=(axes,))(tx)
        close(out, jnp.array([[-0.1], [-0.2]]))

    def test_order_is_kept(self):
        tx = gd.chain(z=gd.clip(1.0), a=gd.scale(2.0))
        run = lambda tx: tx.update(jnp.array(3.0), tx.init(1.0))
        for again in (tx, jax.tree.map(lambda x: x, tx), pickle.loads(pickle.dumps(tx))):
            assert again == tx and repr(again) == repr(tx)
            assert list(again.arguments["named"]) == ["z", "a"]
            for u, state in (run(again), jax.jit(run)(again), jax.jit(lambda: run(tx))()):
                assert float(u) == 2.0 and set(state) == {"z", "a"}
        moving = tx.replace(a=gd.scale(gd.live(2.0)))
        assert float(run(moving)[0]) == 2.0
        masked = gd.adamw(0.1, mask={"w": True, "b": {"z": False, "a": True}})
        again = jax.tree.map(lambda x: x, masked)
        assert again == masked and repr(again) == repr(masked) and gd.spec(again) == gd.spec(masked)

    def test_unpacks_as_a_pair(self):
        init, update = tx = gd.sgd(0.1)
        assert isinstance(tx, tuple) and tx._fields == ("init", "update") and len(tx) == 2
        close(update(GRADS, init(PARAMS))[0], jax.tree.map(lambda g: -0.1 * g, GRADS))
        assert hash(tx.update) == hash(tx.update) and tx.update == tx.update
        changed = tx._replace(init=lambda params: "mine")
        assert changed.init(PARAMS) == "mine" and not isinstance(changed, gd.GradientTransformation)
        assert tx.init(PARAMS) != "mine"


class TestFactory:
    def test_defined_twice_is_the_later(self):
        def cell(factor):
            @gd.transformation
            def notebook_cell(rate: gd.Hyperparam):
                def update(updates, state, params=None, **extra):
                    return tree.map(lambda g: factor * rate * g, updates), state

                return lambda params: gd.EmptyState(), update

            return notebook_cell

        old, new = cell(1.0)(0.5), cell(-1.0)(0.5)
        built = gd.build(gd.spec(old))
        assert built == new and built != old
        for tx, sign in ((old, 1.0), (new, -1.0), (built, -1.0)):  # nothing compiled is mixed up
            assert float(tx.update(jnp.array(1.0), tx.init(1.0))[0]) == sign * 0.5

    def test_signature_and_docstring_are_kept(self):
        import inspect

        assert list(inspect.signature(by_value).parameters) == ["target"]
        assert by_value.__doc__.startswith("Needs the loss") and by_value.__name__ == "by_value"

    NUMBERS = [
        (lambda: gd.adam(0.1, b1=1.5), ValueError, r"adam: b1 must lie in \[0, 1\), got 1.5"),
        (lambda: gd.adam(0.1, b1=1.0), ValueError, r"\[0, 1\)"),
        (lambda: gd.adam(-1), ValueError, r"adam: learning_rate must lie in \[0, inf\], got -1"),
        (lambda: gd.adam(float("nan")), ValueError, "learning_rate must lie in .*, got nan"),
        (lambda: gd.adam(np.float32("nan")), ValueError, "learning_rate must lie in"),
        (lambda: gd.adam(jnp.array([0.1, -0.1])), ValueError, "learning_rate must lie in"),
        (lambda: gd.scale(float("nan")), ValueError, "step_size must lie in"),
        (lambda: gd.scale(complex("nan")), ValueError, "step_size must lie in"),
        (lambda: gd.adam("x"), TypeError, "learning_rate must be a number, .* got 'x'"),
        (lambda: gd.adam(True), TypeError, "learning_rate must be a number, .* got True"),
        (lambda: gd.adam(jnp.array(True)), TypeError, "learning_rate must be a number"),
        (lambda: gd.adam([0.1, 0.2]), TypeError, "learning_rate must be a number"),
        (lambda: gd.adam({"w": 0.1}), TypeError, "learning_rate must be a number"),
        (lambda: gd.adam(gd.live(-1.0)), ValueError, "learning_rate must lie in"),
        (lambda: gd.adam(gd.sgd(0.1)), TypeError, "learning_rate must be a number"),
        (lambda: gd.adam(), TypeError, "adam: missing a required argument: 'learning_rate'"),
        (lambda: gd.adam(0.1, rate=1), TypeError, "adam: .*unexpected keyword argument 'rate'"),
        (lambda: gd.adam(0.1, b3=1), TypeError, "'b3'. Known: b1, b2, eps"),
        (lambda: gd.adam(*range(9)), TypeError, "adam: too many positional"),
    ]

    @pytest.mark.parametrize(
        "make, kind, message", NUMBERS, ids=[row[2][:40] + str(i) for i, row in enumerate(NUMBERS)]
    )
    def test_bad_numbers_raise_when_given(self, make, kind, message):
        with pytest.raises(kind, match=message):
            make()

    def test_none_is_no_number(self):
        with pytest.raises(TypeError, match="adam: learning_rate must be a number, .* got None"):
            gd.adam(None).init(PARAMS)
        with pytest.raises(TypeError, match="adam: b1 must be a number, .* got None"):
            gd.adam(0.1, b1=None).init(PARAMS)

    def test_good_numbers_pass(self):
        for tx in (
            gd.adam(0),
            gd.sgd(0.1, None),
            gd.sgd(0.1, 0),
            gd.scale(-1),
            gd.scale(float("inf")),
        ):
            tx.update(GRADS, tx.init(PARAMS))

    def test_traced_numbers_are_not_judged(self):
        u = jax.jit(lambda rate: gd.sgd(rate).update(GRADS, gd.sgd(rate).init(PARAMS))[0])(-1.0)
        close(u, GRADS)


class TestUserRule:
    def test_steps_like_its_update(self):
        CALLS.clear()
        for tx in (leaping(0.1), gd.chain(leaping(0.1)), leaping(jnp.array(0.1))):
            state = tx.init(PARAMS)
            updates, _ = tx.update(GRADS, state, PARAMS)
            params, after = tx.step(GRADS, state, PARAMS)
            close(params, gd.apply_updates(PARAMS, updates))
            assert jax.tree.structure(after) == jax.tree.structure(state)
        assert "step" in CALLS

    def test_step_moves_with_a_schedule(self):
        tx = leaping(falling)
        params, state = PARAMS, tx.init(PARAMS)
        for _ in range(2):
            params, state = tx.step(GRADS, state, params)
        expected = jax.tree.map(lambda p, g: p - (0.1 + 0.05) * g, PARAMS, GRADS)
        close(params, expected)
        assert isinstance(state, gd.states.InjectHyperparamsState) and int(state.count) == 2

    def test_bare_update_gets_no_extra(self):
        for tx in (bare(0.5), gd.chain(bare(0.5)), gd.chain(a=gd.identity(), b=bare(falling))):
            u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, value=1.0, anything=2.0)
            factor = 0.1 if "falling" in repr(tx) else 0.5
            close(u, scaled(-factor, GRADS))

    def test_is_data_like_any_other(self):
        tx = gd.chain(counted(0.1), bare(jnp.array(0.1)), by_value(gd.live(0.0)))
        assert pickle.loads(pickle.dumps(tx)) == tx
        assert gd.build(json.loads(json.dumps(gd.spec(tx)))) == tx
        with pytest.raises(ValueError, match=r"bare: rate must lie in \(0, inf\], got 0"):
            bare(0)


class TestExtra:
    def state(self, tx):
        return tx.init(PARAMS)

    def test_missing_raises_with_its_stage(self):
        tx = by_value()
        with pytest.raises(TypeError, match="by_value: update needs the extra argument 'value'"):
            tx.update(GRADS, self.state(tx), PARAMS)
        for tx, stage in (
            (gd.chain(gd.sgd(0.1), by_value()), "1"),
            (gd.chain(a=gd.sgd(0.1), loss=by_value()), "loss"),
            (gd.chain(a=gd.sgd(0.1), loss=optax.scale_by_polyak()), "loss"),
            (gd.chain(a=gd.sgd(0.1), outer=gd.chain(loss=by_value())), "loss"),
        ):
            with pytest.raises(TypeError, match="update needs the extra argument 'value'") as error:
                tx.update(GRADS, self.state(tx), PARAMS)
            assert f"in stage {stage} of chain" in words(error)
            with pytest.raises(TypeError, match="update needs the extra argument 'value'"):
                tx.step(GRADS, self.state(tx), PARAMS)

    def test_misspelt_raises(self):
        for tx in (by_value(), gd.chain(gd.sgd(0.1), by_value())):
            with pytest.raises(TypeError, match="vlaue. Did you mean value?"):
                tx.update(GRADS, self.state(tx), PARAMS, vlaue=1.0)
            with pytest.raises(TypeError, match="curvatur. Did you mean curvature?"):
                tx.update(GRADS, self.state(tx), PARAMS, value=1.0, curvatur=1.0)

    def test_unknown_passes(self):
        tx = gd.chain(gd.sgd(0.1), by_value())
        u, _ = tx.update(GRADS, self.state(tx), PARAMS, value=2.0, grad=GRADS, epoch=3)
        close(u, jax.tree.map(lambda g: -0.2 * g, GRADS))
        plain = gd.sgd(0.1)  # names none, so nothing can be misspelt
        plain.update(GRADS, self.state(plain), PARAMS, value=1.0, valeu=2.0)

    def test_two_similar_names_are_no_misspelling(self):
        tx = by_value()
        u, _ = tx.update(GRADS, self.state(tx), PARAMS, value=1.0, values=2.0)
        close(u, GRADS)

    def test_chain_knows_the_union(self):
        table = [
            (gd.sgd(0.1), {}),
            (by_value(), {"value": True, "curvature": False}),
            (bare(0.1), {}),
            (gd.chain(gd.sgd(0.1), by_any_function(0.1)), {"value_fn": True}),
            (gd.chain(optax.scale_by_polyak()), {"value": True}),
            (gd.chain(optax.adam(0.1)), {}),
            (
                gd.chain(a=gd.chain(by_value()), b=by_any_function(0.1)),
                {"value": True, "curvature": False, "value_fn": True},
            ),
            (by_value(falling), {"value": True, "curvature": False}),
        ]
        for tx, names in table:
            assert tx.extra_args == names, tx

    def test_numbers_and_functions(self):
        tx = by_value(jnp.array(1.0))
        u, _ = tx.update(GRADS, self.state(tx), PARAMS, value=3.0, curvature=jnp.array(2.0))
        close(u, GRADS)
        tx = gd.chain(by_any_function(0.5))
        fun = lambda p: jnp.sum(p["w"] ** 2)  # no argument for jit: runs as it is
        u, _ = tx.update(GRADS, self.state(tx), PARAMS, value_fn=fun)
        close(u, jax.tree.map(lambda g: -2.5 * g, GRADS))
        p, _ = tx.step(GRADS, self.state(tx), PARAMS, value_fn=fun)
        close(p, jax.tree.map(lambda p, g: p - 2.5 * g, PARAMS, GRADS))


class TestMachine:
    def test_eager_compiles_once(self):
        CALLS.clear()
        tx = gd.chain(counted(0.1), gd.scale_by_adam())
        state = tx.init(PARAMS)
        for _ in range(3):
            u, state = tx.update(GRADS, state, PARAMS)
        gd.chain(counted(0.1), gd.scale_by_adam()).update(GRADS, state, PARAMS)  # an equal one
        assert len(CALLS) == 1
        tx.step(GRADS, state, PARAMS)
        tx.step(GRADS, state, PARAMS)
        assert len(CALLS) == 2  # another program

    def test_new_array_rate_does_not_retrace(self):
        CALLS.clear()
        for rate in (0.1, 0.2, 0.3):
            tx = counted(jnp.asarray(rate))
            u, _ = tx.update(GRADS, tx.init(PARAMS))
            close(u, scaled(-rate, GRADS))
        assert len(CALLS) == 1
        counted(0.4).update(GRADS, gd.EmptyState())  # Python numbers are compiled in
        counted(0.5).update(GRADS, gd.EmptyState())
        assert len(CALLS) == 3

    def test_moving_does_not_retrace(self):
        for rate in (falling, gd.linear_schedule(0.1, 0.0, 9), gd.live(0.1)):
            CALLS.clear()
            tx = counted(rate)
            state = tx.init(PARAMS)
            for _ in range(3):
                before, (_, state) = state, tx.update(GRADS, state)
                assert jax.tree.map(jax.typeof, before) == jax.tree.map(jax.typeof, state)
            assert len(CALLS) == 1

    def test_under_jit_numbers_are_arguments(self):
        CALLS.clear()
        step = jax.jit(lambda tx, state: tx.update(GRADS, state)[0])
        for rate in (0.1, 0.2, 0.4):
            tx = gd.chain(a=counted(rate), b=gd.scale(-1.0))
            close(step(tx, tx.init(PARAMS)), scaled(rate, GRADS))
        assert len(CALLS) == 1

    @pytest.mark.parametrize(
        "tx",
        [
            gd.adamw(0.1, b1=jnp.array(0.8), weight_decay=0.1),
            gd.chain(clip=gd.clip_by_global_norm(0.1), opt=gd.sgd(falling, momentum=0.9)),
            gd.chain(gd.rmsprop(gd.live(0.1)), optax.scale(0.5)),
        ],
        ids=repr,
    )
    def test_eager_equals_jit_equals_traced_numbers(self, tx):
        def two(tx, params, state):
            for _ in range(2):
                u, state = tx.update(GRADS, state, params)
                params = gd.apply_updates(params, u)
            return params, state

        eager = two(tx, PARAMS, tx.init(PARAMS))
        close(eager, jax.jit(lambda p: two(tx, p, tx.init(p)))(PARAMS))
        close(eager, jax.jit(two)(tx, PARAMS, tx.init(PARAMS)))
        with jax.disable_jit():
            close(eager, two(tx, PARAMS, tx.init(PARAMS)))

    def test_tracers_outside_of_jit(self):
        tx = gd.adam(0.1)
        state = tx.init(jnp.zeros(2))
        many = jnp.array([[1.0, -2.0], [0.1, 0.0], [3.0, 4.0]])
        mapped = jax.vmap(lambda g: tx.update(g, state)[0])(many)
        close(mapped, jnp.stack([tx.update(g, state)[0] for g in many]))
        rates = jnp.array([0.1, 0.2])
        swept = jax.vmap(lambda tx: tx.update(many[0], state)[0])(gd.adam(rates))
        close(swept, jnp.stack([gd.adam(r).update(many[0], state)[0] for r in rates]))
        plain = gd.sgd(0.1)
        total = lambda tx, g: tx.update(g, tx.init(g))[0].sum()
        assert float(jax.grad(lambda rate: total(gd.sgd(rate), many[0]))(0.1)) == 1.0
        assert float(jax.grad(lambda g: total(plain, g))(many[0])[0]) == pytest.approx(-0.1)
        _, tangent = jax.jvp(lambda g: total(plain, g), (many[0],), (many[1],))
        assert float(tangent) == pytest.approx(-0.01)

    def test_no_tracer_leaks(self):
        made = []

        def inside(rate):
            tx = gd.adam(0.1)  # Python numbers: may be used again outside
            made.append(tx)
            fleeting = gd.chain(a=gd.adam(rate), b=gd.sgd(falling))
            state = fleeting.init(jnp.zeros(2))
            u, _ = fleeting.update(jnp.ones(2), state)
            return u + tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))[0]

        outside = gd.chain(gd.adam(0.1), gd.sgd(gd.live(0.1), momentum=jnp.array(0.9)))
        with jax.checking_leaks():
            first = jax.jit(inside)(0.1)
            # First used inside of a trace, then outside, then inside of another.
            run = lambda g: outside.update(g, outside.init(g))[0]
            within = jax.jit(run)(jnp.ones(2))
            assert outside.extra_args == {}
            close(run(jnp.ones(2)), within)
            close(jax.vmap(run)(jnp.ones((3, 2)))[1], within)
        (tx,) = made
        u, _ = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))
        close(u, jnp.full(2, -0.1))
        assert first.shape == (2,) and pickle.loads(pickle.dumps(tx)) == gd.adam(0.1)

    def test_abstract_parameters(self):
        tx = gd.chain(a=gd.adamw(falling), b=gd.sgd(gd.live(0.1), momentum=0.9))
        abstract = jax.eval_shape(tx.init, PARAMS)
        concrete = tx.init(PARAMS)
        assert jax.tree.structure(abstract) == jax.tree.structure(concrete)
        assert jax.tree.map(jnp.shape, abstract) == jax.tree.map(jnp.shape, concrete)


class TestMoving:
    def test_state_keeps_what_was_used(self):
        tx = gd.sgd(falling, momentum=gd.live(0.5))
        state = tx.init(PARAMS)
        assert isinstance(state, gd.states.InjectHyperparamsState)
        assert set(state.hyperparams) == {"learning_rate", "momentum"}
        assert int(state.count) == 0 and state.count.dtype == jnp.int32
        assert float(state.hyperparams["learning_rate"]) == pytest.approx(0.1)  # that it will use
        inner = gd.sgd(0.1, momentum=0.5).init(PARAMS)
        assert jax.tree.structure(state.inner_state) == jax.tree.structure(inner)
        velocity = jax.tree.map(jnp.zeros_like, GRADS)
        for i in range(4):
            u, state = tx.update(GRADS, state)
            velocity = jax.tree.map(lambda v, g: 0.5 * v + g, velocity, GRADS)
            close(u, scaled(-0.1 / (1 + i), velocity))
            assert int(state.count) == i + 1
            assert float(state.hyperparams["learning_rate"]) == pytest.approx(0.1 / (1 + i))
            assert state.hyperparams["learning_rate"].dtype == jnp.float32
            assert not state.hyperparams["learning_rate"].weak_type

    @pytest.mark.parametrize(
        "rate",
        [
            lambda step: 0.1 * (step < 2),  # bool times float
            lambda step: 0.1,  # a Python number
            lambda step: np.float64(0.1),
            lambda step: jnp.where(step < 5, 1, 0),  # an integer
            lambda step: jnp.bfloat16(0.5),
            gd.constant_schedule(0.1),
        ],
    )
    def test_whatever_a_schedule_returns(self, rate):
        with jax.numpy_dtype_promotion("standard"):
            tx = gd.sgd(rate)
            state = tx.init(PARAMS)
            u, after = tx.update(GRADS, state)
            assert jax.tree.map(jax.typeof, state) == jax.tree.map(jax.typeof, after)
            close(u, jax.tree.map(lambda g: -jnp.float32(rate(jnp.int32(0))) * g, GRADS), rtol=1e-2)

    def test_constant_schedule_changes_no_number(self):
        for constant, moving in (
            (gd.adam(0.1, b1=0.8), gd.adam(lambda step: 0.1, b1=lambda step: 0.8)),
            (gd.sgd(0.1, 0.9), gd.sgd(gd.live(0.1), gd.constant_schedule(0.9))),
        ):
            a, b = constant.init(PARAMS), moving.init(PARAMS)
            for _ in range(3):
                u, a = constant.update(GRADS, a, PARAMS)
                v, b = moving.update(GRADS, b, PARAMS)
                close(u, v, rtol=2e-6)

    def test_what_is_wrong(self):
        vector = gd.sgd(jnp.array([0.1, 0.2]))
        with pytest.raises(
            ValueError, match=r"sgd: learning_rate must be a scalar .* \(2,\).*vmap"
        ):
            vector.update(GRADS, vector.init(PARAMS))
        tx = gd.sgd(lambda step: jnp.array([0.1, 0.2]))
        with pytest.raises(ValueError, match=r"must return a scalar, got shape \(2,\)"):
            tx.init(PARAMS)
        moving = gd.chain(a=gd.sgd(gd.live(0.1)))
        with pytest.raises(ValueError, match="sgd: state must come from init .*learning_rate") as e:
            moving.update(GRADS, {"a": gd.sgd(0.1).init(PARAMS)})
        assert "in stage a of chain: sgd" in words(e)

    def test_scale_by_schedule_is_scale(self):
        tx = gd.scale_by_schedule(lambda step: 1.0 / (1.0 + step.astype(float)))
        state = tx.init(1.0)
        for expected in (1.0, 0.5):
            u, state = tx.update(jnp.array(1.0), state)
            assert float(u) == expected


class TestChain:
    def test_composes(self):
        tx = gd.chain(gd.scale(2.0), gd.chain(a=gd.clip(0.5), b=gd.scale(-1.0)))
        u, state = tx.update(GRADS, tx.init(PARAMS))
        close(u, jax.tree.map(lambda g: -jnp.clip(2 * g, -0.5, 0.5), GRADS))
        assert isinstance(state, tuple) and set(state[1]) == {"a", "b"}
        nothing = gd.chain()
        assert nothing.init(PARAMS) == ()
        close(nothing.update(GRADS, ())[0], GRADS)

    BAD = [
        (lambda: gd.chain(gd.sgd), "stage 0 must be a transformation.*Call the factory"),
        (lambda: gd.chain([gd.sgd(0.1)]), r"stage 0 .*Write chain\(a, b\), not chain\(\[a, b\]\)"),
        (lambda: gd.chain(gd.sgd(0.1), None), "stage 1 must be a transformation.*got None"),
        (lambda: gd.chain(a=gd.sgd(0.1), b=0.1), "stage b must be a transformation.*got 0.1"),
        (lambda: gd.chain(gd.sgd(0.1), a=gd.sgd(0.1)), "either all .* have names or none"),
    ]

    @pytest.mark.parametrize("make, message", BAD, ids=[message for _, message in BAD])
    def test_refuses_what_is_no_transformation(self, make, message):
        with pytest.raises(TypeError, match=f"^chain: .*{message}"):
            make()

    @pytest.mark.parametrize(
        "tx, state, message",
        [
            (gd.chain(gd.sgd(0.1)), (), "a tuple of 1 states.*got tuple of 0"),
            (gd.chain(gd.sgd(0.1)), {"0": ()}, "a tuple of 1 states.*got dict of 1"),
            (gd.chain(gd.sgd(0.1)), None, "a tuple of 1 states.*got NoneType"),
            (gd.chain(a=gd.sgd(0.1)), ((),), "a dict with a.*got tuple of 1"),
            (gd.chain(a=gd.sgd(0.1)), {"b": ()}, "a dict with a.*got dict of 1"),
        ],
        ids=repr,
    )
    def test_refuses_another_state(self, tx, state, message):
        with pytest.raises(ValueError, match=f"chain: state must be {message}"):
            tx.update(GRADS, state)
        with pytest.raises(ValueError, match="chain: state must be"):
            jax.jit(tx.update)(GRADS, state)

    def test_notes_the_stages(self):
        for tx, notes in (
            (gd.chain(gd.sgd(0.1), failing()), ["in stage 1 of chain: failing"]),
            (
                gd.chain(a=gd.sgd(0.1), b=gd.chain(inner=failing())),
                ["in stage inner of chain: failing", "in stage b of chain: chain"],
            ),
        ):
            state = tx.init(PARAMS)
            before = jax.tree.map(np.asarray, state)
            with pytest.raises(RuntimeError, match="no") as error:
                tx.update(GRADS, state, PARAMS)
            assert [n for n in notes if n not in words(error)] == []
            close(state, before)

    def test_state_given_is_not_written_to(self):
        fine = gd.chain(a=gd.trace(0.9), b=gd.chain(c=gd.sgd(falling)))
        fails = gd.chain(a=gd.trace(0.9), b=gd.chain(c=gd.sgd(falling)), d=failing())
        for tx in (fine, fails):
            state = tx.init(PARAMS)
            copied = copy.deepcopy(state)
            inner, held = state["b"], list(state.items())
            try:
                with jax.disable_jit():
                    tx.update(GRADS, state, PARAMS)
            except RuntimeError:
                pass
            assert state["b"] is inner
            assert all(x is y for (_, x), (_, y) in zip(held, state.items()))
            close(state, copied)

    def test_shapes_are_compared(self):
        tx = gd.chain(a=gd.clip(1.0), b=gd.adam(0.1))
        state = tx.init(PARAMS)
        with pytest.raises(ValueError, match=r"updates must have the shapes of params, at 'w'"):
            tx.update({**GRADS, "w": jnp.ones(3)}, state, PARAMS)
        with pytest.raises(ValueError, match="the second lacks the leaf 'w'"):
            tx.update(GRADS, state, {"b": PARAMS["b"], "v": PARAMS["w"]})
        with pytest.raises(ValueError, match="'w'"):  # the state is of other parameters
            gd.adam(0.1).update(GRADS, gd.adam(0.1).init({"b": jnp.zeros([])}))


class TestNumbers:
    def test_rounds_once(self):
        tx = gd.chain(gd.scale(-(1 + 2.0**-10)), gd.scale(2.0**-9))
        one = jnp.ones([], jnp.bfloat16)
        for run in (lambda f, *a: f(*a), lambda f, *a: jax.jit(f)(*a)):
            u, state = run(tx.update, one, tx.init(one), one)
            assert u.dtype == jnp.float32 and float(u) == -(2.0**-9) * (1 + 2.0**-10)
            # The neighbours of 1 − u are 1 and 1 − 2⁻⁸. Rounded to 16 bits before, u would be
            # their middle, and 1 the answer.
            p = run(gd.apply_updates, one, u)
            assert p.dtype == jnp.bfloat16 and float(p) == 1 - 2.0**-8
            p, _ = run(tx.step, one, state, one)
            assert p.dtype == jnp.bfloat16 and float(p) == 1 - 2.0**-8

    def test_small_updates_of_two_stages_add_up_wide(self):
        tx = gd.chain(gd.sgd(1e-3), gd.decay_weights(1e-3))
        one = jnp.ones([], jnp.bfloat16)
        u, _ = tx.update(one, tx.init(one), one)
        assert u.dtype == jnp.float32 and float(u) == pytest.approx(-2e-3, rel=1e-6)
        assert float(gd.apply_updates(one, u)) == 1 - 2.0**-8

    @pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
    @pytest.mark.parametrize("grad_dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
    def test_dtypes(self, dtype, grad_dtype):
        params = jnp.array([1.0, 2.0], dtype)
        grads = jnp.array([0.5, -0.25], grad_dtype)
        tx = gd.chain(gd.clip(1.0), gd.adam(jnp.array(0.1, jnp.float16)))
        state = tx.init(params)
        u, after = tx.update(grads, state, params)
        assert u.dtype == jnp.float32
        assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, state)
        assert tx.step(grads, state, params)[0].dtype == dtype

    def test_apply_updates(self):
        params = {"w": jnp.ones(2), "i": jnp.arange(2), "n": None, "x": 1.0}
        updates = {"w": jnp.ones(2), "i": FLOAT0, "n": None, "x": 2.0}
        out = gd.apply_updates(params, updates)
        close(out, {"w": jnp.full(2, 2.0), "i": jnp.arange(2), "n": None, "x": 3.0})
        close(gd.apply_updates(params, {**updates, "w": None})["w"], jnp.ones(2))
        with pytest.raises(ValueError, match="apply_updates: .*'w'"):
            gd.apply_updates(params, {**updates, "w": jnp.ones(3)})
        with pytest.raises(ValueError, match="apply_updates: .*'v'"):
            gd.apply_updates(params, {**updates, "v": jnp.ones(3)})

    @pytest.mark.parametrize("tx", [gd.adamw(0.1), gd.sgd(falling, 0.9), gd.chain(a=gd.clip(1.0))])
    def test_what_does_not_move(self, tx):
        params = {
            "w": jnp.array([1.0, -2.0]),
            "none": None,
            "int": jnp.arange(3),
            "bool": jnp.array(True),
            "key": jax.random.key(0),
        }
        grads = {
            "w": jnp.array([0.3, 0.1]),
            "none": None,
            "int": np.zeros(3, jax.dtypes.float0),
            "bool": FLOAT0,
            "key": FLOAT0,
        }
        state = tx.init(params)
        assert {x.dtype for x in jax.tree.leaves(state)} <= {jnp.dtype("f4"), jnp.dtype("i4")}
        alone = {"w": params["w"]}
        expected = tx.step({"w": grads["w"]}, tx.init(alone), alone)[0]["w"]
        step = jax.jit(lambda state, params: tx.step(grads, state, params))
        for out, after in (tx.step(grads, state, params), step(state, params)):
            close(out["w"], expected)
            assert out["none"] is None and bool(out["bool"])
            np.testing.assert_array_equal(out["int"], np.arange(3))
            assert jnp.all(jax.random.key_data(out["key"]) == jax.random.key_data(params["key"]))
            assert jax.tree.structure(after) == jax.tree.structure(state)
        u, _ = tx.update(grads, state, params)
        assert jax.tree.structure(u) == jax.tree.structure(grads)

    def test_gradients_as_jax_makes_them(self):
        params = {"w": jnp.ones(2), "i": jnp.arange(2)}
        grads = jax.grad(lambda p: jnp.sum(p["w"] * p["i"].astype(float)), allow_int=True)(params)
        assert grads["i"].dtype == jax.dtypes.float0
        tx = gd.adam(0.1)
        out, _ = tx.step(grads, tx.init(params), params)
        close(out, {"w": jnp.array([1.0, 0.9]), "i": jnp.arange(2)})

    @pytest.mark.parametrize("empty", [{}, (), [], {"a": None}])
    def test_empty_trees(self, empty):
        tx = gd.chain(a=gd.clip_by_global_norm(1.0), b=gd.adamw(falling))
        out, _ = tx.step(empty, tx.init(empty), empty)
        assert out == empty

    def test_python_numbers_as_parameters(self):
        tx = gd.sgd(0.1)
        assert float(tx.step(2.0, tx.init(1.0), 1.0)[0]) == pytest.approx(0.8)

    def test_donation(self):
        tx = gd.chain(a=gd.adamw(gd.live(0.1)), b=gd.trace(0.9), c=gd.rmsprop(0.1))
        step = jax.jit(tx.step, donate_argnums=(1, 2))
        params = jax.tree.map(jnp.copy, PARAMS)
        state = tx.init(params)
        expected, other = PARAMS, tx.init(PARAMS)
        for _ in range(2):
            given = jax.tree.leaves((params, state))
            params, state = step(GRADS, state, params)
            assert all(x.is_deleted() for x in given)
            expected, other = tx.step(GRADS, other, expected)
        close(params, expected)
        close(state, other)

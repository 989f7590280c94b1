"""A transformation remembers its call: prints, compares, pickles, JSON, leaves."""

from __future__ import annotations

import collections
import copy
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.core.factories import GRADS, PARAMS, close, falling, only_weights

optax = pytest.importorskip("optax")  # only for the foreign stages; the contract runs without it


class Frozen(collections.UserDict):
    """A mapping that is no dict, as OmegaConf's and Flax's are."""


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
            gd.build(json.loads(text), [only_weights, falling]),
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
        ({3: {}}, ValueError, "the key must be the name of a factory"),
        ({"adam": {"learnin_rate": 0.1}}, TypeError, "adam: .*learning_rate"),
        ({"adam": {"learning_rate": 0.1, "epss": 1}}, TypeError, "'epss'. Did you mean eps"),
        ({"adam": {}}, TypeError, "adam: missing a required argument: 'learning_rate'"),
        ({"adam": 0.1}, ValueError, "the arguments of adam must be a dict or a list, got 0.1"),
        ({"adam": [0.1, 1.5]}, ValueError, "b1 must lie in"),
        ({"adam": {"learning_rate": "fast"}}, TypeError, "learning_rate must be a number"),
        ({"chain": [0.1]}, TypeError, "stage 0 must be a transformation"),
        ({"chain": ["adam"]}, TypeError, "stage 0 must be a transformation"),
        (
            {"sgd": [{"function": "no_such_module:f"}]},
            ValueError,
            "be one of gdjax.* functions=.f.",
        ),
        ({"sgd": [{"function": "json:no_such"}]}, ValueError, "among `functions`"),
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


class TestData:
    def test_text_is_answered(self):
        for text in ("adamw(learning_rate=1e-3)", '{"adamw": {}}'):
            with pytest.raises(TypeError, match="must be a dict.*json.loads"):
                gd.build(text)

    def test_mappings_and_sequences_of_other_libraries(self):
        made = {"chain": ({"clip": Frozen(max_delta=1.0)}, Frozen(sgd=Frozen(learning_rate=0.1)))}
        assert gd.build(Frozen(made)) == gd.chain(gd.clip(1.0), gd.sgd(0.1))

    ODD = [
        gd.clip(np.inf),
        gd.clip(float("inf")),
        gd.sgd(np.array([0.1, np.inf])),
        gd.sgd(jnp.array([np.inf, 1.0], jnp.bfloat16)),
        gd.scale(complex(np.inf, 1.0)),
    ]

    @pytest.mark.parametrize("tx", ODD, ids=repr)
    def test_json_has_no_word_for_infinity(self, tx):
        """RFC 8259: other languages could not read it."""
        text = json.dumps(gd.spec(tx), allow_nan=False)
        again = gd.build(json.loads(text))
        assert repr(again) == repr(tx)
        jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(again), jax.tree.leaves(tx))

    def test_replace_reaches_the_one_part_that_has_the_argument(self):
        tx = gd.with_ema(gd.chain(clip=gd.clip(1.0), opt=gd.adamw(1e-3, mask="matrices")), 0.9)
        assert repr(tx.replace(learning_rate=0.1)) == repr(tx).replace("0.001", "0.1")
        assert repr(tx.replace(max_delta=2.0)) == repr(tx).replace("=1.0", "=2.0")
        two = gd.chain(gd.sgd(0.1), gd.adam(0.2))
        with pytest.raises(
            TypeError, match="learning_rate must be an argument of one part, got 2 parts"
        ):
            two.replace(learning_rate=0.3)
        with pytest.raises(TypeError, match="replace takes"):
            tx.replace(momentum=0.3)

    def test_a_pair_by_hand_is_a_pair(self):
        """As `optax.GradientTransformation(init, update)`; it remembers no call."""
        tx = gd.GradientTransformation(lambda p: (), lambda u, s, p=None: (u, s))
        assert isinstance(tx, tuple) and (tx.init(PARAMS), tx.update(GRADS, ())) == (
            (),
            (GRADS, ()),
        )
        made = gd.chain(tx, gd.sgd(1.0))
        updates, _ = made.update(GRADS, made.init(PARAMS))
        close(updates, jax.tree.map(jnp.negative, GRADS))

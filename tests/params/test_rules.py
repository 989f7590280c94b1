"""Rules that pick parameters: by path, rank, function and tree, in any box; what they refuse."""

import json
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd

PARAMS = {
    "dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)},
    "norm": {"scale": jnp.ones(3), "steps": jnp.arange(3)},
    "gain": jnp.ones([]),
}


def picked(rule, params=PARAMS):
    flags = gd.select(params, rule)
    assert jax.tree.structure(flags) == jax.tree.structure(params)
    assert all(type(flag) is bool for flag in jax.tree.leaves(flags))
    leaves = jax.tree_util.tree_leaves_with_path(flags)
    return {jax.tree_util.keystr(k, simple=True, separator="/") for k, flag in leaves if flag}


ALL = {"dense/kernel", "dense/bias", "norm/scale", "norm/steps", "gain"}


def shaped(params):
    return jax.tree.map(lambda x: x.ndim == 1, params)


@pytest.mark.parametrize(
    "rule, expected",
    [
        (None, ALL),
        (True, ALL),
        (False, set()),
        ("matrices", {"dense/kernel"}),
        (r".*/bias", {"dense/bias"}),
        ("gain", {"gain"}),
        (gd.by_path("dense/.*", "gain"), {"dense/kernel", "dense/bias", "gain"}),
        (gd.by_path(), set()),
        (gd.by_rank(), ALL),
        (gd.by_rank(1), ALL - {"gain"}),
        (gd.by_rank(1, 1), {"dense/bias", "norm/scale", "norm/steps"}),
        (gd.by_rank(at_most=0), {"gain"}),
        (gd.by_function(lambda path, x: path.startswith("d") and x.size == 3), {"dense/bias"}),
        (~gd.by_path("norm/.*"), ALL - {"norm/scale", "norm/steps"}),
        (gd.by_path("gain") | "matrices", {"gain", "dense/kernel"}),
        (gd.by_rank(1) & ~gd.by_path("norm/.*"), {"dense/kernel", "dense/bias"}),
        (gd.by_any(), set()),
        (gd.by_all(), ALL),
        ({"dense": {"kernel": True, "bias": False}, "norm": True, "gain": False}, None),
        (shaped, {"dense/bias", "norm/scale", "norm/steps"}),
        (lambda params: "gain", {"gain"}),
    ],
)
def test_select(rule, expected):
    assert picked(rule) == (expected or picked(rule) if expected is None else expected)
    if isinstance(rule, dict):
        assert picked(rule) == {"dense/kernel", "norm/scale", "norm/steps"}
    if isinstance(rule, gd.ParamRule):
        assert rule(PARAMS) == gd.select(PARAMS, rule)


def test_a_bare_array_and_none():
    assert gd.select(jnp.ones((2, 2)), "matrices") is True
    assert gd.select({"w": None, "b": jnp.ones(1)}, True) == {"w": None, "b": True}
    # what a wrapper has taken out is known by name all the same
    assert gd.select({"w": None, "b": jnp.ones(1)}, "w") == {"w": None, "b": False}
    assert gd.select({}, ".*/bias") == {}
    assert gd.select({"w": None, "b": jnp.ones(1)}, ~gd.by_rank(1)) == {"w": None, "b": False}
    assert gd.select({"w": None, "b": jnp.ones(1)}, {"b": True}) == {"w": None, "b": True}


@pytest.mark.parametrize(
    "rule, message",
    [
        (".*/biass", r"asks: a pattern must match .*'\.\*/biass'.*dense/bias"),
        (gd.by_path("gain", "gainn"), "'gainn'.*Did you mean gain"),
        ({"dense": True, "norm": True}, "mask must be a tree of bools.*without 'gain'"),
        ({"dense": True, "norm": True, "gain": 1, "gan": 1}, "with 'gan'.*gain"),
        ({"dense": True, "norm": True, "gain": 1.0}, "bools that are not traced.*1.0"),
        (lambda params: jax.tree.map(lambda x: x.sum() > 0, params), None),
    ],
)
def test_what_does_not_fit_raises(rule, message):
    if message is None:  # a mask of values is one that jit does not know
        with pytest.raises(ValueError, match="bools that are not traced"):
            jax.jit(lambda params: gd.select(params, rule))(PARAMS)
        return
    with pytest.raises(ValueError, match=message):
        gd.select(PARAMS, rule, "asks")


@pytest.mark.parametrize("kind", [bool, np.bool_, np.array, jnp.array])
def test_flags_of_a_tree_may_be_arrays_of_bools(kind):
    flags = {"dense": True, "norm": kind(True), "gain": kind(False)}
    chosen = gd.select(PARAMS, flags)
    assert jax.tree.leaves(chosen["norm"]) == [True] * len(jax.tree.leaves(PARAMS["norm"]))
    assert chosen["gain"] is False
    if kind in (np.array, jnp.array):
        with pytest.raises(ValueError, match="bools that are not traced"):
            gd.select(PARAMS, flags | {"gain": kind(1)})


def test_a_pattern_that_is_none_raises():
    with pytest.raises(ValueError, match=r"by_path: .*regular expressions.*got \("):
        gd.by_path("(")


def test_rules_are_data():
    rule = gd.by_label(matrix=gd.by_rank(2) & ~gd.by_path("embed/.*"), rest=True)
    for value in (rule, gd.adamw(0.1, mask=~gd.by_path(".*/bias")), gd.freeze("gain")):
        assert pickle.loads(pickle.dumps(value)) == value
        assert gd.build(json.loads(json.dumps(gd.spec(value)))) == value
        assert hash(value) == hash(value.replace())
    assert jax.tree.leaves(rule) == []
    assert repr(rule) == (
        "by_label(matrix=by_all(by_rank(at_least=2), by_not(rule=by_path('embed/.*'))), rest=True)"
    )


def test_labels():
    labels = gd.label(PARAMS, gd.by_label(matrix="matrices", gain="gain", rest=True))
    assert labels["dense"] == {"kernel": "matrix", "bias": "rest"} and labels["gain"] == "gain"
    assert gd.label(PARAMS, {"dense": "a", "norm": "b", "gain": "a"})["norm"]["scale"] == "b"
    assert gd.label(PARAMS, "a")["gain"] == "a"
    assert gd.label(PARAMS, lambda params: "a")["gain"] == "a"
    assert gd.label(PARAMS, gd.by_rank(2))["dense"] == {"kernel": True, "bias": False}
    with pytest.raises(ValueError, match="by_label.*none for 'dense/bias'.*rest=True"):
        gd.label(PARAMS, gd.by_label(matrix="matrices"))


def test_boxes_do_not_matter():
    """A mask in one box fits parameters in another; a module that is callable is a tree."""
    model = eqx.nn.MLP(2, 2, 2, 1, key=jax.random.key(0))
    params = eqx.filter(model, eqx.is_array)
    mask = jax.tree.map(lambda x: x.ndim == 2, params)
    assert callable(mask)
    expected = {"layers/0/weight", "layers/1/weight"}
    assert picked(mask, params) == picked(".*/weight", params) == expected
    plain = {"layers": [{"weight": True, "bias": False}, {"weight": True, "bias": False}]}
    assert picked(plain, params) == expected


def test_flax_modules():
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):
        def __init__(self):
            self.dense = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

    params = nnx.state(Model(), nnx.Param)
    plain = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
    for rule in ("dense/kernel", "dense/kernel/value", {"dense": {"kernel": True, "bias": False}}):
        assert jax.tree.leaves(gd.select(params, rule)) == [False, True]
    mask = jax.tree.map(lambda x: x.ndim == 2, params)
    assert gd.select(plain, mask) == {"dense": {"kernel": True, "bias": False}}
    with pytest.raises(ValueError, match="Did you mean dense/kernel"):
        gd.select(params, "dense/kernels")


def test_masks_of_decay_are_rules():
    tx = gd.adamw(0.1, weight_decay=0.5, mask=~gd.by_path(".*/bias", "norm/.*"))
    grads = jax.tree.map(lambda x: jnp.zeros_like(x, float), PARAMS)
    updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
    moved = {k for k, u in zip(sorted(ALL), jax.tree.leaves(updates)) if u is not None and u.any()}
    assert moved == {"dense/kernel", "gain"}


def test_the_name_of_a_module_is_answered_with_what_is_in_it():
    params = {"blocks_0": {"w": jnp.ones(2)}, "blocks_1": {"w": jnp.ones(2)}}
    with pytest.raises(ValueError, match=r"got 'blocks_0'. Write 'blocks_0/\.\*' for all"):
        gd.select(params, "blocks_0")

"""optax's functions on trees, its utilities, and what is taken from optax itself."""

import importlib
import inspect
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from gdjax.compat import optax as compat
from gdjax.compat.optax import installed, tree, tree_utils, utils
from tests.helpers import close

RNG = np.random.default_rng(0)
A = {"w": jnp.asarray(RNG.standard_normal((2, 3)), jnp.float32), "b": jnp.float32(0.7)}
B = {"w": jnp.asarray(RNG.standard_normal((2, 3)), jnp.float32), "b": jnp.float32(-1.2)}
HALF = jax.tree.map(lambda x: x.astype(jnp.bfloat16), A)
COMPLEX = jax.tree.map(jax.lax.complex, A, B)
KEY = jax.random.key(3)
COUNT = jnp.int32(5)


def same(mine, theirs, rtol=2e-6):
    close(mine, theirs, rtol, 1e-7)


@pytest.mark.parametrize("space", "losses projections tree tree_utils".split())
def test_names_and_signatures_are_those_of_optax(space):
    mine = importlib.import_module(f"gdjax.compat.optax.{space}")
    theirs = importlib.import_module(f"optax.{space}")
    for name in dir(theirs):
        there = getattr(theirs, name)
        if name.startswith("_") or inspect.ismodule(there) or name == "NamedTupleKey":
            continue
        if name == "microbatching" or not callable(there) or there.__module__ == "typing":
            continue
        alike(getattr(mine, name), there, name)
        assert name in mine.__all__


def alike(mine, theirs, name):
    plain = (int, float, str, bool, type(None), tuple)
    mine, theirs = (inspect.signature(f).parameters for f in (mine, theirs))
    assert list(mine) == list(theirs), name
    for key in mine:
        assert mine[key].kind == theirs[key].kind, (name, key)
        if isinstance(theirs[key].default, plain):
            assert mine[key].default == theirs[key].default, (name, key)


@pytest.mark.parametrize("name", installed.ELSEWHERE)
def test_what_has_to_do_with_no_optimizer_is_optax_itself(name, monkeypatch):
    assert getattr(compat, name) is getattr(optax, name)
    monkeypatch.setattr(installed, "_optax", lambda: importlib.import_module("no_such_package"))
    with pytest.raises(AttributeError, match=f"optax.{name} .* not installed: pip install optax"):
        getattr(compat, name)


REPLACED = """
import sys, jax
from gdjax.compat import optax
sys.modules["optax"] = sys.modules["optax.contrib"] = optax
from optax import assignment, adamw, microbatch
import gdjax, optax as again
assert adamw is gdjax.compat.optax.adamw and again is optax is sys.modules["optax.contrib"]
assert assignment.__name__ == "optax.assignment" and "optax._src" not in sys.modules
assert microbatch is again.microbatch
from optax._src import base, numerics
import optax._src.transform as transform
assert transform.scale_by_adam is optax.scale_by_adam and base.EmptyState is gdjax.EmptyState
assert "params" in base.NO_PARAMS_MSG and numerics.abs_sq(jax.numpy.float32(3.0)) == 9.0
assert not hasattr(base, "no_such_name")
"""


def test_optax_is_found_where_it_was_replaced():
    subprocess.run([sys.executable, "-c", REPLACED], check=True)


@pytest.mark.parametrize("name", sorted(set(utils.__all__)))
def test_root_functions_have_optax_signatures(name):
    alike(getattr(utils, name), getattr(optax, name), name)


CALLS = [
    ("add", A, B),
    ("add", A, B, A),
    ("sub", A, B),
    ("mul", A, B),
    ("div", A, B),
    ("scale", 0.3, A),
    ("add_scale", A, 0.3, B),
    ("vdot", A, B),
    ("vdot", COMPLEX, jax.tree.map(lambda x: 2 * x, COMPLEX)),
    ("sum", A),
    ("max", A),
    ("min", A),
    ("norm", A),
    ("norm", A, 2, True),
    ("norm", A, 1),
    ("norm", A, "inf"),
    ("norm", A, np.inf, True),
    ("allclose", A, A),
    ("allclose", A, B),
    ("allclose", A, B, 10.0, 10.0),
    ("where", jnp.asarray(False), A, B),
    ("clip", A, -0.1, 0.2),
    ("conj", COMPLEX),
    ("real", COMPLEX),
    ("zeros_like", A),
    ("ones_like", A, jnp.int32),
    ("full_like", A, 3.0),
    ("batch_shape", A, (2, 1)),
    ("cast", A, jnp.float16),
    ("cast", A, None),
    ("cast_like", A, HALF),
    ("random_like", KEY, A),
    ("random_like", KEY, A, jax.random.uniform, jnp.float16),
    ("update_moment", A, B, 0.9, 1),
    ("update_moment", A, B, 0.9, 2),
    ("update_moment_per_elem_norm", A, B, 0.9, 2),
    ("update_infinity_moment", A, B, 0.9, 0.1),
    ("bias_correction", A, 0.9, COUNT),
]


@pytest.mark.parametrize("name, args", [(n, a) for n, *a in CALLS])
def test_trees(name, args):
    mine = getattr(tree, name)(*args)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        same(mine, getattr(optax.tree, name)(*args))
    assert getattr(tree_utils, f"tree_{name}") is getattr(tree, name)
    dtypes = [jax.tree.map(lambda x: jnp.asarray(x).dtype.name, t) for t in (mine, mine)]
    assert dtypes[0] == dtypes[1]


def test_every_tree_function_is_called():
    elsewhere = {"dtype", "get", "get_all_with_path", "map_params", "set", "size"}
    elsewhere |= {"split_key_like", "unwrap_random_key_data"}
    assert {n for n, *_ in CALLS} | elsewhere == set(tree.__all__)


def test_keys():
    mine, theirs = tree.split_key_like(KEY, A), optax.tree.split_key_like(KEY, A)
    same(*(tree.unwrap_random_key_data(t) for t in (mine, theirs)))
    assert tree.unwrap_random_key_data({"n": 1}) == {"n": 1}


def test_empty_trees():
    assert tree.sum({}) == 0 and tree.norm({}) == 0 and tree.size({"n": None}) == 0
    assert tree.max({}) == -jnp.inf and tree.min({}) == jnp.inf and tree.allclose({}, {})
    assert tree.dtype({}) == jnp.float32
    assert tree.size({"a": jnp.ones((2, 3)), "b": 1.0}) == 7


def test_sums_do_not_round_to_sixteen_bits_or_overflow():
    x = {"a": jnp.full(4096, 1.01, jnp.bfloat16)}
    assert abs(tree.sum(x) - 4096 * float(x["a"][0])) < 1
    assert tree.norm({"a": jnp.full(4, 1e30)}) == 2e30
    assert tree.sum({"a": jnp.arange(3), "b": jnp.ones(2)}) == 5
    assert tree.sum({"a": jnp.ones(2), "b": jnp.ones(2)}, True) == 4
    with pytest.raises(ValueError, match="ord"):
        tree.norm(A, 3)


def test_moments():
    """|g|³, not g³, is a power of the norm; None stays; means stay as wide as they are."""
    g = jnp.array([-2.0])
    np.testing.assert_allclose(tree.update_moment_per_elem_norm(g, g * 0, 0.9, 3), [0.8], rtol=1e-6)
    assert tree.update_moment({"a": None}, {"a": g}, 0.9, 2) == {"a": None}
    assert tree.update_moment(HALF, A, 0.9, 2)["w"].dtype == jnp.float32
    same(
        tree.update_moment_per_elem_norm(jax.lax.complex(0 * g, g), 0 * g, 0.9, 2), jnp.array([0.4])
    )


def test_dtypes():
    mixed = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2)}
    for handler, name in (("promote", "float32"), ("highest", "float32"), ("lowest", "bfloat16")):
        assert tree.dtype(mixed, handler).name == name
        with jax.numpy_dtype_promotion("standard"):
            assert optax.tree.dtype(mixed, handler) == name
    apart = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.float16)}
    assert tree.dtype(apart, "promote") == jnp.float32
    for bad in ((mixed, None), (apart, "highest"), (apart, "lowest"), (mixed, "widest")):
        with pytest.raises(ValueError):
            tree.dtype(*bad)


with jax.numpy_dtype_promotion("standard"):
    STATE = optax.chain(optax.inject_hyperparams(optax.adam)(0.1), optax.trace(0.9)).init(A)
STATES = [
    STATE,
    {"count": 1, "deep": [{"count": (2, 3)}, None], "mu": {"mu": 4}},
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("key", ["count", "mu", "w", "ScaleByAdamState", "nowhere"])
def test_search(state, key):
    mine, theirs = (t.get_all_with_path(state, key) for t in (tree, optax.tree))
    assert [v for _, v in mine] == [v for _, v in theirs] or key in ("mu", "w", "count")
    names = [[jax.tree_util.keystr(p) for p, _ in found] for found in (mine, theirs)]
    assert names[0] == names[1] and len(mine) == len(theirs)
    only = lambda path, value: len(path) > 2
    assert len(tree.get_all_with_path(state, key, only)) == sum(len(p) > 2 for p, _ in mine)
    if len(mine) == 1:
        assert tree.get(state, key) is mine[0][1]
    elif mine:
        with pytest.raises(KeyError, match="multiple"):
            tree.get(state, key)
        assert len(theirs) > 1
    else:
        assert tree.get(state, key, 7) == 7
        with pytest.raises(KeyError, match="no values"):
            tree.set(state, **{key: 1})
        return
    # optax leaves some of them as they are where there are several, and says it sets all.
    changed = tree.get_all_with_path(tree.set(state, **{key: "new"}), key)
    assert [v for _, v in changed] == ["new"] * len(changed)
    assert changed or key == "ScaleByAdamState"  # which is not its name any more
    if len(mine) == 1:
        assert str(tree.set(state, **{key: 1})) == str(optax.tree.set(state, **{key: 1}))


def test_states_of_ours_are_searched():
    tx = gd.adam(gd.linear_schedule(1.0, 0.0, 10))
    state = tx.init(A)
    same(tree.get(state, "mu"), tree.zeros_like(A))
    assert tree.get(state, "learning_rate") == 1.0
    state = tree.set(state, learning_rate=jnp.float32(0.5))
    assert state.hyperparams["learning_rate"] == 0.5
    marked = tree.map_params(tx, lambda m, name: name, state, {"w": "W", "b": "B"})
    assert tree.get(marked, "nu") == {"w": "W", "b": "B"}
    blank = tree.map_params(tx, lambda m: 1, state, transform_non_params=lambda x: 0)
    assert blank.count == 0 and tree.get(blank, "nu") == {"w": 1, "b": 1}
    one = optax.tree.map_params(optax.adam(0.1), lambda x: x + 1, optax.adam(0.1).init(A))
    same(tree.map_params(optax.adam(0.1), lambda x: x + 1, optax.adam(0.1).init(A)), one)


def test_norms_and_their_derivatives():
    for ord, axis in ((None, None), (1, 1), (2, 0), (np.inf, None), ("fro", None)):
        args = A["w"], 0.1, ord, axis
        same(utils.safe_norm(*args), optax.safe_norm(*args))
        zeros = jax.grad(lambda x, how=(ord, axis): jnp.sum(utils.safe_norm(x, 0.0, *how)))(
            jnp.zeros((2, 2))
        )
        np.testing.assert_array_equal(zeros, jnp.zeros((2, 2)))
    below = jnp.array([0.01, 0.0])
    assert (
        utils.safe_norm(below, 0.1) == utils.safe_root_mean_squares(below, 0.1) == jnp.float32(0.1)
    )
    for f in (utils.safe_norm, utils.safe_root_mean_squares):
        np.testing.assert_array_equal(jax.grad(f)(below, 0.1), [0.0, 0.0])
        same(jax.grad(f)(100 * below, 0.1), jax.grad(getattr(optax, f.__name__))(100 * below, 0.1))
    assert utils.safe_norm(A["w"], 0.0, axis=1, keepdims=True).shape == (2, 1)
    assert utils.global_norm({"a": jnp.ones(4)}) == 2.0


def test_small_utilities():
    assert utils.safe_int32_increment(jnp.int32(2**31 - 1)) == 2**31 - 1
    assert utils.safe_increment(jnp.float32(3)) == 4 and utils.safe_increment(3) == 4
    scaled = lambda t: sum(jnp.sum(x * x) for x in jax.tree.leaves(utils.scale_gradient(t, 3.0)))
    same(jax.grad(scaled)(A), jax.tree.map(lambda x: 6 * x, A))
    same(utils.scale_gradient({"i": jnp.arange(3)}, 0.0), {"i": jnp.arange(3)})

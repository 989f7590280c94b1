"""optax's functions on trees, its utilities, assignment, perturbations and microbatches."""

import importlib
import inspect
import operator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import optimize

import gdjax as gd
from gdjax.compat.optax import (
    assignment,
    linear_algebra,
    microbatching,
    perturbations,
    second_order,
    tree,
    tree_utils,
    utils,
)
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


@pytest.mark.parametrize(
    "space", "losses projections tree tree_utils perturbations second_order assignment".split()
)
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


@pytest.mark.parametrize("name", sorted(set(utils.__all__)))
def test_root_functions_have_optax_signatures(name):
    alike(getattr(utils, name), getattr(optax, name), name)


@pytest.mark.parametrize("name", ["microbatch", "micro_grad", "micro_vmap", "reshape_batch_axis"])
def test_microbatching_has_optax_signatures(name):
    alike(getattr(microbatching, name), getattr(optax.microbatching, name), name)


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


COSTS = [
    RNG.standard_normal((1, 1)),
    RNG.standard_normal((6, 6)),
    RNG.standard_normal((4, 7)),
    RNG.standard_normal((7, 4)),
    RNG.standard_normal((20, 20)),
    RNG.integers(0, 3, (8, 8)).astype(float),  # ties
    np.zeros((3, 5)),
    -np.ones((5, 2)),
    np.where(np.eye(5, dtype=bool), 1e30, RNG.standard_normal((5, 5))),
]


@pytest.mark.parametrize("cost", COSTS, ids=lambda c: f"{c.shape}")
def test_assignment(x64, cost):
    rows, columns = optimize.linear_sum_assignment(cost)
    i, j = jax.jit(assignment.hungarian_algorithm)(cost)
    assert len(set(i.tolist())) == len(set(j.tolist())) == min(cost.shape)
    np.testing.assert_array_equal(i, np.sort(i))
    np.testing.assert_allclose(cost[i, j].sum(), cost[rows, columns].sum(), rtol=1e-12, atol=1e-12)


def test_assignment_of_batches_and_extremes():
    costs = jnp.asarray(RNG.standard_normal((6, 4, 5)), jnp.float32)
    i, j = jax.vmap(assignment.base_hungarian_algorithm)(costs)
    for k in range(6):
        np.testing.assert_array_equal(j[k], optimize.linear_sum_assignment(costs[k])[1])
    for odd in (jnp.inf, jnp.nan):  # come to an end
        i, j = assignment.hungarian_algorithm(jnp.full((3, 3), odd))
        assert sorted(j.tolist()) == [0, 1, 2]
    barred = jnp.array([[jnp.inf, 1.0], [2.0, jnp.inf]])
    assert assignment.hungarian_algorithm(barred)[1].tolist() == [1, 0]
    assert assignment.hungarian_algorithm(jnp.zeros((0, 3)))[0].shape == (0,)
    with pytest.raises(ValueError, match="cost_matrix"):
        assignment.hungarian_algorithm(jnp.zeros(3))


def test_perturbed_values_and_derivatives():
    """E max(x + σz, 0) of normal z, its slope Φ(x/σ) and curvature φ(x/σ)/σ."""
    x, sigma = jnp.array([0.1, -0.2]), 0.5
    f = lambda x: {"out": jnp.maximum(x, 0.0)}
    smooth = perturbations.make_perturbed_fun(f, 60_000, sigma, perturbations.Normal())
    total = lambda x: jnp.sum(smooth(KEY, x)["out"])
    cdf = jax.scipy.stats.norm.cdf(x / sigma)
    pdf = jax.scipy.stats.norm.pdf(x / sigma)
    np.testing.assert_allclose(smooth(KEY, x)["out"], x * cdf + sigma * pdf, atol=0.01)
    np.testing.assert_allclose(jax.jit(jax.grad(total))(x), cdf, atol=0.02)
    np.testing.assert_allclose(jnp.diag(jax.hessian(total)(x)), pdf / sigma, atol=0.1)


def test_perturbed_maximum_is_a_softmax():
    """The mean arg max under Gumbel noise is the softmax."""
    x = jnp.array([0.3, -0.4, 1.0])
    best = lambda x: jax.nn.one_hot(jnp.argmax(x), 3)
    for baseline in (True, False):
        smooth = perturbations.make_perturbed_fun(best, 40_000, 1.0, use_baseline=baseline)
        np.testing.assert_allclose(smooth(KEY, x), jax.nn.softmax(x), atol=0.01)
        jacobian = jax.jacobian(smooth, argnums=1)(KEY, x)
        np.testing.assert_allclose(jacobian, jax.jacobian(jax.nn.softmax)(x), atol=0.03)
    z = jnp.array([0.5, -1.0])
    for name in ("Gumbel", "Normal"):
        mine, theirs = (getattr(m, name)() for m in (perturbations, optax.perturbations))
        same(mine.log_prob(z), theirs.log_prob(z))
        same(mine.sample(KEY, (3,)), theirs.sample(KEY, (3,)))


def test_second_order():
    x, y = jnp.asarray(RNG.standard_normal((5, 2)), jnp.float32), jnp.ones(5)
    loss = lambda p, x, y: jnp.sum(jnp.tanh(x @ p["w"] + p["b"] - y) ** 2)
    params = {"w": jnp.array([1.0, 2.0]), "b": jnp.float32(0.5)}
    v = jnp.array([1.0, -1.0, 0.5])
    same(
        second_order.hvp(loss, v, params, x, y), optax.second_order.hvp(loss, v, params, x, y), 1e-4
    )
    for name in ("hessian_diag", "fisher_diag"):
        mine, theirs = (getattr(m, name) for m in (second_order, optax.second_order))
        same(mine(loss, params, x, y), theirs(loss, params, x, y), 1e-4)


def symmetric(n=5):
    x = RNG.standard_normal((n, n))
    return jnp.asarray(x @ x.T + 0.1 * np.eye(n))


def test_power_iteration(x64):
    a = symmetric()
    value, vector = linear_algebra.power_iteration(-a, num_iters=3000, error_tolerance=1e-14)
    np.testing.assert_allclose(value, -np.linalg.eigvalsh(a)[-1], rtol=1e-10)
    np.testing.assert_allclose(-a @ vector, value * vector, atol=1e-5)
    halves = lambda t: {"a": 3.0 * t["a"], "b": 0.5 * t["b"]}
    value, vector = linear_algebra.power_iteration(halves, v0={"a": jnp.ones(2), "b": jnp.ones(1)})
    np.testing.assert_allclose(value, 3.0, rtol=1e-6)
    with pytest.raises(ValueError, match="v0"):
        linear_algebra.power_iteration(halves)


@pytest.mark.parametrize("p", [1, 2, 4])
def test_inverse_roots(x64, p):
    a = symmetric()
    root, error = linear_algebra.matrix_inverse_pth_root(
        a, p, ridge_epsilon=0.01, error_tolerance=1e-12
    )
    values, vectors = np.linalg.eigh(a)
    exact = vectors * (values + 0.01 * values[-1]) ** (-1 / p) @ vectors.T
    np.testing.assert_allclose(root, exact, rtol=1e-4, atol=1e-6)
    assert error < 1e-10
    zero = linear_algebra.matrix_inverse_pth_root(jnp.zeros((2, 2)), p)[0]
    np.testing.assert_array_equal(zero, jnp.zeros((2, 2)))


def test_nnls(x64):
    a, b = RNG.standard_normal((12, 6)), RNG.standard_normal((12, 2))
    for bound in (None, 2 * np.linalg.norm(a, 2) ** 2):
        x = linear_algebra.nnls(a, b, 4000, L=bound)
        for k in range(2):
            np.testing.assert_allclose(x[:, k], optimize.nnls(a, b[:, k])[0], atol=1e-8)
    np.testing.assert_allclose(linear_algebra.nnls(a, b[:, 0], 4000), x[:, 0], atol=1e-8)


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
    loc, log_scale = jnp.array([1.0, 2.0]), jnp.array([0.3, -0.1])
    mine, theirs = utils.multi_normal(loc, log_scale), optax.multi_normal(loc, log_scale)
    same(mine.params, theirs.params)
    with jax.numpy_rank_promotion("allow"):
        points = theirs.sample((3, 2), KEY)
        same(mine.sample((3, 2), KEY), points)
        same(mine.log_prob(points), theirs.log_prob(points))


KINDS = microbatching.AccumulationType
EXAMPLES = jnp.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("real", [None, 2])
def test_microbatch(kind, real):
    f = lambda x, y: (x + 1, jnp.sum(3 * x) + y)
    there = getattr(optax.microbatching.AccumulationType, kind.name)
    args = EXAMPLES, 1.0
    mine = microbatching.microbatch(f, 0, 2, (KINDS.CONCAT, kind), num_real_microbatches=real)
    concat = optax.microbatching.AccumulationType.CONCAT
    theirs = optax.microbatch(f, 0, 2, (concat, there), num_real_microbatches=real)
    if kind is KINDS.MEAN and real:  # optax divides by the parts that were not evaluated as well
        theirs = optax.microbatch(
            f,
            0,
            2,
            (concat, optax.microbatching.AccumulationType.RUNNING_MEAN),
            num_real_microbatches=real,
        )
    same(jax.jit(mine)(*args), theirs(*args))


def test_microbatches_by_name_and_axis():
    parts = microbatching.microbatch(
        lambda x, *, y: jnp.sum(x.T * y), 0, 3, argnames="y", in_axes=(1, 0)
    )
    assert parts(EXAMPLES.T, y=EXAMPLES) == jnp.sum(EXAMPLES**2)
    gradient = jax.grad(
        lambda w: microbatching.microbatch(lambda x: jnp.sum(w * x**2), 0, 2)(EXAMPLES)
    )
    assert gradient(2.0) == jnp.sum(EXAMPLES**2)


def test_microbatches_refuse():
    with pytest.raises(ValueError, match="divide"):
        microbatching.microbatch(jnp.sum, 0, 4)(EXAMPLES)
    with pytest.raises(ValueError, match="floating"):
        microbatching.microbatch(jnp.sum, 0, 2, KINDS.MEAN)(jnp.arange(6))
    with pytest.raises(ValueError, match="out_axes"):
        microbatching.micro_vmap(jnp.sum, out_axes=1)
    assert microbatching.microbatch(jnp.sum, 0, None)(EXAMPLES) == jnp.sum(EXAMPLES)


def test_accumulators_of_ones_own():
    largest = microbatching.Accumulator(
        lambda x: jnp.full(x.shape, -jnp.inf, x.dtype),
        lambda carry, x, i: jnp.maximum(carry, x),
        lambda carry: carry,
        lambda x: jnp.max(x, axis=0),
    )
    assert microbatching.microbatch(jnp.max, 0, 2, largest)(EXAMPLES) == 11
    assert microbatching.micro_vmap(jnp.max, microbatch_size=3, accumulator=largest)(EXAMPLES) == 11


def test_sixteen_bit_results_are_added_in_thirty_two():
    x = jnp.full((512, 1), 1.0, jnp.bfloat16)
    assert microbatching.microbatch(lambda x: jnp.sum(x), 0, 1)(x) == 512


@pytest.mark.parametrize("size", [None, 2, 3])
def test_micro_vmap_and_grad(size):
    f = lambda x, w: operator.mul(jnp.sum(x), w)
    for kind in (KINDS.SUM, KINDS.MEAN, KINDS.CONCAT):
        there = getattr(optax.microbatching.AccumulationType, kind.name)
        given = {"in_axes": (0, None), "microbatch_size": size}
        mine = microbatching.micro_vmap(f, accumulator=kind, **given)(EXAMPLES, 2.0)
        same(mine, optax.microbatching.micro_vmap(f, accumulator=there, **given)(EXAMPLES, 2.0))

    def loss(w, x, y):
        return jnp.mean((x @ w - y) ** 2), jnp.sum(x)

    given = {"has_aux": True, "batch_argnums": (1, 2), "microbatch_size": size}
    given |= {"transform_fn": lambda g: (g, g**2), "metrics_fn": jnp.linalg.norm}
    args = jnp.array([0.1, -0.2]), EXAMPLES, jnp.arange(6.0)
    mine = microbatching.micro_grad(loss, **given)(*args)
    theirs = optax.microbatching.micro_grad(loss, **given)(*args)
    same(mine[0], theirs[0])
    same(tuple(mine[1]), tuple(theirs[1]))
    alone = microbatching.micro_grad(
        lambda w, x, y: (x @ w - y) ** 2, batch_argnums=(1, 2), keep_batch_dim=False
    )
    same(alone(*args)[0], theirs[0][0])

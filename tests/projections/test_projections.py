"""Projections: against optax, against their definitions, at extremes; trees and gradients."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from tests.helpers import first

P = gd.projections
NAMES = [n for n in dir(optax.projections) if not n.startswith("_")]
X = np.random.default_rng(1).standard_normal(7) * 2
A = np.random.default_rng(2).standard_normal(7)
TREE = {"w": X[:6].reshape(2, 3), "b": X[6]}
A_TREE = {"w": A[:6].reshape(2, 3), "b": A[6]}
LOW, HIGH = {"w": np.full((2, 3), -0.5), "b": 0.1}, {"w": np.full((2, 3), 0.25), "b": 3.0}

CALLS = {
    "projection_box": [(TREE, -0.5, 0.75), (TREE, LOW, HIGH)],
    "projection_halfspace": [(TREE, A_TREE, 0.3), (TREE, A_TREE, -9.0), (TREE, A_TREE, 50.0)],
    "projection_hypercube": [(TREE,), (TREE, 0.3)],
    "projection_hyperplane": [(TREE, A_TREE, 0.3), (TREE, A_TREE, -2.0)],
    "projection_l1_ball": [(TREE,), (TREE, 3.0), (TREE, 1e3)],
    "projection_l1_sphere": [(TREE,), (TREE, 3.0), (TREE, 1e3)],
    "projection_l2_ball": [(TREE,), (TREE, 2.0), (TREE, 1e3)],
    "projection_l2_sphere": [(TREE,), (TREE, 2.0), (TREE, 1e3)],
    "projection_linf_ball": [(TREE,), (TREE, 0.3)],
    "projection_non_negative": [(TREE,)],
    "projection_simplex": [(TREE,), (TREE, 3.0), (TREE, 1e3)],
    "projection_vector": [(TREE, A_TREE)],
}
EVERY = [(name, *args) for name, calls in CALLS.items() for args in calls]


@pytest.mark.parametrize("name, args", [(n, a) for n, *a in EVERY])
def test_optax_gives_the_same(x64, name, args):
    mine = jax.jit(lambda tree: getattr(P, name)(tree, *args[1:]))(args[0])
    with jax.numpy_dtype_promotion("standard"):
        if len(args) < 3 or not isinstance(args[1], dict):  # optax takes numbers for arrays alone
            theirs = getattr(optax.projections, name)
            entrywise = name in ("projection_box", "projection_hypercube")
            run = lambda x: theirs(jnp.asarray(x), *args[1:])
            theirs = jax.tree.map(run, args[0]) if entrywise else theirs(*args)
        else:
            theirs = getattr(optax.projections, name)(*args)
    assert jax.tree.structure(mine) == jax.tree.structure(args[0])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12), mine, theirs
    )


def test_names_and_signatures_are_those_of_optax():
    assert set(NAMES) == set(CALLS)
    for name in NAMES:
        mine = inspect.signature(getattr(P, name)).parameters
        theirs = inspect.signature(getattr(optax.projections, name)).parameters
        assert [(p.name, p.default) for p in mine.values()] == [
            (p.name, p.default) for p in theirs.values()
        ]


def in_set(name, args, y, close):
    """Tells whether y lies in the set."""
    x, *rest = args
    scale = rest[0] if rest else 1
    a = A if name in ("projection_hyperplane", "projection_halfspace") else None
    within = {
        "projection_simplex": lambda: y.min() >= 0 and abs(y.sum() - scale) < close * scale,
        "projection_l1_ball": lambda: abs(y).sum() <= scale * (1 + close),
        "projection_l1_sphere": lambda: abs(abs(y).sum() - scale) < close * scale,
        "projection_l2_ball": lambda: np.linalg.norm(y) <= scale * (1 + close),
        "projection_l2_sphere": lambda: abs(np.linalg.norm(y) - scale) < close * scale,
        "projection_linf_ball": lambda: abs(y).max() <= scale,
        "projection_non_negative": lambda: y.min() >= 0,
        "projection_hypercube": lambda: y.min() >= 0 and y.max() <= scale,
        "projection_hyperplane": lambda: abs(a @ y - rest[1]) < close,
        "projection_halfspace": lambda: a @ y <= rest[1] + close,
    }
    return within[name]()


@pytest.mark.parametrize("name", ["simplex", "l1_ball", "l1_sphere", "l2_ball", "linf_ball"])
@pytest.mark.parametrize("scale", first(1, [0.5, 4.0]))
def test_no_point_of_the_set_is_nearer(x64, name, scale):
    project = jax.jit(getattr(P, f"projection_{name}"))
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.standard_normal(5) * rng.choice([0.2, 1.0, 4.0])
        y = np.asarray(project(x, scale))
        assert in_set(f"projection_{name}", (x, scale), y, 1e-12)
        for _ in range(40):
            z = np.asarray(project(y + 0.3 * rng.standard_normal(5), scale))
            assert np.sum((x - y) ** 2) <= np.sum((x - z) ** 2) + 1e-12


def test_simplex_by_trying_every_support(x64):
    for x in np.random.default_rng(4).standard_normal((20, 4)):
        best = None
        for support in itertools.product([False, True], repeat=4):
            s = np.array(support)
            if not s.any():
                continue
            y = np.where(s, x - (x[s].sum() - 2.0) / s.sum(), 0)
            if y.min() >= 0 and (best is None or np.sum((x - y) ** 2) < np.sum((x - best) ** 2)):
                best = y
        np.testing.assert_allclose(P.projection_simplex(x, 2.0), best, atol=1e-14)


def test_simplex_jacobian(x64):
    """I − 11ᵀ / k on the support of k entries, 1 / k by the sum, 0 elsewhere."""
    x = jnp.array([0.3, 2.0, 1.7, -4.0])
    jacobian, by_scale = jax.jacobian(P.projection_simplex, argnums=(0, 1))(x, 1.0)
    s = np.array([0, 1, 1, 0.0])
    np.testing.assert_allclose(jacobian, np.diag(s) - np.outer(s, s) / 2, atol=1e-15)
    np.testing.assert_allclose(by_scale, s / 2)


WITH_ONE_TREE = [
    n
    for n in NAMES
    if n not in ("projection_hyperplane", "projection_halfspace", "projection_vector")
]
EXTREMES = [0.0, 1e-30, 1.0, 1e18]


@pytest.mark.parametrize("dtype", first(1, ["float32", "bfloat16"]))
@pytest.mark.parametrize("name", WITH_ONE_TREE)
def test_finite_at_extremes(name, dtype):
    args = (-1.0, 2.0) if name == "projection_box" else ()
    project = lambda x: (jnp.sum(y := getattr(P, name)(x, *args)), y)
    program = jax.jit(jax.value_and_grad(project, has_aux=True))
    for size in EXTREMES:
        x = jnp.asarray(size * np.array([1.0, -1, 1, 0.5]), dtype)
        (_, y), gradient = program(x)
        assert y.dtype == dtype
        assert jnp.isfinite(y).all() and jnp.isfinite(gradient).all(), size
        if name not in ("projection_box", "projection_hyperplane"):
            close = 1e-6 if dtype == "float32" else 0.02
            assert in_set(name, (x,), np.float64(y), close), (size, y)


@pytest.mark.parametrize("name", ["hyperplane", "halfspace", "vector"])
def test_planes_at_extremes(name):
    project = getattr(P, f"projection_{name}")
    rest = () if name == "vector" else (0.5,)
    x = jnp.array([3.0, -1.0, 2.0])
    total = lambda x, a: jnp.sum(project(x, a, *rest))
    program = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
    for size in (0.0, 1e-30, 1e25):
        a = jnp.float32(size) * jnp.array([2.0, 0.0, -1.0])
        y, (by_x, by_a) = program(x, a)
        assert jnp.isfinite(y) and jnp.isfinite(by_x).all()
        assert size == 1e-30 or jnp.isfinite(by_a).all()  # 1 / a is not finite there
    stay = project(x, 0 * x, *rest)
    np.testing.assert_array_equal(stay, 0 * x if name == "vector" else x)


def test_large_entries_lose_nothing():
    """float32 has no room for 1e8 + 0.25: what counts are the differences."""
    x = jnp.array([1e8, 1e8, 0.0], jnp.float32)
    np.testing.assert_array_equal(P.projection_simplex(x), [0.5, 0.5, 0.0])


def test_zero_is_projected_onto_spheres():
    zero = jnp.zeros(4)
    np.testing.assert_allclose(P.projection_l2_sphere(zero, 2.0), np.ones(4))
    np.testing.assert_allclose(P.projection_l1_sphere(zero, 2.0), np.full(4, 0.5))
    np.testing.assert_array_equal(P.projection_l1_ball(zero + 1, 0.0), zero)
    np.testing.assert_array_equal(P.projection_simplex(zero + 1, 0), zero)


@pytest.mark.parametrize("name", WITH_ONE_TREE)
def test_what_is_no_number_is_passed_over(name):
    args = (0.0, 2.0) if name == "projection_box" else ()
    tree = {"f": jnp.ones((2, 2), jnp.bfloat16), "none": None, "i": jnp.arange(3), "g": jnp.ones(2)}
    if name == "projection_box":  # a bound for each leaf
        args = tuple(jax.tree.map(lambda _: a, tree) for a in args)  # noqa: B023
    out = getattr(P, name)(tree, *args)
    assert jax.tree.structure(out) == jax.tree.structure(tree)
    assert out["f"].dtype == jnp.bfloat16 and out["g"].dtype == jnp.float32
    np.testing.assert_array_equal(out["i"], tree["i"])
    assert getattr(P, name)({}, *([{}, {}] if args else [])) == {}


def test_scales_may_be_traced():
    for name in ("simplex", "l1_ball", "l1_sphere", "l2_ball", "l2_sphere", "linf_ball"):
        project = getattr(P, f"projection_{name}")
        x = jnp.asarray(X, jnp.bfloat16)
        both = jax.jit(project)(x, jnp.float32(1.5)), project(x, 1.5)
        assert both[0].dtype == jnp.bfloat16
        np.testing.assert_array_equal(*(np.float32(b) for b in both))


REFUSED = {
    "negative": (lambda: P.projection_simplex(X, -1.0), "scale must be ≥ 0"),
    "negative l1": (lambda: P.projection_l1_ball(X, -1.0), "scale must be ≥ 0"),
    "negative l2": (lambda: P.projection_l2_ball(X, -1), "scale must be ≥ 0"),
    "negative linf": (lambda: P.projection_linf_ball(X, -1), "scale must be ≥ 0"),
    "bounds": (lambda: P.projection_box(TREE, {"w": 0.0}, 1.0), "lower must be a number or a tree"),
    "shapes": (lambda: P.projection_box(X, np.zeros(3), 1.0), "lower must have the shapes"),
    "planes": (lambda: P.projection_hyperplane(TREE, {"w": A[:6]}, 1.0), "x and a .* 'b' in the x"),
    "vectors": (lambda: P.projection_vector(X, A[:3]), "shapes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_raises(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("x", "expected"), [([-3.0], [-2.0]), ([0.0], [2.0]), ([-0.3, 0.4], [-1.2, 1.6])]
)
def test_the_nearest_point_of_a_small_sphere(x, expected):
    np.testing.assert_allclose(P.projection_l2_sphere(np.float32(x), 2.0), expected, rtol=1e-6)

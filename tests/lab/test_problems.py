"""Problems have the answers that they say they have."""

from __future__ import annotations

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from gdjax.lab import problems
from gdjax.lab.charlm import Shape, charlm

NAMES = [name for name in problems.PROBLEMS if name != "charlm_small"]  # charlm in another size
SMALL = Shape(layers=1, heads=2, width=16, context=16, batch=4)
KEY = jax.random.key(0)


def x64():
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # before jax 0.8

    return enable_x64()


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@functools.cache
def made(name):
    """The problem; one that takes long in a small size."""
    return charlm(shape=SMALL) if name == "charlm" else problems.problem(name)


@functools.cache
def start(name):
    """Parameters at the start; drawing random numbers is what takes long to compile."""
    return jax.jit(made(name).init)(KEY)


def lbfgs(problem):
    """Parameters and loss that scipy finds in the default precision."""
    at = problem.init(KEY)
    value_and_grad = jax.jit(jax.value_and_grad(lambda p: problem.loss(p, None)))

    def fun(x):
        value, grad = value_and_grad(jnp.asarray(x.reshape(at.shape), at.dtype))
        return float(value), np.asarray(grad, np.float64).ravel()

    options = {"maxiter": 3000, "maxfun": 10000, "ftol": 1e-16, "gtol": 1e-9}
    found = scipy.optimize.minimize(
        fun, np.asarray(at, np.float64).ravel(), jac=True, method="L-BFGS-B", options=options
    )
    return found.x.reshape(at.shape), found.fun


@pytest.mark.parametrize("name", NAMES)
def test_what_every_problem_promises(name):
    problem = made(name)
    assert problem.name == name
    assert problem.description
    assert problem.steps > 0
    assert problem.target > 0
    params = start(name)
    value, grad = jax.jit(jax.value_and_grad(problem.loss))(params, None)
    assert value.shape == ()
    assert value.dtype == jnp.float32
    assert problem.gap(value) > problem.target
    for p, g in zip(jax.tree.leaves(params), jax.tree.leaves(grad), strict=True):
        assert isinstance(p, jax.Array)
        assert (p.dtype, p.weak_type) == (jnp.float32, False)
        assert p.shape == g.shape
        assert jnp.isfinite(g).all()


@pytest.mark.parametrize("name", NAMES)
def test_vmap_agrees_with_the_loop(name):
    problem = made(name)
    several = [jax.tree.map(lambda p, i=i: i * p + 0.1, start(name)) for i in range(3)]
    stacked = jax.tree.map(lambda *ps: jnp.stack(ps), *several)
    loss = jax.jit(problem.loss)
    together = jax.jit(jax.vmap(problem.loss, in_axes=(0, None)))(stacked, None)
    np.testing.assert_allclose(together, [loss(p, None) for p in several], rtol=1e-5)
    keys = jax.eval_shape(lambda: jax.random.split(KEY, 3))
    shapes = jax.tree.map(jnp.shape, jax.eval_shape(jax.vmap(problem.init), keys))
    assert shapes == jax.tree.map(jnp.shape, stacked)


@pytest.mark.parametrize("name", NAMES)
def test_double_precision(name):
    problem = made(name)

    def everything(key):
        params = problem.init(key)
        batch = problem.batches(key)(3) if problem.batches else None
        metrics = problem.metrics(params) if problem.metrics else {}
        return params, jax.value_and_grad(problem.loss)(params, batch), metrics

    def dtypes():  # tracing tells
        return {x.dtype for x in jax.tree.leaves(jax.eval_shape(everything, KEY))}

    with x64():
        assert dtypes() == {np.dtype("float64")}
    # What was cached under one precision must not leak into the other.
    assert dtypes() == {np.dtype("float32")}


@pytest.mark.parametrize("name", ["parabola", "bowl", "quadratic", "rosenbrock"])
def test_the_minimizer_has_the_least_loss_and_no_gradient(name):
    with x64():
        problem = made(name)
        at = jnp.asarray(problem.minimizer)
        assert at.shape == problem.init(KEY).shape
        value, grad = jax.jit(jax.value_and_grad(problem.loss))(at)
        assert float(value) == problem.optimum
        assert np.abs(grad).max() == 0.0
        hessian = np.reshape(jax.jit(jax.hessian(problem.loss))(at), (at.size, at.size))
        assert np.linalg.eigvalsh(hessian).min() > 0


@pytest.mark.parametrize("name", ["parabola", "bowl", "quadratic"])
def test_one_newton_step_solves_a_quadratic(name):
    with x64():
        problem = made(name)
        x = problem.init(KEY)
        grad, hessian = jax.jit(
            lambda p: (jax.grad(problem.loss)(p), jax.hessian(problem.loss)(p))
        )(x)
        step = np.linalg.solve(np.reshape(hessian, (x.size, x.size)), np.ravel(grad))
        np.testing.assert_allclose(x - step.reshape(x.shape), problem.minimizer, atol=1e-12)


def test_formulas():
    assert problems.parabola().loss(jnp.float32(3.0)) == 9
    assert problems.bowl().loss(jnp.array([2.0, 3.0])) == 31
    assert problems.rosenbrock().loss(jnp.array([-1.2, 1.0])) == pytest.approx(24.2)


def test_rosenbrock_is_solved():
    with x64():
        problem = problems.rosenbrock()
        x, value = lbfgs(problem)
        assert problem.gap(value) < 1e-12
        np.testing.assert_allclose(x, problem.minimizer, atol=1e-6)


@pytest.mark.parametrize(("condition", "size"), [(1.0, 2), (100.0, 20), (1e6, 7)])
def test_quadratic_has_the_condition_asked_for(condition, size):
    with x64():
        problem = problems.quadratic(condition=condition, size=size)
        hessian = jax.jit(jax.hessian(problem.loss))(jnp.zeros(size))
        expected = np.geomspace(1 / condition, 1, size)
        np.testing.assert_allclose(np.linalg.eigvalsh(hessian), expected, rtol=1e-8)


def test_quadratic_starts_at_random_in_the_same_rotation():
    one, other = problems.quadratic(), problems.quadratic()
    start = one.init(jax.random.key(1))
    assert (start != other.init(jax.random.key(2))).all()
    assert one.loss(start) == other.loss(start)


@pytest.mark.parametrize(
    "arguments", [{"condition": 0.5}, {"condition": float("nan")}, {"size": 1}]
)
def test_quadratic_refuses(arguments):
    with pytest.raises(ValueError, match=f"quadratic: .*, got {next(iter(arguments.values()))}"):
        problems.quadratic(**arguments)


def test_digits_has_the_optimum_it_says():
    with x64():
        problem = problems.digits()
        w, value = lbfgs(problem)
        assert value == pytest.approx(0.2663469621, abs=1e-8)
        assert value == pytest.approx(problem.optimum, abs=1e-8)
        accuracy = problem.metrics(jnp.asarray(w))["test_accuracy"]
        assert round(float(accuracy), 4) == 0.9798


def test_digits_takes_a_batch():
    problem = problems.digits()
    loss = jax.jit(problem.loss)
    assert loss(start("digits"), None) == pytest.approx(np.log(10), rel=1e-6)
    x = np.eye(2, 64, dtype=np.float32)
    w = np.zeros((64, 10), np.float32)
    w[0, 3] = 2.0
    expected = np.mean([np.log(np.exp(2) + 9) - 2, np.log(10)]) + 0.5 * 1e-3 * 4
    assert loss(jnp.asarray(w), (x, np.array([3, 5]))) == pytest.approx(expected, rel=1e-6)


def test_network_batches_depend_on_key_and_step_alone():
    problem = problems.digits_network()
    draw = jax.jit(lambda key, steps: jax.vmap(problem.batches(key))(steps))
    x, y = draw(KEY, jnp.array([7, 8, 7]))
    assert (x.shape, y.shape) == ((3, 64, 64), (3, 64))
    np.testing.assert_array_equal(x[0], x[2])
    assert (y[0] != y[1]).any()
    assert (draw(jax.random.key(1), jnp.array([7, 8, 7]))[1][0] != y[0]).any()
    data, labels = problems.digits_data()[0]
    for row, label in zip(np.asarray(x[0]), np.asarray(y[0]), strict=True):
        assert label in labels[(data == row).all(axis=1)]


def test_network_computes_what_it_says():
    problem = problems.digits_network()
    params = start("digits_network")
    shapes = jax.tree.map(jnp.shape, params)
    assert shapes["hidden"] == {"kernel": (64, 32), "bias": (32,)}
    assert shapes["output"] == {"kernel": (32, 10), "bias": (10,)}
    assert float(jnp.std(params["hidden"]["kernel"])) == pytest.approx(1 / 8, rel=0.1)
    params = jax.tree.map(lambda p: p + 0.01, params)  # biases that count
    x, y = problems.digits_data()[0]
    hidden, output = (jax.tree.map(np.float64, params[k]) for k in ("hidden", "output"))
    z = np.tanh(x @ hidden["kernel"] + hidden["bias"]) @ output["kernel"] + output["bias"]
    expected = np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(1400), y])
    assert jax.jit(problem.metrics)(params)["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_network_learns():
    problem = problems.digits_network()
    batch = problem.batches(jax.random.key(1))

    def step(carry, t):
        params, velocity = carry
        grad = jax.grad(problem.loss)(params, batch(t))
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grad)
        return (jax.tree.map(lambda p, v: p - 0.3 * v, params, velocity), velocity), None

    @jax.jit
    def run(params):
        carry = params, jax.tree.map(jnp.zeros_like, params)
        (params, _), _ = jax.lax.scan(step, carry, jnp.arange(300))
        return problem.metrics(params)

    metrics = run(start("digits_network"))
    assert metrics["train_loss"] < problem.target
    assert metrics["test_accuracy"] > 0.95


def test_an_unknown_name_raises_with_the_nearest():
    with pytest.raises(ValueError, match="got 'rosenbrok'. Did you mean rosenbrock"):
        problems.problem("rosenbrok")
    with pytest.raises(ValueError, match="one of parabola, .*, got 'zzz'.$"):
        problems.problem("zzz")


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    problem = problems.digits()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    problems.digits_data.cache_clear()
    with pytest.raises(ImportError, match=r'pip install "gdjax\[lab\]"'):
        problem.loss(problem.init(KEY), None)

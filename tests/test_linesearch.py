"""Line searches and L-BFGS: known lines, failures, and what clients count on."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.run.minimize import minimize

from .oracles.rules import linesearch as rules


def spline(a):
    """A valley whose floor at 1 is rounded over 0.01 on each side."""
    rounded = 50.0 * (a - 1) ** 2 + 0.005
    return jnp.where(a <= 0.99, 1 - a, jnp.where(a >= 1.01, a - 1, rounded))


def gamma(b):
    return (1 + b**2) ** 0.5 - b


def yanai(b1, b2):
    return lambda a: gamma(b1) * jnp.sqrt((1 - a) ** 2 + b2**2) + gamma(b2) * jnp.sqrt(a**2 + b1**2)


# Moré and Thuente, Line search algorithms with guaranteed sufficient decrease, 1994, section 5:
# function, c₁, c₂.
LINES = {
    "5.1": (lambda a: -a / (a**2 + 2), 1e-3, 0.1),
    "5.2": (lambda a: (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4, 0.1, 0.1),
    "5.3": (lambda a: spline(a) + 1.98 / (39 * np.pi) * jnp.sin(19.5 * np.pi * a), 0.1, 0.1),
    "5.4": (yanai(1e-3, 1e-3), 1e-3, 1e-3),
    "5.5": (yanai(1e-2, 1e-3), 1e-3, 1e-3),
    "5.6": (yanai(1e-3, 1e-2), 1e-3, 1e-3),
}
STARTS = np.array([1e-3, 1e-1, 1e1, 1e3])


def search(tx, function, start=None, at=0.0, direction=1.0):
    """One search from a point of the real line, along it: the move and the state."""
    at, direction = jnp.asarray(at), jnp.asarray(direction)
    state = tx.init(at)
    if start is not None:
        state = state._replace(learning_rate=jnp.asarray(start))
    value, grad = jax.value_and_grad(function)(at)
    return tx.update(direction, state, at, value=value, grad=grad, value_fn=function)


class TestZoom:
    @pytest.mark.parametrize("approximate", [None, 1e-6])
    @pytest.mark.parametrize("name", LINES)
    def test_known_lines(self, name, approximate, x64):
        function, c1, c2 = LINES[name]
        options = {"slope_rtol": c1, "curv_rtol": c2, "approx_dec_rtol": approximate}
        tx = gd.scale_by_zoom_linesearch(40, **options, stepsize_precision=1e-9)
        eta, state = jax.jit(jax.vmap(lambda start: search(tx, function, start)))(STARTS)
        values, slopes = jax.vmap(jax.value_and_grad(function))(eta)
        old, slope = jax.value_and_grad(function)(0.0)
        decreased = values <= old + c1 * eta * slope
        if approximate is not None:
            close = values <= old + approximate * abs(old)
            decreased |= close & (slopes <= (2 * c1 - 1) * slope)
        assert np.all(decreased) and np.all(eta > 0)
        assert np.all(np.abs(slopes) <= c2 * abs(slope))
        assert np.all(state.info.num_linesearch_steps <= 32)
        np.testing.assert_allclose(state.value, values)
        np.testing.assert_allclose(state.grad, slopes, atol=1e-12)
        np.testing.assert_array_equal(state.learning_rate, eta)

        phi = lambda x: tuple(map(float, jax.value_and_grad(function)(x)))
        for start, found in zip(STARTS, eta):
            constants = {"c1": c1, "c2": c2, "eps": approximate, "precision": 1e-9}
            expected, _ = rules.search(phi, start, most=40, **constants)
            np.testing.assert_allclose(found, expected, rtol=1e-9)

    @pytest.mark.parametrize("eps, tol", [(0.02, 0.0), (0.2, 0.01), (None, 0.05)])
    @pytest.mark.parametrize("name", LINES)
    def test_approximate_conditions(self, name, eps, tol, x64):
        """An ε so great that the slopes decide, on the whole way and at its end."""
        function = lambda a: LINES[name][0](a) + 1.0
        constants = {"slope_rtol": 0.3, "curv_rtol": 0.4, "approx_dec_rtol": eps, "tol": tol}
        phi = lambda x: tuple(map(float, jax.value_and_grad(function)(x)))
        (old, slope), starts = phi(0.0), np.geomspace(1e-3, 1e3, 13)
        for most in (2, 30):
            tx = gd.scale_by_zoom_linesearch(most, **constants, stepsize_precision=1e-9)
            eta, state = jax.jit(jax.vmap(functools.partial(search, tx, function)))(starts)
            same = {"c1": 0.3, "c2": 0.4, "eps": eps, "tol": tol, "precision": 1e-9}
            expected = [rules.search(phi, x, most=most, **same) for x in starts]
            np.testing.assert_allclose(eta, [x for x, _ in expected], rtol=1e-9)
            info, end = state.info, [(x or last, *phi(x or last)) for x, last in expected]
            for x, f, df, decrease, steep in zip(*zip(*end), *info[1:]):
                exact = f - (old + 0.3 * x * slope + tol)
                if eps is not None:
                    exact = min(exact, max(f - (old + eps * abs(old)), df - (-0.4 * slope + tol)))
                np.testing.assert_allclose(decrease, max(exact, 0), atol=1e-12)
                np.testing.assert_allclose(
                    steep, max(abs(df) - 0.4 * abs(slope) - tol, 0), atol=1e-12
                )

    def test_steps_into_nowhere_are_shortened(self):
        function = lambda x: x - jnp.log(x)  # NaN for x < 0
        move, state = search(gd.scale_by_zoom_linesearch(20), function, at=3.0, direction=-10.0)
        assert 0 < 3 + move < 3 and state.value < function(3.0)

    def test_bound(self):
        tx = gd.scale_by_zoom_linesearch(20, max_learning_rate=2.5)
        move, state = search(tx, lambda x: -x)
        assert move == 2.5 and state.info.num_linesearch_steps == 3
        assert state.info.decrease_error == 0
        np.testing.assert_allclose(state.info.curvature_error, 0.1, rtol=1e-5)

    def test_end_of_steps_takes_the_lowest(self):
        tx = gd.scale_by_zoom_linesearch(3)
        move, state = search(tx, lambda x: -x)
        assert (move, state.value, state.info.num_linesearch_steps) == (4.0, -4.0, 3)

    def test_values_that_are_rounded(self):
        """A million above zero float32 sees no decrease below 0.06; slopes still lead."""
        function = lambda x: 1e6 + jnp.sum(jnp.array([1.0, 30.0]) * (x - 0.3) ** 2)
        ends = {}
        for approximate in (None, 1e-6):
            search = gd.scale_by_zoom_linesearch(20, approx_dec_rtol=approximate)
            tx = gd.lbfgs(linesearch=search)
            ends[approximate] = minimize(function, jnp.array([0.35, 0.31]), tx, 20).params
        assert np.abs(ends[1e-6] - 0.3).max() < 1e-5 < 1e-3 < np.abs(ends[None] - 0.3).max()

    def test_says_what_is_wrong(self):
        with pytest.raises(ValueError, match="max_linesearch_steps must be a Python integer"):
            gd.scale_by_zoom_linesearch(0)
        with pytest.raises(ValueError, match='must be "keep" or "one", got last'):
            gd.scale_by_zoom_linesearch(5, initial_guess_strategy="last")


SEARCHES = {
    "zoom": gd.scale_by_zoom_linesearch(6),
    "backtracking": gd.scale_by_backtracking_linesearch(6, store_grad=True),
}


@pytest.mark.parametrize("name", SEARCHES)
class TestBoth:
    def test_no_length_no_step(self, name):
        """|x| falls at the start as the gradient says, but at no length that is tried."""
        function = lambda x: jnp.where(x == 0, -x, jnp.abs(x) + 1.0)
        tx = SEARCHES[name]
        move, state = search(tx, function)
        assert move == 0 and state.value == 0 and state.grad == -1
        assert state.info.decrease_error > 1 and 0 < state.learning_rate < 0.3
        _, later = tx.update(
            jnp.ones([]),
            state,
            jnp.zeros([]),
            value=state.value,
            grad=state.grad,
            value_fn=function,
        )
        assert later.learning_rate < 0.5 * state.learning_rate  # it goes on from there

    @pytest.mark.parametrize("direction", [-1.0, 0.0])
    def test_uphill_and_nowhere(self, name, direction):
        move, state = search(SEARCHES[name], lambda x: -x, at=0.5, direction=direction)
        assert move == 0 and state.value == -0.5 and state.grad == -1
        assert state.info.num_linesearch_steps == 0 and state.learning_rate == 1
        assert state.info.decrease_error == -direction

    def test_lengths_too_small_begin_again(self, name):
        _, state = search(SEARCHES[name], lambda x: (x - 1) ** 2, start=1e-37)
        assert state.learning_rate > 0.1

    def test_nan_stays_where_it_is(self, name):
        move, _ = search(SEARCHES[name], lambda x: jnp.nan * x)
        assert move == 0

    def test_arguments_of_the_function(self, name):
        fit = lambda params, x, y: jnp.sum((params * x - y) ** 2)
        tx, w = gd.chain(gd.sgd(1.0), SEARCHES[name]), jnp.array([1.0, 2.0, 3.0])
        x, y = jnp.array([3.0, 2.0, 1.0]), jnp.zeros(3)

        @jax.jit
        def step(w, state, x, y):
            value, grad = jax.value_and_grad(fit)(w, x, y)
            extra = {"value": value, "grad": grad, "value_fn": fit, "x": x, "y": y}
            return tx.step(grad, state, w, **extra, unknown=1.0)

        state = tx.init(w)
        for _ in range(5):
            w, state = step(w, state, x, y)
        assert fit(w, x, y) < 10 < 34 and step._cache_size() == 1

    def test_needs(self, name):
        tx, x = SEARCHES[name], jnp.ones(2)
        with pytest.raises(TypeError, match="needs the extra argument 'value'"):
            tx.update(x, tx.init(x), x)
        with pytest.raises(ValueError, match="needs the parameters"):
            tx.update(x, tx.init(x), value=1.0, grad=x, value_fn=jnp.sum)
        with pytest.raises(TypeError, match="value_fn must be the function"):
            tx.update(x, tx.init(x), x, value=1.0, grad=x, value_fn=x)

    def test_prints(self, name, capsys):
        search(SEARCHES[name].replace(verbose=True), lambda x: (x - 1) ** 2)
        jax.effects_barrier()
        assert "learning rate 1.0, loss 1.0 to 0.0" in capsys.readouterr().out

    def test_what_has_no_gradient(self, name):
        """None, integers and keys stay; a leaf without an update stays and keeps its gradient."""
        params = {"a": jnp.ones(2), "b": jnp.ones(2), "n": jnp.arange(2), "none": None}
        function = lambda p: jnp.sum((p["a"] * p["b"]) ** 2) + 0.0 * p["n"][1].astype(float)
        tx = SEARCHES[name]
        grads = {**jax.tree.map(jnp.ones_like, params), "n": None}
        updates = {"a": -grads["a"], "b": None, "n": None, "none": None}
        extra = {"value": 2.0, "grad": grads, "value_fn": function}
        updates, state = tx.update(updates, tx.init(params), params, **extra)
        assert updates["b"] is None and np.all(updates["a"] < 0)
        assert state.grad["n"] is None and state.grad["b"].shape == (2,)


class TestBacktracking:
    def test_how_often(self):
        for most, tried in ((0, 1), (3, 4)):
            tx = gd.scale_by_backtracking_linesearch(most)
            _, state = search(tx, lambda x: 100.0 * x**2, at=1.0, direction=-200.0)
            assert state.info.num_linesearch_steps == tried and state.grad is None
            np.testing.assert_allclose(state.learning_rate, 0.8**most, rtol=1e-6)

    def test_from_the_greatest_each_time(self):
        tx = gd.scale_by_backtracking_linesearch(5, increase_factor=np.inf, max_learning_rate=3.0)
        assert search(tx, lambda x: -x, start=0.01)[0] == 3

    def test_tolerance_of_a_negative_loss(self):
        tx = gd.scale_by_backtracking_linesearch(5, rtol=0.5)
        assert search(tx, lambda x: 2 * (x - 1) ** 2 - 4, direction=2.2)[0] == 2.2

    def test_says_what_is_wrong(self):
        with pytest.raises(ValueError, match="max_backtracking_steps must be a Python integer"):
            gd.scale_by_backtracking_linesearch(-1)


def valley(x):
    return jnp.sum((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2)


class TestLBFGS:
    @pytest.mark.parametrize("size", [2, 6])
    def test_is_as_good_as_scipy(self, size, x64):
        from scipy.optimize import minimize as scipy_minimize

        start = jnp.tile(jnp.array([-1.2, 1.0]), size // 2)
        value_and_grad = jax.jit(jax.value_and_grad(valley))
        options = {"maxcor": 10, "gtol": 1e-8, "ftol": 0.0}
        theirs = scipy_minimize(value_and_grad, start, jac=True, method="L-BFGS-B", options=options)
        ours = minimize(valley, start, gd.lbfgs(), 200, tolerance=1e-8)
        assert int(ours.status) == gd.Status.CONVERGED
        np.testing.assert_allclose(ours.params, theirs.x, rtol=1e-6)
        assert int(ours.steps) <= 1.15 * theirs.nit

    def test_the_memory_is_forgotten_when_nothing_moved(self):
        tx, x = gd.scale_by_lbfgs(3), jnp.array([1.0, 2.0])
        state = tx.init(x)
        for _ in range(4):
            _, state = tx.update(jnp.array([1.0, 5.0]) * x, state, x)
            x = x - 0.1
        assert np.all(state.weights_memory > 0)
        grad = jnp.array([0.3, 0.4])
        u, state = tx.update(grad, state, x + 0.1)
        assert np.all(state.weights_memory == 0)
        np.testing.assert_allclose(u, grad)  # shorter than 1: as it is
        u, _ = tx.update(10 * grad, state, x + 0.1)
        np.testing.assert_allclose(u, grad / 0.5, rtol=1e-6)

    def test_a_step_of_negative_curvature_is_passed_over(self):
        tx, x = gd.scale_by_lbfgs(3), jnp.zeros(2)
        _, state = tx.update(jnp.array([1.0, 1.0]), tx.init(x), x)
        _, state = tx.update(jnp.array([2.0, 1.0]), state, x + 0.5)  # ⟨s, y⟩ = 0.5
        u, state = tx.update(jnp.array([1.0, 0.5]), state, x + 1.0)  # ⟨s, y⟩ < 0
        np.testing.assert_allclose(state.weights_memory, [2.0, 0.0, 0.0])
        assert u @ jnp.array([1.0, 0.5]) > 0

    def test_traced_once(self):
        """optax is compiled twice: the first step changes weak types in the state."""
        tx, traces = gd.lbfgs(), []

        @jax.jit
        def step(x, state):
            traces.append(None)
            value, grad = jax.value_and_grad(valley)(x)
            return tx.step(grad, state, x, value=value, grad=grad, value_fn=valley)

        x = jnp.array([-1.2, 1.0])
        state = tx.init(x)
        for _ in range(40):
            x, state = step(x, state)
        assert len(traces) == 1 and valley(x) < 1e-6

    def test_vmap(self, x64):
        starts = jnp.array([[-1.2, 1.0], [0.5, 2.0], [1.0, 1.0]])
        run = lambda start: minimize(valley, start, gd.lbfgs(), 25, tolerance=1e-3)
        many = jax.vmap(run)(starts)
        for i, start in enumerate(starts):
            one = run(start)
            assert int(many.steps[i]) == int(one.steps)
            np.testing.assert_allclose(many.params[i], one.params, rtol=1e-8, atol=1e-8)

    def test_complex(self):
        """One complex number is two real ones."""
        point = np.array([1.0 + 2.0j, -0.5j])
        scale = jnp.array([1.0, 20.0])
        function = lambda z: jnp.sum(scale * ((z - point).real ** 4 + (z - point).imag ** 2))
        of_reals = lambda x: function(jax.lax.complex(x[0], x[1]))
        tx = gd.lbfgs()
        ours = minimize(function, jnp.zeros(2, complex), tx, 15, keep="path").history.params
        reals = minimize(of_reals, jnp.zeros((2, 2)), tx, 15, keep="path").history.params
        reals = np.asarray(reals)
        np.testing.assert_allclose(ours[:8], reals[:8, 0] + 1j * reals[:8, 1], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(ours[-1], point, atol=0.05)

    def test_says_what_is_wrong(self):
        with pytest.raises(ValueError, match="memory_size must be a Python integer"):
            gd.lbfgs(memory_size=0)
        with pytest.raises(ValueError, match="needs the parameters"):
            gd.scale_by_lbfgs().update(jnp.ones(2), gd.scale_by_lbfgs().init(jnp.ones(2)))

    def test_parts(self):
        ours = gd.lbfgs(0.5, 3)
        search = gd.scale_by_zoom_linesearch(20, initial_guess_strategy="one")
        assert ours == gd.lbfgs(0.5, 3, True, search)
        assert ours.extra_args == {"value": True, "grad": True, "value_fn": True}
        assert gd.state.find(ours.init(jnp.ones(2)), "weights_memory").shape == (3,)


class TestFromState:
    @pytest.mark.parametrize("name", SEARCHES)
    def test_is_value_and_grad(self, name):
        calls = []

        def counted(x):
            jax.debug.callback(lambda: calls.append(None))
            return valley(x)

        tx = gd.chain(gd.sgd(1e-3), SEARCHES[name])
        from_state = gd.value_and_grad_from_state(counted)

        @jax.jit
        def step(x, state):
            value, grad = from_state(x, state=state)
            out = tx.step(grad, state, x, value=value, grad=grad, value_fn=valley)
            return *out, value, grad

        x = jnp.array([-1.2, 1.0])
        state = tx.init(x)
        for _ in range(4):
            expected = jax.value_and_grad(valley)(x)
            x, state, *found = step(x, state)
            for a, b in zip(found, expected):
                np.testing.assert_allclose(a, b, rtol=1e-5)
        jax.effects_barrier()
        assert len(calls) == 1  # before the first step

    def test_complex(self):
        function = lambda z: jnp.sum(jnp.abs(z - 1j) ** 2)
        tx, z = gd.lbfgs(), jnp.ones(2, complex)
        value_and_grad = gd.value_and_grad_from_state(function)
        state = tx.init(z)
        for _ in range(2):
            value, grad = value_and_grad(z, state=state)
            expected = jax.value_and_grad(function)(z)
            np.testing.assert_allclose(value, expected[0], atol=1e-6)
            np.testing.assert_allclose(grad, expected[1], atol=1e-6)
            up = grad.conj()
            z, state = tx.step(up, state, z, value=value, grad=up, value_fn=function)

    def test_says_what_is_wrong(self):
        value_and_grad, x = gd.value_and_grad_from_state(valley), jnp.ones(2)
        with pytest.raises(KeyError, match="must hold one line search, got 0"):
            value_and_grad(x, state=gd.sgd(0.1).init(x))
        with pytest.raises(ValueError, match="store_grad=True"):
            value_and_grad(x, state=gd.scale_by_backtracking_linesearch(3).init(x))


class TestClients:
    @pytest.fixture(autouse=True)
    def standard(self):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            yield

    def test_optimistix(self):
        optimistix = pytest.importorskip("optimistix")
        solver = optimistix.OptaxMinimiser(gd.lbfgs(), rtol=1e-5, atol=1e-5)
        solution = optimistix.minimise(lambda x, args: valley(x), solver, jnp.array([-1.2, 1.0]))
        np.testing.assert_allclose(solution.value, 1.0, atol=1e-3)

    def test_optax(self):
        optax = pytest.importorskip("optax")
        search = gd.scale_by_zoom_linesearch(20, initial_guess_strategy="one")
        start = jnp.array([-1.2, 1.0])
        pure = minimize(valley, start, gd.lbfgs(), 40)
        for tx in (
            gd.chain(optax.scale_by_lbfgs(), optax.scale(-1.0), search),
            gd.lbfgs(linesearch=optax.scale_by_zoom_linesearch(20, initial_guess_strategy="one")),
        ):
            ours = minimize(valley, start, tx, 40)
            np.testing.assert_allclose(ours.params, pure.params, atol=1e-3)
        state, theirs = gd.lbfgs().init(start), optax.lbfgs().init(start)
        assert [type(s).__name__ for s in state] == [type(s).__name__ for s in theirs]
        assert [s._fields for s in state] == [s._fields for s in theirs]

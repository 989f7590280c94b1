"""L-BFGS."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.run.minimize import minimize
from tests.cases import Row
from tests.optimizers.line_search.lines import bowl, of_problem, valley
from tests.optimizers.line_search.test_zoom_linesearch import zoom
from tests.oracles import problem
from tests.references import Agree, recorded, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.lbfgs(1.0, memory_size=4), bowl(1)),
    Row(gd.lbfgs(linesearch=None), label="lbfgs-direction"),
    Row(gd.scale_by_lbfgs(3)),
]


def quasi_newton(memory, scale_init=True):
    """−H·g with H by (7.17) to (7.19) of Nocedal and Wright, as a matrix: no two loops.

    The last `memory` steps count; of these, one is left out if ⟨s, y⟩ is not positive to rounding.
    Before there is any, γ = min(1, 1/‖g‖) (or 1, not scaled). A step of length 0 empties it.
    """
    pairs, last = [], None

    def direction(theta, g):
        nonlocal last, pairs
        if last is not None:
            s, y = theta - last[0], g - last[1]
            pairs = [*pairs, (s, y)][-memory:] if s.any() else []
        last = theta, g
        eps = np.finfo(np.float64).eps
        good = [(s, y) for s, y in pairs if s @ y > eps * np.linalg.norm(s) * np.linalg.norm(y)]
        identity = np.eye(len(g))
        if not scale_init:
            h = identity
        elif good:
            s, y = good[-1]
            h = (s @ y) / (y @ y) * identity
        else:
            h = min(1.0, 1.0 / np.linalg.norm(g)) * identity
        for s, y in good:
            rho = 1.0 / (s @ y)
            v = identity - rho * np.outer(y, s)
            h = v.T @ h @ v + rho * np.outer(s, s)
        return -h @ g

    return direction


def lbfgs(gradient, theta0, steps, *, eta, memory, scale_init=True):
    """L-BFGS with lengths that are given, θ ← θ − ηHg."""
    direction = quasi_newton(memory, scale_init)

    def step(theta, t):
        return theta + at(eta, t) * direction(theta, gradient(theta, t))

    return trajectory(theta0, steps, step)


# torch makes its first step min(1, 1/|g|₁)·g long, here it is min(1, 1/‖g‖₂)·g.
_g = problem.gradient(problem.start(), 0)

FIRST = max(1.0, np.linalg.norm(_g)) / max(1.0, np.abs(_g).sum())


def torch_rate(t):
    return 0.7 * jnp.where(t == 0, FIRST, 1.0)


def newton():
    return quasi_newton(4)


AGREE = {
    "torch-lbfgs": Agree(
        gd.lbfgs(torch_rate, 60, linesearch=None), recorded("linesearch", "torch/lbfgs")
    ),
    "lbfgs-rate": Agree(gd.lbfgs(0.3, 3, linesearch=None), rule(lbfgs, eta=0.3, memory=3)),
    "lbfgs-identity": Agree(
        gd.chain(gd.scale_by_lbfgs(60, False), gd.scale_by_learning_rate(0.5)),
        rule(lbfgs, eta=0.5, memory=60, scale_init=False),
    ),
    "lbfgs-zoom": Agree(
        gd.lbfgs(memory_size=4),
        rule(zoom, loss=problem.loss, direction=newton, keep=False, most=20),
        extra=of_problem,
    ),
}


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

    def test_a_step_across_the_change_of_the_gradient_is_passed_over(self):
        """⟨s, y⟩ is rounding where it is less than eps·‖s‖·‖y‖, here 1.2e-4."""
        tx, x = gd.scale_by_lbfgs(3), jnp.zeros(2)
        for along, weights in ((1e-5, [0, 0, 0]), (1e-3, [1e3, 0, 0])):
            _, state = tx.update(jnp.zeros(2), tx.init(x), x)
            grad, moved = jnp.array([along / 100, 10.0]), x + jnp.array([100.0, 0.0])
            _, state = tx.update(grad, state, moved)
            np.testing.assert_allclose(state.weights_memory, weights, rtol=1e-5)

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


@pytest.mark.usefixtures("standard")
class TestClients:
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

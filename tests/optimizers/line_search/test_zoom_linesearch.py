"""The zoom line search."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.run.minimize import minimize
from tests.cases import Row
from tests.helpers import first
from tests.optimizers.line_search.lines import bowl, downhill, momentum, of_problem, one_search
from tests.oracles import problem
from tests.references import Agree, rule
from tests.transcription import at, trajectory

ROWS = [
    Row(gd.scale_by_zoom_linesearch(20, 5.0), bowl(-1)),
    Row(
        gd.chain(gd.sgd(0.1), gd.scale_by_zoom_linesearch(20, approx_dec_rtol=None)),
        bowl(1),
        label="chain-zoom",
    ),
]


def evaluated(function):
    """Value and slope of a function of one number, as Python's numbers."""
    program = jax.jit(jax.value_and_grad(function))
    return lambda x: tuple(map(float, program(x)))


class Ended(Exception):
    """The search has used up its steps."""


def cubic(a, b):
    """(3.59), the minimum of the cubic through points (η, φ, φ′) a and b, or the middle."""
    (x, f, df), (z, h, dh) = a, b
    middle = 0.5 * (x + z)
    d1 = df + dh - 3 * (f - h) / (x - z)
    inside = d1**2 - df * dh
    if not inside >= 0:
        return middle
    d2 = np.sign(z - x) * np.sqrt(inside)
    found = z - (z - x) * (dh + d2 - d1) / (dh - df + 2 * d2)
    return found if 0.1 < (found - x) / (z - x) < 0.9 else middle


def search(
    phi,
    eta,
    *,
    most,
    longest=np.inf,
    tol=0.0,
    longer=2.0,
    c1=1e-4,
    c2=0.9,
    eps=1e-6,
    precision=1e-5,
):
    """Algorithms 3.5 and 3.6; returns the length taken (0 if none) and the last one tried.

    A point that fulfils the conditions ends the search at once. With ε the first condition may be
    replaced by Hager and Zhang's, and values nearer to φ(0) than ε|φ(0)| are not compared.
    """
    f0, df0 = phi(0.0)
    tried, low = [], (0.0, f0, df0)

    def at_(x):
        if len(tried) == most:
            raise Ended
        f, df = phi(x)
        tried.append(x)
        return x, f, df

    def good(p):
        x, f, df = p
        decreased = f <= f0 + c1 * x * df0 + tol
        if eps is not None and f <= f0 + eps * abs(f0) and df <= (2 * c1 - 1) * df0 + tol:
            decreased = True
        return decreased and abs(df) <= c2 * abs(df0) + tol

    def high(p, low):
        x, f, df = p
        if eps is not None and abs(f - f0) <= eps * abs(f0):
            return False
        return f > f0 + c1 * x * df0 + tol or (low[0] > 0 and f >= low[1])

    try:
        if df0 >= 0:
            return 0.0, None
        x = min(eta, longest)
        while True:  # algorithm 3.5
            p = at_(x)
            if good(p):
                return x, x
            if high(p, low):
                low, other = low, p
                break
            if p[2] >= 0:
                low, other = p, low
                break
            low = p
            if x >= longest:
                return x, x
            x = min(longer * x, longest)
        while not (abs(other[0] - low[0]) <= precision and low[0] > 0):  # algorithm 3.6
            p = at_(cubic(low, other))
            if good(p):
                return p[0], p[0]
            if high(p, low):
                other = p
            else:
                if p[2] * (other[0] - low[0]) >= 0:
                    other = low
                low = p
    except Ended:
        pass
    return low[0], (low[0] if low[0] > 0 else tried[-1])


def zoom(gradient, theta0, steps, *, loss, eta=1.0, direction=downhill, keep=True, **constants):
    """Descent along u = eta·direction by lengths that fulfil the strong Wolfe conditions."""
    kept, direction = 1.0, direction()

    def step(theta, t):
        nonlocal kept
        u = at(eta, t) * direction(theta, gradient(theta, t))
        phi = lambda x: (loss(theta + x * u, t), gradient(theta + x * u, t) @ u)  # noqa: E731
        length, last = search(phi, kept if keep else 1.0, **constants)
        kept = kept if last is None else last
        return theta + length * u

    return trajectory(theta0, steps, step)


def agree(options, tx=None, **arguments):
    tx = gd.sgd(arguments["eta"]) if tx is None else tx
    tx = gd.chain(tx, gd.scale_by_zoom_linesearch(**options))
    return Agree(tx, rule(zoom, loss=problem.loss, **arguments), extra=of_problem)


AGREE = {
    "zoom": agree({"max_linesearch_steps": 20}, eta=0.05, most=20),
    "zoom-steep": agree({"max_linesearch_steps": 20, "curv_rtol": 0.1}, eta=30.0, most=20, c2=0.1),
    "zoom-exact": agree(
        dict(
            max_linesearch_steps=12,
            increase_factor=3.0,
            slope_rtol=0.2,
            curv_rtol=0.3,
            approx_dec_rtol=None,
            initial_guess_strategy="one",
        ),
        eta=0.1,
        keep=False,
        most=12,
        longer=3.0,
        c1=0.2,
        c2=0.3,
        eps=None,
    ),
    "zoom-bounded": agree(
        dict(
            max_linesearch_steps=20,
            max_learning_rate=1.5,
            tol=0.02,
            slope_rtol=0.4,
            curv_rtol=0.5,
            approx_dec_rtol=0.05,
        ),
        eta=0.3,
        most=20,
        longest=1.5,
        tol=0.02,
        c1=0.4,
        c2=0.5,
        eps=0.05,
    ),
    "zoom-short": agree(
        dict(max_linesearch_steps=3, curv_rtol=0.02, approx_dec_rtol=None),
        eta=8.0,
        most=3,
        c2=0.02,
        eps=None,
    ),
    "zoom-coarse": agree(
        dict(max_linesearch_steps=20, curv_rtol=0.001, stepsize_precision=0.3),
        eta=1.0,
        most=20,
        c2=0.001,
        precision=0.3,
    ),
    "zoom-momentum": agree(
        {"max_linesearch_steps": 6},
        gd.sgd(0.3, 0.9),
        eta=0.3,
        direction=momentum,
        most=6,
    ),
}


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


class TestZoom:
    @pytest.mark.parametrize("approximate", first(1, [None, 1e-6]))
    @pytest.mark.parametrize("name", LINES)
    def test_known_lines(self, name, approximate, x64):
        function, c1, c2 = LINES[name]
        options = {"slope_rtol": c1, "curv_rtol": c2, "approx_dec_rtol": approximate}
        tx = gd.scale_by_zoom_linesearch(40, **options, stepsize_precision=1e-9)
        eta, state = jax.jit(jax.vmap(lambda start: one_search(tx, function, start)))(STARTS)
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

        phi = evaluated(function)
        for start, found in zip(STARTS, eta):
            constants = {"c1": c1, "c2": c2, "eps": approximate, "precision": 1e-9}
            expected, _ = search(phi, start, most=40, **constants)
            np.testing.assert_allclose(found, expected, rtol=1e-9)

    @pytest.mark.parametrize(
        "function, tol, approximate",
        [
            (lambda x: x * (x - 0.95), 0.1, None),  # 0.05 above the line
            (lambda x: 1000 - x + 15.5 * x**2 - 9.5 * x**3, 1.0, 0.01),  # a slope 0.5 too steep
        ],
        ids=["value", "slope"],
    )
    def test_what_is_too_large_by_less_than_tol_is_taken(self, function, tol, approximate):
        tx = gd.scale_by_zoom_linesearch(5, curv_rtol=jnp.inf, approx_dec_rtol=approximate)
        _, state = one_search(tx.replace(tol=tol), function)
        assert state.learning_rate == 1 and state.info.num_linesearch_steps == 1
        assert one_search(tx, function)[1].info.num_linesearch_steps > 1

    @pytest.mark.parametrize("bounds", first(1, [(0.02, 0.0), (0.2, 0.01), (None, 0.05)]), ids=str)
    @pytest.mark.parametrize("name", LINES)
    def test_approximate_conditions(self, name, bounds, x64):
        """An ε so great that the slopes decide, on the whole way and at its end."""
        function, (eps, tol) = lambda a: LINES[name][0](a) + 1.0, bounds
        constants = {"slope_rtol": 0.3, "curv_rtol": 0.4, "approx_dec_rtol": eps, "tol": tol}
        phi = evaluated(function)
        (old, slope), starts = phi(0.0), np.geomspace(1e-3, 1e3, 13)
        for most in (2, 30):
            tx = gd.scale_by_zoom_linesearch(most, **constants, stepsize_precision=1e-9)
            eta, state = jax.jit(jax.vmap(functools.partial(one_search, tx, function)))(starts)
            same = {"c1": 0.3, "c2": 0.4, "eps": eps, "tol": tol, "precision": 1e-9}
            expected = [search(phi, x, most=most, **same) for x in starts]
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
        move, state = one_search(gd.scale_by_zoom_linesearch(20), function, at=3.0, direction=-10.0)
        assert 0 < 3 + move < 3 and state.value < function(3.0)

    def test_bound(self):
        tx = gd.scale_by_zoom_linesearch(20, max_learning_rate=2.5)
        move, state = one_search(tx, lambda x: -x)
        assert move == 2.5 and state.info.num_linesearch_steps == 3
        assert state.info.decrease_error == 0
        np.testing.assert_allclose(state.info.curvature_error, 0.1, rtol=1e-5)

    def test_end_of_steps_takes_the_lowest(self):
        tx = gd.scale_by_zoom_linesearch(3)
        move, state = one_search(tx, lambda x: -x)
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

    @pytest.mark.parametrize("last", [0.25, 4.0])
    def test_a_search_of_one_step_that_fails_keeps_the_step_size_that_it_tried(self, last):
        tx = gd.scale_by_zoom_linesearch(1, initial_guess_strategy="one")
        move, state = one_search(tx, lambda x: (x - 0.3) ** 2, start=last)
        assert (move, state.learning_rate) == (0, 1)

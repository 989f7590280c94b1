"""A run in one compiled scan has the numbers of a loop written by hand, and stops as it should."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.run.minimize import minimize  # the function; the module has its name
from tests.helpers import close as same
from tests.helpers import first

START = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
POINTS = jnp.linspace(-1.0, 1.0, 14).reshape(7, 2)
TARGETS = jnp.linspace(0.0, 1.0, 7)
STEPS = 30


def quadratic(params):
    return jnp.sum(params["w"] ** 2) + 0.5 * (params["b"] - 1.0) ** 2 + params["b"] * params["w"][0]


def fit(params, batch):
    x, y = batch
    return jnp.mean((jnp.sum(x * params["w"][None], axis=1) + params["b"] - y) ** 2)


def square(x):
    return jnp.sum(x**2)


close = functools.partial(same, rtol=1e-5, atol=1e-6)


def at(tree, i):
    """The i-th of a batch of trees."""
    return jax.tree.map(lambda x: x[i], tree)


def loop(fun, params, tx, steps, batch=lambda i: ()):
    """What `minimize` does, step by step."""
    value_and_grad = jax.jit(jax.value_and_grad(fun))
    state, losses, path = tx.init(params), [], [params]
    for i in range(steps):
        loss, grads = value_and_grad(params, *batch(i))
        updates, state = tx.update(grads, state, params, value=loss)
        params = gd.apply_updates(params, updates)
        losses.append(loss)
        path.append(params)
    return params, state, jnp.stack(losses), path


# One row of points a step; the seven of them are gone through again and again.
BATCHES = {
    "none": (quadratic, None, lambda i: ()),
    "arrays": (
        fit,
        (POINTS[:, None], TARGETS[:, None]),
        lambda i: ((POINTS[i % 7][None], TARGETS[i % 7][None]),),
    ),
    "function": (
        fit,
        lambda i: (POINTS[(2 * i) % 7][None], TARGETS[(2 * i) % 7][None]),
        lambda i: ((POINTS[(2 * i) % 7][None], TARGETS[(2 * i) % 7][None]),),
    ),
}


class TestEqualsLoop:
    @pytest.mark.parametrize("kind", first(1, BATCHES))
    @pytest.mark.parametrize(
        "tx",
        [gd.adam(0.1), gd.momentum(0.2, decay=0.8), gd.sgd(gd.linear_schedule(0.1, 0.0, 20), 0.5)],
        ids=repr,
    )
    def test_numbers(self, kind, tx):
        fun, batches, batch = BATCHES[kind]
        params, state, losses, path = loop(fun, START, tx, STEPS, batch)
        result = minimize(fun, START, tx, STEPS, batches=batches, keep="path")
        close(result.params, params)
        close(result.state, state)
        close(result.history.loss, losses)
        close(result.history.params, jax.tree.map(lambda *p: jnp.stack(p), *path))
        assert result.history.aux is None
        assert (int(result.status), int(result.steps)) == (gd.Status.STEPS, STEPS)
        assert result.status.dtype == result.steps.dtype == jnp.int32
        plain = minimize(fun, START, tx, STEPS, batches=batches)
        close(plain.params, params)
        assert plain.history.params is None

    def test_one_step(self):
        result = minimize(square, jnp.array([1.0, 2.0]), gd.sgd(0.25), 1, keep="path")
        close(result.history.params, jnp.array([[1.0, 2.0], [0.5, 1.0]]))
        close(result.history.loss, jnp.array([5.0]))

    def test_aux(self):
        def fun(params, batch=None):
            return quadratic(params), {"b": params["b"], "n": jnp.arange(2)}

        params, state, losses, path = loop(quadratic, START, gd.adam(0.1), 5)
        result = minimize(fun, START, gd.adam(0.1), 5, has_aux=True)
        close(result.params, params)
        close(result.history.loss, losses)
        close(result.history.aux["b"], jnp.stack([p["b"] for p in path[:-1]]))
        assert result.history.aux["n"].shape == (5, 2)

    def test_a_transformation_of_optax(self):
        optax = pytest.importorskip("optax")  # the extra [test] has it
        tx = gd.adamw(0.1, b2=0.9)  # at 0.999 the bias correction of optax loses four digits
        ours = minimize(quadratic, START, tx, STEPS)
        with jax.numpy_dtype_promotion("standard"):  # which optax counts on
            theirs = minimize(quadratic, START, optax.adamw(0.1, b2=0.9), STEPS)
            polyak = minimize(square, jnp.ones(2), optax.polyak_sgd(), 3)  # it needs `value`
        close(ours.params, theirs.params)
        close(ours.history.loss, theirs.history.loss)
        close(polyak.history.loss, 2.0 * 0.25 ** jnp.arange(3.0))

    def test_extra_arguments_are_given(self):
        @gd.transformation
        def looks_at_all(rate: gd.Hyperparam):
            def update(updates, state, params=None, *, value, grad, value_fn, **extra):
                ahead = value_fn(params) / value  # one
                return jax.tree.map(lambda g: -rate * ahead * g, grad), state

            return lambda params: gd.EmptyState(), update

        for fun, kwargs in (
            (square, {}),
            (lambda x: (square(x), None), {"has_aux": True}),
            (lambda x, y: square(x) * y, {"batches": jnp.ones(3)}),
        ):
            result = minimize(fun, jnp.ones(2), looks_at_all(0.25), 4, **kwargs)
            close(result.history.loss, 2.0 * 0.25 ** jnp.arange(4.0))

    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
    def test_dtypes(self, dtype):
        start = jax.tree.map(lambda x: x.astype(dtype), START)
        result = minimize(quadratic, start, gd.adam(0.1), 5, keep="path")
        assert {x.dtype for x in jax.tree.leaves(result.params)} == {jnp.dtype(dtype)}
        params, _, losses, _ = loop(quadratic, start, gd.adam(0.1), 5)
        close(result.params, params, rtol=2e-2)
        assert result.history.loss.dtype == losses.dtype


class TestStops:
    def test_at_the_tolerance(self):
        # |∇| = 2x halves with every step: 2, 1, 0.5, 0.25; the first one at most 0.5 is not taken.
        result = minimize(square, jnp.array(1.0), gd.sgd(0.25), 10, tolerance=0.5, keep="path")
        assert (int(result.status), int(result.steps)) == (gd.Status.CONVERGED, 2)
        assert float(result.params) == 0.25
        expected = [1.0, 0.5, 0.25] + 8 * [0.25]
        close(result.history.params, jnp.array(expected))
        close(result.history.loss, jnp.array(expected[:-1]) ** 2)
        none = minimize(square, jnp.array(1.0), gd.sgd(0.25), 2, tolerance=0.5)
        assert (int(none.status), int(none.steps)) == (gd.Status.STEPS, 2)  # not looked at again

    def test_the_state_stays(self):
        tx = gd.chain(
            gd.adam(0.1), gd.scale_by_schedule(lambda step: 1.0 - 0.01 * step.astype(float))
        )
        result = minimize(quadratic, START, tx, 60, tolerance=0.7)
        taken = int(result.steps)
        assert 1 < taken < 60 and int(result.status) == gd.Status.CONVERGED
        params, state, losses, _ = loop(quadratic, START, tx, taken)
        close(result.params, params)
        close(result.state, state)
        grads = jax.grad(quadratic)(result.params)
        assert float(gd.global_norm(grads)) <= 0.7
        close(result.history.loss[:taken], losses)
        close(result.history.loss[taken:], jnp.full(60 - taken, quadratic(result.params)))

    def test_at_the_start(self):
        result = minimize(square, jnp.zeros(2), gd.adam(0.1), 3, tolerance=0.0, keep="path")
        assert (int(result.status), int(result.steps)) == (gd.Status.CONVERGED, 0)
        close(result.history.params, jnp.zeros((4, 2)))
        close(result.state, gd.adam(0.1).init(jnp.zeros(2)))

    def test_when_it_diverges(self):
        # x ← −5x: 25ᵗ leaves float32 between steps 27 and 28.
        result = minimize(square, jnp.array(1.0), gd.sgd(3.0), 60, keep="path")
        assert int(result.status) == gd.Status.DIVERGED
        losses = np.asarray(result.history.loss)
        first = int(np.argmin(np.isfinite(losses)))
        assert int(result.steps) == first == 28
        np.testing.assert_allclose(losses[:first], 25.0 ** np.arange(first), rtol=1e-4)
        assert not np.isfinite(losses[first:]).any()  # it is kept, and repeated
        assert np.isfinite(result.params) and np.isfinite(result.history.params).all()
        assert np.all(result.history.params[first:] == result.params)

    def test_when_the_gradient_is_not_finite(self):
        fun = lambda x: jnp.sum(jnp.sqrt(x))  # 0 at 0, with an infinite slope
        result = minimize(fun, jnp.zeros(1), gd.sgd(0.1), 3)
        assert (int(result.status), int(result.steps)) == (gd.Status.DIVERGED, 0)
        assert float(result.params[0]) == 0.0
        nan = minimize(lambda x: jnp.nan * square(x), jnp.ones(1), gd.sgd(0.1), 3, tolerance=1e9)
        assert int(nan.status) == gd.Status.DIVERGED

    def test_tolerance_may_be_traced(self):
        run = jax.jit(
            lambda t: minimize(square, jnp.array(1.0), gd.sgd(0.25), 9, tolerance=t).steps
        )
        assert [int(run(t)) for t in (0.5, 0.25, 0.0)] == [2, 3, 9]


@pytest.mark.slow
class TestTransforms:
    def test_vmap_over_params(self):
        starts = jax.tree.map(lambda x: jnp.stack([x, 2 * x, -x]), START)
        tx = gd.adam(0.1)
        run = lambda p: minimize(quadratic, p, tx, STEPS, tolerance=0.5, keep="path")
        many = jax.vmap(run)(starts)
        assert len(set(many.steps.tolist())) > 1  # each stops on its own
        for i in range(3):
            one = run(at(starts, i))
            close(at(many, i), one)

    @pytest.mark.parametrize(
        "make",
        [
            gd.adam,
            lambda r: gd.chain(gd.clip(1.0), gd.sgd(r)),
            lambda r: gd.sgd(gd.linear_schedule(r, 0.0, STEPS)),
        ],
        ids=["adam", "chain", "schedule"],
    )
    def test_vmap_over_a_rate(self, make):
        rates = jnp.array([0.01, 0.1, 0.4])
        many = jax.vmap(lambda r: minimize(quadratic, START, make(r), STEPS))(rates)
        for i, rate in enumerate(rates):
            one = minimize(quadratic, START, make(rate), STEPS)
            close(at(many, i), one, rtol=1e-4)

    def test_vmap_over_the_transformation(self):
        rates = jnp.array([0.01, 0.1, 0.4])
        swept = jax.vmap(lambda tx: minimize(quadratic, START, tx, STEPS))(gd.adam(rates))
        close(swept.history.loss[1], minimize(quadratic, START, gd.adam(0.1), STEPS).history.loss)

    def test_vmap_over_keys(self):
        keys = jax.random.split(jax.random.key(0), 3)

        def run(key):
            draw = lambda i: jax.random.normal(jax.random.fold_in(key, i), (2,))
            fun = lambda x, noise: square(x - noise)
            return minimize(fun, jnp.ones(2), gd.sgd(0.1, momentum=0.9), 10, batches=draw)

        many = jax.vmap(run)(keys)
        for i in range(3):
            close(at(many, i), run(keys[i]))
        assert len(set(many.params[:, 0].tolist())) == 3

    def test_vmap_over_batches(self):
        data = jnp.arange(6.0).reshape(2, 3)
        run = lambda b: minimize(
            lambda x, y: (x - y) ** 2, jnp.array(0.0), gd.sgd(0.1), 5, batches=b
        )
        many = jax.vmap(run)(data)
        for i in range(2):
            close(at(many, i), run(data[i]))

    def test_gradient_through_it(self):
        def final(rate, start=1.0):
            return square(minimize(square, jnp.asarray(start), gd.sgd(rate), 5).params)

        # x₅ = (1 − 2η)⁵ x₀
        assert float(jax.grad(final)(0.1)) == pytest.approx(-20 * 0.8**9, rel=1e-4)
        assert float(jax.grad(final, 1)(0.1, 2.0)) == pytest.approx(4 * 0.8**10, rel=1e-4)
        momentum = lambda rate: quadratic(minimize(quadratic, START, gd.adam(rate), 5).params)
        ahead, behind = momentum(0.1 + 1e-3), momentum(0.1 - 1e-3)
        slope = (float(ahead) - float(behind)) / 2e-3
        assert float(jax.grad(momentum)(0.1)) == pytest.approx(slope, rel=2e-2)
        stopped = lambda rate: (
            minimize(square, jnp.array(1.0), gd.sgd(rate), 9, tolerance=0.5).params
        )
        assert float(jax.grad(stopped)(0.25)) == pytest.approx(-4 * 0.5, rel=1e-5)  # two steps

    def test_inside_of_jit(self):
        inside = jax.jit(lambda p, tx: minimize(quadratic, p, tx, STEPS))(START, gd.adam(0.1))
        close(inside, minimize(quadratic, START, gd.adam(0.1), STEPS))


class TestCompiles:
    def test_once_for_all_rates(self):
        calls = []

        def fun(x):
            calls.append(1)
            return square(x)

        for make in (
            gd.sgd,
            lambda r: gd.adam(gd.linear_schedule(r, 0.0, 9)),
            lambda r: gd.sgd(gd.live(r)),
        ):
            for kind in (float, jnp.asarray):
                minimize(fun, jnp.ones(2), make(kind(0.1)), 5)
                traced = len(calls)
                assert traced > 0
                minimize(fun, jnp.ones(2), make(kind(0.2)), 5)
                minimize(fun, jnp.zeros(2), make(kind(0.3)), 5)
                assert len(calls) == traced
        minimize(fun, jnp.ones(2), gd.sgd(0.1), 6)  # other steps are another program
        assert len(calls) > traced

    def test_once_for_all_batches(self):
        calls = []

        def fun(x, y):
            calls.append(1)
            return square(x - y)

        for scale in (1.0, 2.0):
            minimize(fun, jnp.ones(()), gd.sgd(0.1), 5, batches=scale * jnp.arange(3.0))
        traced = len(calls)
        minimize(fun, jnp.ones(()), gd.sgd(0.1), 5, batches=jnp.zeros(3), tolerance=None)
        assert len(calls) == traced
        for tolerance in (0.1, 0.2, jnp.array(0.3)):
            minimize(fun, jnp.ones(()), gd.sgd(0.1), 5, batches=jnp.zeros(3), tolerance=tolerance)
        assert len(calls) <= traced * 3  # a number, an array

    def text(self, **kwargs):
        run = lambda p: minimize(quadratic, p, gd.adam(0.1), 5, **kwargs).params
        return jax.jit(run).lower(START).as_text()

    def test_no_callback_without_a_bar(self):
        assert "callback" not in self.text()
        assert "callback" not in str(
            jax.make_jaxpr(lambda p: minimize(quadratic, p, gd.adam(0.1), 5))(START)
        )
        pytest.importorskip("tqdm")  # of the extra [lab]
        assert "callback" in self.text(progress=True)  # so the test above sees one


class TestProgress:
    @pytest.fixture(autouse=True)
    def bar(self):
        pytest.importorskip("tqdm")  # of the extra [lab]

    def test_draws_and_changes_nothing(self, capfd):
        off = minimize(quadratic, START, gd.adam(0.1), STEPS)
        assert capfd.readouterr().err == ""
        on = minimize(quadratic, START, gd.adam(0.1), STEPS, progress=True)
        drawn = capfd.readouterr().err
        assert "minimize: 100%" in drawn and f"{STEPS}/{STEPS}" in drawn
        assert f"loss {float(off.history.loss[-1]):.4g}" in drawn
        close(on, off)
        minimize(quadratic, START, gd.adam(0.2), STEPS, progress=True)  # compiled, a new bar
        assert "100%" in capfd.readouterr().err

    def test_many_steps_are_drawn_now_and_then(self, capfd):
        minimize(square, jnp.ones(2), gd.sgd(0.1), 1037, progress=True)
        assert "1037/1037" in capfd.readouterr().err

    def test_after_a_stop(self, capfd):
        result = minimize(square, jnp.array(1.0), gd.sgd(0.25), 50, tolerance=0.5, progress=True)
        assert int(result.steps) == 2
        drawn = capfd.readouterr().err
        assert "50/50" in drawn and "loss 0.0625" in drawn

    def test_under_vmap(self, capfd):
        rates = jnp.array([0.01, 0.1])
        run = lambda **kwargs: jax.vmap(lambda tx: minimize(quadratic, START, tx, STEPS, **kwargs))(
            gd.adam(rates)
        )
        on, off = run(progress=True), run()
        jax.effects_barrier()
        drawn = capfd.readouterr().err
        assert "100%" in drawn and f"{STEPS}/{STEPS}" in drawn and drawn.count("100%") == 1
        close(on, off)

    def test_without_a_cpu_it_says_what_to_set(self, no_cpu):
        with pytest.raises(RuntimeError, match='minimize: .* Set JAX_PLATFORMS="cuda,cpu"'):
            minimize(square, jnp.ones(2), gd.sgd(0.1), 2, progress=True)

    def test_under_jit(self, capfd):
        run = jax.jit(lambda p: minimize(quadratic, p, gd.adam(0.1), 10, progress=True).params)
        for _ in range(2):
            jax.block_until_ready(run(START))
            jax.effects_barrier()
            assert "10/10" in capfd.readouterr().err


class TestArguments:
    BAD = [
        ({"steps": 0}, ValueError, "steps must be a positive Python integer, got 0"),
        ({"steps": -3}, ValueError, "steps must be"),
        ({"steps": 1.5}, ValueError, "steps must be a positive Python integer, got 1.5"),
        ({"steps": True}, ValueError, "steps must be"),
        ({"keep": "x"}, ValueError, 'keep must be "losses" or "path", got x'),
        ({"fun": lambda p: p["w"]}, ValueError, r"fun must return a scalar loss, got shape \(2,\)"),
        (
            {"fun": lambda p: (p["w"], 1.0), "has_aux": True},
            ValueError,
            r"fun must return a scalar loss, got shape \(2,\)",
        ),
        (
            {"fun": fit, "batches": (POINTS, TARGETS[:3])},
            ValueError,
            "batches must share their first axis",
        ),
        ({"fun": fit, "batches": jnp.array(1.0)}, ValueError, "batches must share"),
        ({"fun": fit, "batches": ()}, ValueError, "batches must share"),
        ({"fun": fit, "batches": (POINTS, 1.0)}, ValueError, "batches must share"),
    ]

    @pytest.mark.parametrize("kwargs, kind, message", BAD, ids=[row[2] for row in BAD])
    def test_wrong_ones_raise(self, kwargs, kind, message):
        given = {"fun": quadratic, "params": START, "tx": gd.sgd(0.1), "steps": 3, **kwargs}
        with pytest.raises(kind, match=f"minimize: .*{message}"):
            minimize(**given)

    @pytest.mark.parametrize("params", [0, True, np.int32(1), jnp.array([0, 1]), {"w": [1, 2]}])
    def test_whole_numbers_do_not_move(self, params):
        """They were told converged, after no step."""
        loss = lambda x: sum(jnp.sum((jnp.asarray(x) - 3.5) ** 2) for x in jax.tree.leaves(x))
        with pytest.raises(TypeError, match="must have floating-point numbers.*jnp.asarray"):
            minimize(loss, params, gd.lbfgs(), 20, tolerance=1e-3)

    def test_errors_of_a_transformation_pass(self):
        tx = gd.chain(a=gd.sgd(0.1), b=gd.scale(jnp.ones(2)))
        with pytest.raises(ValueError, match="scale: step_size must be a scalar"):
            minimize(square, jnp.ones(2), tx, 3)

    def test_complex_parameters_descend(self):
        target = jnp.array([1.0 + 2.0j, -0.5j])
        distance = lambda z: jnp.sum(jnp.abs(z - target) ** 2)
        start = jnp.array([0.3j, 1.0 + 0j])
        result = minimize(distance, start, gd.sgd(0.25), 30)
        close(result.params, target)
        assert np.all(np.diff(result.history.loss[:8]) < 0)
        split = lambda xy: distance(jax.lax.complex(xy[0], xy[1]))  # two real ones
        real = minimize(split, jnp.stack([start.real, start.imag]), gd.sgd(0.25), 5)
        close(minimize(distance, start, gd.sgd(0.25), 5).history.loss, real.history.loss)

    def test_leaves_that_do_not_move(self):
        params = {"w": jnp.ones(2), "i": jnp.arange(2), "n": None, "flag": jnp.array(True)}
        fun = lambda p: jnp.sum((p["w"] - p["i"].astype(float)) ** 2)
        result = minimize(fun, params, gd.adamw(0.1), 200, keep="path", tolerance=1e-12)
        assert result.params["n"] is None and bool(result.params["flag"])
        np.testing.assert_array_equal(result.params["i"], np.arange(2))
        assert result.params["i"].dtype == params["i"].dtype
        assert result.history.params["i"].shape == (201, 2)
        close(result.params["w"], jnp.arange(2.0), atol=2e-2)

    @pytest.mark.parametrize(
        "params, fun",
        [
            (1.0, square),
            ((1.0, jnp.ones(2)), lambda p: square(p[0]) + square(p[1])),
            ({"a": 1.0, "b": [jnp.ones(2), {}]}, lambda p: square(p["a"]) + square(p["b"][0])),
            (np.ones(2, np.float32), square),
            (1 + 1j, lambda z: jnp.abs(z) ** 2),
        ],
        ids=["float", "tuple", "dict", "numpy", "complex"],
    )
    def test_boxes_of_parameters(self, params, fun):
        result = minimize(fun, params, gd.sgd(0.25), 3, keep="path")
        assert jax.tree.structure(result.params) == jax.tree.structure(params)
        close(result.params, jax.tree.map(lambda x: 0.125 * jnp.asarray(x), params))
        assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(result.params))
        assert all(x.shape[0] == 4 for x in jax.tree.leaves(result.history.params))

    def test_the_start_is_not_consumed(self):
        start = jnp.ones(2)
        minimize(square, start, gd.sgd(0.1), 3)
        close(start, jnp.ones(2))

    @pytest.mark.parametrize(
        "tx, names",
        [
            (gd.sgd(0.25), {"learning_rate": 0.25 * np.ones(6)}),
            (gd.sgd(gd.linear_to_zero(0.5, 5)), {"learning_rate": [0.5, 0.4, 0.3, 0.2, 0.1, 0]}),
            (gd.chain(gd.clip(1.0), gd.sgd(0.1)), {"sgd/learning_rate": 0.1 * np.ones(6)}),
            (gd.scale(-0.1), {}),
        ],
        ids=repr,
    )
    def test_rates_are_in_the_history(self, tx, names):
        rates = minimize(square, jnp.ones(2), tx, 6).history.rates
        assert list(rates) == list(names)
        for name, values in names.items():
            np.testing.assert_allclose(rates[name], values, atol=1e-7)

    def test_what_is_watched_is_kept(self):
        tx, seen = gd.chain(gd.clip_by_global_norm(0.1), gd.sgd(0.1)), []

        def watch(params, state):
            jax.debug.callback(lambda p: seen.append(float(p[0])), params)
            return {"norm": gd.state.metrics(state)["grad_norm"], "first": params[0]}

        result = minimize(square, jnp.ones(2), tx, 4, watch=watch, keep="path")
        jax.effects_barrier()
        close(result.history.watched["first"], result.history.params[1:, 0])
        close(sorted(seen), sorted(result.history.params[1:, 0].tolist()))
        close(result.history.watched["norm"][0], np.sqrt(8.0))
        assert minimize(square, jnp.ones(2), tx, 4).history.watched is None

    @pytest.mark.parametrize(
        "fun, kwargs, name",
        [
            (square, {}, "STEPS"),
            (square, {"tolerance": 1e3}, "CONVERGED"),
            (lambda x: jnp.sum(x) / 0.0, {}, "DIVERGED"),
        ],
    )
    def test_a_result_prints_its_status_by_name(self, fun, kwargs, name):
        result = minimize(fun, jnp.ones(2), gd.sgd(0.1), 2, **kwargs)
        assert f"status={name}, steps=" in repr(result) and result.ended is gd.Status[name]
        several = jax.vmap(lambda x: minimize(fun, x, gd.sgd(0.1), 2, **kwargs))(jnp.ones((2, 2)))
        assert f"status=[{name}, {name}]" in repr(several)
        jax.jit(lambda x: repr(minimize(fun, x, gd.sgd(0.1), 2, **kwargs)) and x)(jnp.ones(2))

    def test_statuses_have_names(self):
        assert [gd.Status(i).name for i in range(3)] == ["STEPS", "CONVERGED", "DIVERGED"]
        assert gd.minimize is minimize

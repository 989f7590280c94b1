"""Transformations of optax inside ours, ours inside optax's and its clients: equal numbers."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.helpers import close as same

# The clients come with the extra [test]; where only the contract is run, on other versions of
# Python and JAX, there is nothing but pytest and chex.
optax = pytest.importorskip("optax")
equinox = pytest.importorskip("equinox")
flax = pytest.importorskip("flax")
numpyro = pytest.importorskip("numpyro")
optimistix = pytest.importorskip("optimistix")
cloudpickle = pytest.importorskip("cloudpickle")

PARAMS = {"w": jnp.array([1.0, -2.0, 0.5]), "b": jnp.array(0.5)}
STEPS = 5


pytestmark = pytest.mark.usefixtures("standard")


def loss(params):
    return jnp.sum((params["w"] - 0.3) ** 2 * jnp.array([1.0, 4.0, 0.1])) + (params["b"] + 1) ** 4


VALUE_AND_GRAD = jax.jit(jax.value_and_grad(loss))


def close(a, b, **tolerance):
    """The same numbers, whatever boxes they are in."""
    leaves = jax.tree.leaves(a), jax.tree.leaves(b)
    assert leaves[0]
    same(*leaves, **{"rtol": 1e-5, "atol": 1e-6, **tolerance})


def scaled(factor, tree):
    return jax.tree.map(lambda x: factor * x, tree)


def loop(tx, params=None, steps=STEPS, value_and_grad=VALUE_AND_GRAD, value=False):
    """A plain loop, which gives the value of the loss to those that want it."""

    @jax.jit
    def step(params, state):
        loss, grads = value_and_grad(params)
        updates, state = tx.update(grads, state, params, **({"value": loss} if value else {}))
        return optax.apply_updates(params, updates), state

    start = params = PARAMS if params is None else params
    state = tx.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), start, params)
    assert all(jax.tree.leaves(moved))
    return params


# The same rule in both; eps means the same in these.
SAME = [
    (gd.adamw(0.1, weight_decay=0.01), optax.adamw(0.1, weight_decay=0.01)),
    (gd.sgd(0.05, momentum=0.9, nesterov=True), optax.sgd(0.05, momentum=0.9, nesterov=True)),
    (
        gd.rmsprop(0.05, 0.8, eps_in_sqrt=True, momentum=0.5),
        optax.rmsprop(0.05, 0.8, momentum=0.5),
    ),
    (
        gd.adam(gd.cosine_decay_schedule(0.1, 10), b1=0.8, eps_root=1e-6),
        optax.adam(optax.cosine_decay_schedule(0.1, 10), 0.8, eps_root=1e-6),
    ),
    (
        gd.chain(gd.clip_by_global_norm(1.0), gd.sgd(0.1)),
        optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
    ),
]

# What stands after scale_by_adam in adamw.
REST = gd.chain(gd.add_decayed_weights(1e-4), gd.scale_by_learning_rate(0.1))


@functools.cache
def pure():
    return loop(gd.chain(gd.clip(0.5), TestOptax.WRAPPED_OPTIMIZER))


class TestOptax:
    @pytest.mark.parametrize("ours, theirs", SAME, ids=[repr(ours) for ours, _ in SAME])
    def test_same_rules(self, ours, theirs, x64):
        params = {"w": jnp.array([1.0, -2.0, 0.5]), "b": jnp.array(0.5)}
        assert params["w"].dtype == jnp.float64
        close(loop(ours, params), loop(theirs, params), rtol=1e-9, atol=1e-12)

    def test_theirs_inside_of_ours(self):
        theirs = optax.adamw(0.1, b2=0.9)  # at 0.999 its bias correction loses four digits
        expected = loop(optax.chain(optax.clip(0.5), theirs))
        for tx in (
            gd.chain(optax.clip(0.5), theirs),
            gd.chain(gd.clip(0.5), theirs),
            gd.chain(optax.clip(0.5), gd.adamw(0.1, b2=0.9)),
            gd.chain(clip=optax.clip(0.5), opt=theirs),
            gd.chain(zeroth=gd.clip(0.5), first=gd.chain(optax.scale_by_adam(b2=0.9), REST)),
            gd.chain(optax.chain(optax.clip(0.5), theirs)),
        ):
            close(loop(tx), expected)

    @pytest.mark.parametrize(
        "foreign",
        [
            lambda: optax.scale_by_polyak(),
            lambda: optax.chain(optax.scale_by_polyak(), optax.scale(0.5)),
            lambda: optax.contrib.reduce_on_plateau(patience=1, factor=0.5),
        ],
        ids=["polyak", "chain", "reduce_on_plateau"],
    )
    def test_theirs_that_need_the_value(self, foreign):
        expected = loop(optax.chain(foreign(), optax.sgd(0.1)), value=True)
        for tx in (
            gd.chain(foreign(), gd.sgd(0.1)),
            gd.chain(scale=foreign(), opt=gd.chain(gd.identity(), gd.sgd(0.1))),
            optax.chain(foreign(), gd.sgd(0.1)),
            optax.chain(gd.chain(foreign()), gd.sgd(0.1)),
        ):
            close(loop(tx, value=True), expected)
        with pytest.raises(TypeError, match="'value'"):
            loop(gd.chain(foreign(), gd.sgd(0.1)))

    def test_theirs_that_search_along_a_line(self):
        def run(tx):
            @jax.jit
            def step(params, state):
                value, grads = jax.value_and_grad(loss)(params)
                updates, state = tx.update(
                    grads, state, params, value=value, grad=grads, value_fn=loss
                )
                return optax.apply_updates(params, updates), state

            params, state = PARAMS, tx.init(PARAMS)
            for _ in range(STEPS):
                params, state = step(params, state)
            return params

        search = lambda: optax.scale_by_backtracking_linesearch(max_backtracking_steps=15)
        expected = run(optax.chain(optax.sgd(1.0), search()))
        close(run(gd.chain(gd.sgd(1.0), search())), expected)
        close(run(gd.chain(opt=gd.sgd(1.0), search=search())), expected)
        close(run(optax.chain(gd.sgd(1.0), search())), expected)
        assert float(loss(expected)) < 0.2 * float(loss(PARAMS))

    WRAPPED = {
        "chain": lambda ours: optax.chain(optax.clip(0.5), ours),
        "chain of ours": lambda ours: optax.chain(gd.clip(0.5), ours),
        "named_chain": lambda ours: optax.named_chain(("clip", gd.clip(0.5)), ("opt", ours)),
        "with_extra_args_support": lambda ours: optax.with_extra_args_support(
            gd.chain(gd.clip(0.5), ours)
        ),
        "masked": lambda ours: optax.masked(gd.chain(gd.clip(0.5), ours), {"w": True, "b": True}),
        "flatten": lambda ours: optax.flatten(gd.chain(gd.clip(0.5), ours)),
        "apply_if_finite": lambda ours: optax.apply_if_finite(gd.chain(gd.clip(0.5), ours), 2),
        "partition": lambda ours: optax.partition(
            {"a": gd.chain(gd.clip(0.5), ours), "b": gd.chain(gd.clip(0.5), ours)},
            {"w": "a", "b": "b"},
        ),
    }
    WRAPPED_OPTIMIZER = gd.adam(gd.linear_schedule(0.1, 0.0, 10))

    @pytest.mark.parametrize("wrapper", WRAPPED)
    def test_ours_inside_of_theirs(self, wrapper):
        close(loop(self.WRAPPED[wrapper](self.WRAPPED_OPTIMIZER)), pure())

    @pytest.mark.parametrize("ours", [gd.sgd(0.1, 0.9), gd.adamw(gd.live(0.1))], ids=repr)
    def test_ours_in_their_chain(self, ours):
        tx = optax.chain(optax.clip(0.5), ours)
        close(loop(tx), loop(gd.chain(gd.clip(0.5), ours)))

    def test_multi_steps(self):
        tx = gd.chain(gd.clip(1.0), gd.adam(0.1))
        multi = optax.MultiSteps(tx, 2)
        params, state = PARAMS, multi.init(PARAMS)
        expected, inner = PARAMS, tx.init(PARAMS)
        update = jax.jit(multi.update)
        for i in range(6):
            grads = scaled(1.0 + i % 2, VALUE_AND_GRAD(params)[1])
            updates, state = update(grads, state, params)
            params = optax.apply_updates(params, updates)
            if i % 2:  # the mean of once and twice the gradient
                mean = scaled(1.5, VALUE_AND_GRAD(expected)[1])
                updates, inner = tx.update(mean, inner, expected)
                expected = optax.apply_updates(expected, updates)
            close(params, expected)

    def test_inject_hyperparams(self):
        make = optax.inject_hyperparams(lambda learning_rate, b1: gd.adam(learning_rate, b1=b1))
        schedule = optax.linear_schedule(0.1, 0.0, 10)
        tx = make(learning_rate=schedule, b1=0.8)
        close(loop(tx), loop(gd.adam(gd.linear_schedule(0.1, 0.0, 10), b1=0.8)))
        state = tx.init(PARAMS)
        state.hyperparams["b1"] = jnp.array(0.5)
        grads = VALUE_AND_GRAD(PARAMS)[1]
        updates, _ = jax.jit(tx.update)(grads, state, PARAMS)
        ours = gd.adam(0.1, b1=0.5)
        close(updates, ours.update(grads, ours.init(PARAMS), PARAMS)[0])

    def test_inject_hyperparams_on_our_factory(self):
        tx = optax.inject_hyperparams(gd.adam, static_args=("mu_dtype",))(learning_rate=0.1)
        assert set(tx.init(PARAMS).hyperparams) >= {"learning_rate", "b1", "b2", "eps"}
        close(loop(tx), loop(gd.adam(0.1)))

    def test_schedules_of_theirs(self):
        close(
            loop(gd.sgd(optax.exponential_decay(0.1, 2, 0.5))),
            loop(optax.sgd(gd.exponential_decay(0.1, 2, 0.5))),
        )

    def test_tree_utilities_see_our_states(self):
        state = gd.chain(gd.clip(1.0), gd.adam(gd.live(0.1))).init(PARAMS)
        close(optax.tree.get(state, "mu"), jax.tree.map(jnp.zeros_like, PARAMS))
        assert float(optax.tree.get(state, "learning_rate")) == pytest.approx(0.1)
        new = optax.tree.set(state, learning_rate=jnp.array(0.5))
        assert float(gd.state.find(new, "learning_rate")) == 0.5


OURS = [
    gd.adamw(0.1),
    gd.chain(clip=gd.clip_by_global_norm(1.0), opt=gd.sgd(gd.linear_schedule(0.1, 0.0, 9), 0.9)),
    gd.adam(gd.live(0.1)),
]


class TestFlax:
    @pytest.mark.parametrize("tx", [*OURS, gd.adam(jnp.array(0.1))], ids=repr)
    def test_train_state(self, tx):
        from flax.training import train_state

        state = train_state.TrainState.create(apply_fn=loss, params=PARAMS, tx=tx)
        traces = []

        @jax.jit
        def step(state):
            traces.append(1)
            return state.apply_gradients(grads=jax.grad(state.apply_fn)(state.params))

        for _ in range(STEPS):
            state = step(state)
        assert int(state.step) == STEPS and len(traces) <= 2  # `step` begins as a Python number
        close(state.params, loop(tx))

    def test_train_state_is_saved(self):
        from flax import serialization

        tx = OURS[1]
        state = tx.init(PARAMS)
        grads = VALUE_AND_GRAD(PARAMS)[1]
        _, state = tx.update(grads, state, PARAMS)
        saved = serialization.to_bytes(state)
        restored = serialization.from_bytes(tx.init(PARAMS), saved)
        assert jax.tree.structure(restored) == jax.tree.structure(state)
        close(tx.update(grads, restored, PARAMS), tx.update(grads, state, PARAMS), rtol=0, atol=0)
        names = serialization.to_state_dict(gd.adam(0.1).init(PARAMS))
        assert set(names["0"]) == {"count", "mu", "nu"}

    @pytest.mark.parametrize("tx", OURS, ids=repr)
    def test_nnx(self, tx):
        from flax import nnx

        x = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)
        y = jnp.sum(x**2, axis=1, keepdims=True)

        def error(model):
            return jnp.mean((model(x) - y) ** 2)

        model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        kernel, bias = model.kernel[...], model.bias[...]

        @nnx.jit
        def step(model, optimizer):
            value, grads = nnx.value_and_grad(error)(model)
            optimizer.update(model, grads)
            return value

        losses = [float(step(model, optimizer)) for _ in range(10)]
        assert losses[-1] < 0.7 * losses[0]
        plain = lambda p: jnp.mean((x @ p["kernel"] + p["bias"] - y) ** 2)
        expected = loop(tx, {"kernel": kernel, "bias": bias}, 10, jax.value_and_grad(plain))
        close({"kernel": model.kernel[...], "bias": model.bias[...]}, expected, rtol=1e-4)
        assert int(optimizer.step[...]) == 10

    def test_nnx_refuses_arrays(self):
        """A rule of nnx: a static attribute has no array leaves; `live(0.1)` serves there."""
        from flax import nnx

        model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        with pytest.raises(ValueError, match="tx"):
            nnx.Optimizer(model, gd.adam(jnp.array(0.1)), wrt=nnx.Param)


class TestEquinox:
    @pytest.mark.parametrize("tx", [*OURS, gd.adamw(jnp.array(0.01))], ids=repr)
    def test_filter_jit(self, tx):
        import equinox as eqx

        model = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
        x = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)
        error = lambda model: jnp.mean((jax.vmap(model)(x)[:, 0] - jnp.sum(x**2, axis=1)) ** 2)
        traces = []

        @eqx.filter_jit
        def step(model, state, tx):
            traces.append(1)
            grads = eqx.filter_grad(error)(model)
            updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_array))
            return eqx.apply_updates(model, updates), state

        trained, state = model, tx.init(eqx.filter(model, eqx.is_array))
        for _ in range(STEPS):
            trained, state = step(trained, state, tx)
        assert len(traces) == 1
        assert float(error(trained)) < float(error(model))
        arrays, static = eqx.partition(model, eqx.is_array)
        value_and_grad = jax.jit(jax.value_and_grad(lambda p: error(eqx.combine(p, static))))
        close(eqx.filter(trained, eqx.is_array), loop(tx, arrays, STEPS, value_and_grad))

    @pytest.mark.parametrize(
        "wrap", [lambda tx: gd.accumulate(tx, 2), gd.apply_if_finite, gd.chain]
    )
    def test_a_module_with_functions_and_flags_steps_as_its_arrays_do(self, wrap):
        import equinox as eqx

        class Net(eqx.Module):
            layer: eqx.nn.Linear
            activation: Any
            inference: bool

        net = Net(eqx.nn.Linear(2, 1, key=jax.random.key(0)), jax.nn.relu, True)
        arrays, tx = eqx.filter(net, eqx.is_array), wrap(gd.adam(0.1))
        grads = jax.tree.map(jnp.ones_like, arrays)
        step = eqx.filter_jit(lambda params, state: tx.step(grads, state, params))
        whole, bare = (net, tx.init(net)), (arrays, tx.init(arrays))
        for _ in range(2):
            whole, bare = step(*whole), step(*bare)
        assert whole[0].activation is jax.nn.relu and whole[0].inference is True
        close(eqx.filter(whole[0], eqx.is_array), bare[0], rtol=0, atol=0)
        assert jax.tree.all(jax.tree.map(eqx.is_array, whole[1]))
        eager, _ = tx.step(grads, tx.init(net), net)
        assert eager.activation is jax.nn.relu

    def test_a_transformation_is_a_tree_of_numbers(self):
        import equinox as eqx

        tx = gd.adamw(0.1, b1=jnp.array(0.8))
        arrays, rest = eqx.partition(tx, eqx.is_array)
        assert eqx.combine(arrays, rest) == tx
        assert len(jax.tree.leaves(arrays)) == 1
        edited = eqx.tree_at(lambda tx: jax.tree.leaves(tx)[0], tx, 0.2)
        assert edited == gd.adamw(0.2, b1=jnp.array(0.8))


class TestOptimistix:
    @pytest.mark.parametrize(
        "tx",
        [
            gd.adam(0.1),
            gd.adam(jnp.array(0.1)),
            gd.adam(gd.cosine_decay_schedule(0.1, 400)),
            gd.chain(clip=gd.clip_by_global_norm(5.0), opt=gd.sgd(0.05, momentum=gd.live(0.5))),
        ],
        ids=repr,
    )
    def test_minimise(self, tx):
        fn = lambda y, args: loss({"w": y, "b": jnp.array(-1.0)}) + 0.5 * args
        solver = optimistix.OptaxMinimiser(tx, rtol=1e-4, atol=1e-4)
        start = PARAMS["w"]
        solution = optimistix.minimise(fn, solver, start, args=1.0, max_steps=2000, throw=False)
        steps = int(solution.stats["num_steps"])
        assert 5 < steps <= 2000
        value_and_grad = jax.jit(jax.value_and_grad(lambda y: fn(y, 1.0)))
        close(solution.value, loop(tx, start, steps, value_and_grad), rtol=1e-4, atol=1e-5)
        if "cosine" not in repr(tx):
            assert float(fn(solution.value, 0.0)) < 1e-2

    def test_rosenbrock(self):
        fn = lambda y, args: (1.0 - y[0]) ** 2 + 100.0 * (y[1] - y[0] ** 2) ** 2
        solver = optimistix.OptaxMinimiser(gd.adam(0.05), rtol=1e-8, atol=1e-8)
        solution = optimistix.minimise(
            fn, solver, jnp.array([-1.0, 1.0]), max_steps=5000, throw=False
        )
        close(solution.value, jnp.ones(2), atol=1e-2)

    def test_rates_are_differentiated_and_swept(self):
        def run(tx):
            solver = optimistix.OptaxMinimiser(tx, rtol=0.0, atol=0.0)
            fn = lambda y, args: jnp.sum(y**2)
            return optimistix.minimise(fn, solver, jnp.ones(2), max_steps=3, throw=False).value

        many = jax.vmap(run)(gd.sgd(jnp.array([0.1, 0.2])))
        close(many, jnp.array([[0.8**3] * 2, [0.6**3] * 2]))


class TestNumpyro:
    DATA = jnp.array([0.5, 1.5, 1.0, 2.0])

    def test_as_one_of_its_optimizers(self):
        for tx in OURS:
            optim = numpyro.optim.optax_to_numpyro(tx)
            state = optim.init(PARAMS)
            for _ in range(STEPS):
                value, grads = VALUE_AND_GRAD(optim.get_params(state))
                state = optim.update(grads, state, value=value)
            close(optim.get_params(state), loop(tx))

    def test_in_svi(self):
        from numpyro import distributions as dist
        from numpyro.infer import SVI, Trace_ELBO
        from numpyro.infer.autoguide import AutoDelta

        def model(data):
            mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
            numpyro.sample("data", dist.Normal(mean, 1.0), obs=data)

        def run(optim):
            svi = SVI(model, AutoDelta(model), optim, Trace_ELBO())
            return svi.run(jax.random.key(0), 200, self.DATA, progress_bar=False)

        ours = run(gd.adam(0.05))
        theirs = run(numpyro.optim.optax_to_numpyro(optax.adam(0.05)))
        close(ours.losses, theirs.losses, rtol=1e-4)
        assert float(ours.params["mean_auto_loc"]) == pytest.approx(1.0, abs=1e-2)  # 5/(4 + 1)


class TestCloudpickle:
    def test_a_lambda_travels(self):
        tx = gd.chain(opt=gd.sgd(lambda step: 0.1 / (1.0 + step), momentum=0.9))
        again = cloudpickle.loads(cloudpickle.dumps(tx))
        assert repr(again) == repr(tx)
        close(loop(again), loop(tx))
        assert again.init(PARAMS)["opt"].hyperparams.keys() == {"learning_rate"}

    def test_a_foreign_stage_travels(self):
        tx = gd.chain(clip=optax.clip(0.5), opt=gd.adam(gd.live(0.1), mu_dtype=jnp.bfloat16))
        close(loop(cloudpickle.loads(cloudpickle.dumps(tx))), loop(tx))

    def test_a_rule_of_the_user_travels(self):
        @gd.transformation
        def of_a_notebook(rate: gd.Hyperparam):
            def update(updates, state, params=None, **extra):
                return jax.tree.map(lambda g: -rate * g, updates), state

            return lambda params: gd.EmptyState(), update

        tx = gd.chain(of_a_notebook(0.1))
        close(loop(cloudpickle.loads(cloudpickle.dumps(tx))), loop(gd.sgd(0.1)))


class TestMembership:
    """In a program that has imported optax, ours are instances of optax's class."""

    @pytest.mark.parametrize("tx", [gd.adam(0.1), gd.GradientTransformation(*gd.sgd(0.1))])
    def test_is_one_of_optax(self, tx):
        assert isinstance(tx, optax.GradientTransformationExtraArgs)
        assert isinstance(gd.adam(0.1), gd.GradientTransformation) and not isinstance(tx, dict)

    def test_is_of_its_own_class_where_optax_is_not_imported(self):
        program = (
            "import sys, gdjax as gd; tx = gd.adam(0.1)\n"
            "assert 'optax' not in sys.modules and tx.__class__ is gd.GradientTransformation"
        )
        subprocess.run([sys.executable, "-c", program], check=True)

    def test_extra_arguments_go_through_the_chain_of_optax(self):
        tx = optax.chain(optax.clip(1.0), gd.polyak_sgd(1.0))
        value, grads = VALUE_AND_GRAD(PARAMS)
        updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS, value=value)
        assert bool(jnp.any(updates["w"] != 0))

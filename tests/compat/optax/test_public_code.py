"""Code that was written for optax runs on it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from gdjax.compat.optax.convert import to_optax
from tests.compat.optax.calls import GRADS, PARAMS

pytestmark = pytest.mark.usefixtures("standard")  # what other libraries count on


class TestPublicCode:
    """Examples of other projects' documentation, shortened, with another import of optax."""

    def test_optax_readme(self):
        from gdjax.compat import optax

        params = {"w": jnp.ones((2,))}
        optimizer = optax.adam(learning_rate=1e-2)
        opt_state = optimizer.init(params)
        compute_loss = lambda params, x, y: optax.l2_loss(params["w"].dot(x), y)
        start = compute_loss(params, jnp.ones(2), 0.0)
        for _ in range(5):
            grads = jax.grad(compute_loss)(params, jnp.ones(2), 0.0)
            updates, opt_state = optimizer.update(grads, opt_state)
            params = optax.apply_updates(params, updates)
        assert compute_loss(params, jnp.ones(2), 0.0) < start

    def test_flax_train_state(self):
        nn = pytest.importorskip("flax.linen")
        from flax.training import train_state

        from gdjax.compat import optax

        model = nn.Dense(features=3)
        x, y = jnp.ones((4, 2)), jnp.array([0, 1, 2, 0])
        params = model.init(jax.random.key(0), x)["params"]
        tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-1))
        state = train_state.TrainState.create(apply_fn=model.apply, params=params, tx=tx)

        @jax.jit
        def train_step(state):
            def loss_fn(params):
                logits = state.apply_fn({"params": params}, x)
                one_hot = jax.nn.one_hot(y, 3)
                return jnp.mean(optax.softmax_cross_entropy(logits=logits, labels=one_hot))

            loss, grads = jax.value_and_grad(loss_fn)(state.params)
            return state.apply_gradients(grads=grads), loss

        losses = []
        for _ in range(5):
            state, loss = train_step(state)
            losses.append(float(loss))
        assert losses[-1] < losses[0]

    def test_flax_nnx(self):
        nnx = pytest.importorskip("flax.nnx")
        from gdjax.compat import optax

        model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        tx = optax.MultiSteps(optax.adam(1e-1), every_k_schedule=2).gradient_transformation()
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        x = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)

        @nnx.jit
        def train_step(model, optimizer):
            loss_fn = lambda model: ((model(x) - 1.0) ** 2).mean()
            loss, grads = nnx.value_and_grad(loss_fn)(model)
            optimizer.update(model, grads)
            return loss

        losses = [float(train_step(model, optimizer)) for _ in range(10)]
        assert losses[-1] < losses[0]
        arrays = gd.adam(jnp.array(0.1))  # nnx refuses arrays in a static attribute
        nnx.Optimizer(model, to_optax(arrays), wrt=nnx.Param)

    def test_equinox(self):
        eqx = pytest.importorskip("equinox")
        from gdjax.compat import optax

        model = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
        x, y = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2), jnp.ones((4, 1))
        optim = optax.lion(1e-2)
        opt_state = optim.init(eqx.filter(model, eqx.is_inexact_array))

        @eqx.filter_value_and_grad
        def compute_loss(model, x, y):
            return jnp.mean((jax.vmap(model)(x) - y) ** 2)

        @eqx.filter_jit
        def make_step(model, opt_state, x, y):
            loss, grads = compute_loss(model, x, y)
            updates, opt_state = optim.update(
                grads, opt_state, eqx.filter(model, eqx.is_inexact_array)
            )
            return eqx.apply_updates(model, updates), opt_state, loss

        losses = []
        for _ in range(5):
            model, opt_state, loss = make_step(model, opt_state, x, y)
            losses.append(float(loss))
        assert losses[-1] < losses[0]

    def test_numpyro(self):
        numpyro = pytest.importorskip("numpyro")
        from numpyro import distributions as dist
        from numpyro.infer import SVI, Trace_ELBO
        from numpyro.infer.autoguide import AutoDelta

        from gdjax.compat import optax

        def model(data):
            mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
            numpyro.sample("data", dist.Normal(mean, 1.0), obs=data)

        data = jnp.array([0.5, 1.5, 1.0, 2.0])
        tx = optax.chain(optax.clip(10.0), optax.adam(0.05))
        for optim in (numpyro.optim.optax_to_numpyro(tx), to_optax(tx)):
            svi = SVI(model, AutoDelta(model), optim, Trace_ELBO())
            result = svi.run(jax.random.key(0), 200, data, progress_bar=False)
            assert float(result.params["mean_auto_loc"]) == pytest.approx(1.0, abs=1e-2)

    def test_optimistix(self):
        optimistix = pytest.importorskip("optimistix")
        from gdjax.compat import optax

        fn = lambda y, args: jnp.sum((y - args) ** 2)
        solver = optimistix.OptaxMinimiser(optax.adam(0.1), rtol=1e-5, atol=1e-5)
        solution = optimistix.minimise(fn, solver, jnp.zeros(2), args=jnp.ones(2), max_steps=2000)
        np.testing.assert_allclose(solution.value, 1.0, atol=1e-2)

    def test_extra_arguments_reach_through_theirs(self):
        tx = optax.chain(to_optax(gd.chain(optax.scale_by_polyak())), optax.sgd(1.0))
        updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, value=jnp.array(3.0))
        np.testing.assert_allclose(updates["w"], -0.1 * GRADS["w"], rtol=1e-6)

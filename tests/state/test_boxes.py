"""The functions of states on what Flax makes of states: arrays in boxes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gdjax as gd
from tests.helpers import first

pytestmark = pytest.mark.usefixtures("standard")  # what other libraries count on

ADAM = gd.adamw(gd.live(0.1))
AVERAGES = {
    "with_ema": gd.with_ema(ADAM, 0.9),
    "with_swa": gd.with_swa(ADAM, 1),
    "schedule_free": gd.schedule_free_adamw(gd.live(0.1)),
    "lookahead": gd.lookahead(ADAM, 2, 0.5),
    "with_master_weights": gd.with_master_weights(ADAM),
}
X = jnp.ones((4, 2))


def trained(tx):
    """A module after two steps of `nnx.Optimizer`, and plain parameters after the same."""
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    params = {name: p[...] for name, p in nnx.state(model, nnx.Param).items()}
    state = tx.init(params)
    for _ in range(2):
        grads = nnx.grad(lambda model: jnp.sum(model(X) ** 2))(model)
        plain = {name: g[...] for name, g in grads.items()}
        optimizer.update(model, grads)
        params, state = tx.step(plain, state, params)
    return model, optimizer.opt_state, params, state


@pytest.mark.parametrize("name", first(2, AVERAGES))
def test_nnx(name):
    tx = AVERAGES[name]
    model, boxed, params, state = trained(tx)
    weights = nnx.state(model, nnx.Param)
    # Where the model is evaluated: in the boxes of its weights.
    answer = gd.state.eval_params(tx, boxed, weights)
    assert jax.tree.structure(answer) == jax.tree.structure(weights)
    expected = gd.state.eval_params(tx, state, params)
    for a, b in zip(jax.tree.leaves(answer), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    # Names are those of plain states, and states go from one into the other.
    saved = gd.state.to_dict(tx, boxed)
    assert list(saved) == list(gd.state.to_dict(tx, state))
    plain, _ = gd.state.from_dict(tx, params, saved)
    assert jax.tree.structure(plain) == jax.tree.structure(state)
    back, _ = gd.state.from_dict(tx, weights, gd.state.to_dict(tx, state))
    assert jax.tree.structure(back) == jax.tree.structure(tx.init(weights))
    # What is read and what is set.
    assert list(gd.state.hyperparams(tx, boxed)) == list(gd.state.hyperparams(tx, state))
    assert list(gd.state.metrics(boxed)) == list(gd.state.metrics(state))
    faster = gd.state.set_hyperparams(tx, boxed, learning_rate=0.5)
    assert jax.tree.structure(faster) == jax.tree.structure(boxed)
    rates = [v for k, v in gd.state.hyperparams(tx, faster).items() if k.endswith("learning_rate")]
    assert rates[-1] == 0.5
    zero = lambda count: 0 * count
    one = list(gd.state.find_all(boxed, "count"))[-1]
    again = gd.state.replace(boxed, one, zero)
    assert jax.tree.structure(again) == jax.tree.structure(boxed)
    assert int(gd.state.find(again, one)) == 0
    anew = gd.state.reset(tx, boxed, weights, "bias")
    assert jax.tree.structure(anew) == jax.tree.structure(boxed)
    assert gd.state.nbytes(boxed) == gd.state.nbytes(state)
    assert [line.path for line in gd.explain(tx, weights).lines] == ["bias", "kernel"]


def test_linen_partitioned():
    boxed = {"w": nn.Partitioned(jnp.ones((2, 3)), ("data", None)), "b": jnp.ones(3)}
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    tx = AVERAGES["with_ema"]
    state, plain = tx.init(boxed), tx.init(params)
    saved = gd.state.to_dict(tx, plain)
    assert list(gd.state.to_dict(tx, state)) == list(saved)
    restored, _ = gd.state.from_dict(tx, boxed, saved)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    answer = gd.state.eval_params(tx, state, boxed)
    assert jax.tree.structure(answer) == jax.tree.structure(boxed)

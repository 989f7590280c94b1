"""Groups of parameters in the boxes of other libraries: haiku, linen, NNX, Equinox, dataclasses."""

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd


def seen_in(params):
    """A bias does not decay, the frozen does not move; whatever the box."""
    grads = jax.tree.map(jnp.zeros_like, params)
    tx = gd.groups(
        gd.adamw(0.1, weight_decay=0.5), (".*bias", dict(weight_decay=0.0)), ("out.*", gd.frozen)
    )
    state = tx.init(params)
    updates, _ = jax.jit(tx.update)(grads, state, params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    flat = jax.tree_util.tree_leaves_with_path(updates)
    paths = {jax.tree_util.keystr(path, simple=True, separator="/") for path, u in flat if u.any()}
    return {path.removesuffix("/value") for path in paths}


def layer(n, m):
    return {"kernel": jnp.ones((n, m)), "bias": jnp.ones(m)}


def test_dicts_of_haiku():
    params = {"net/~/linear_0": {"w": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "out": layer(3, 1)}
    assert seen_in(params) == {"net/~/linear_0/w"}


def test_linen():
    flax = pytest.importorskip("flax")

    class Net(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x):
            x = flax.linen.Dense(3, bias_init=flax.linen.initializers.ones, name="hidden")(x)
            return flax.linen.Dense(1, name="out")(x)

    params = Net().init(jax.random.key(0), jnp.ones((1, 2)))["params"]
    assert seen_in(params) == {"hidden/kernel"}
    assert seen_in(flax.core.freeze(params)) == {"hidden/kernel"}


def test_nnx():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.hidden, self.out = nnx.Linear(2, 3, rngs=rngs), nnx.Linear(3, 1, rngs=rngs)

    assert seen_in(nnx.state(Net(), nnx.Param)) == {"hidden/kernel"}


def test_equinox():
    eqx = pytest.importorskip("equinox")

    class Net(eqx.Module):
        hidden: eqx.nn.Linear
        out: eqx.nn.Linear
        activation: object = jax.nn.relu

        def __call__(self, x):
            return self.out(self.activation(self.hidden(x)))

    one, two = jax.random.split(jax.random.key(0))
    net = Net(eqx.nn.Linear(2, 3, key=one), eqx.nn.Linear(3, 1, key=two))
    assert callable(net)
    assert seen_in(eqx.filter(net, eqx.is_array)) == {"hidden/weight"}


def test_dataclasses():
    import dataclasses

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Net:
        hidden: dict
        out: dict

        def __call__(self, x):
            return x

    assert seen_in(Net(layer(2, 3), layer(3, 1))) == {"hidden/kernel"}
